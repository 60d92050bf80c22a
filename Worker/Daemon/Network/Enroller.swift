import AsyncHTTPClient
import Foundation
import NIOSSL
import WireProtocol
import WorkerCore

/// Joins a coordinator: from an invitation to a client certificate.
struct Enroller: Sendable {
  let http: HTTPClient
  let key: any WorkerKey
  /// What the volunteer calls this machine.
  let workerName: String

  /// The code of the failure when the coordinator's CA is not the invitation's.
  static let wrongAuthority = "wrong_authority"

  /// Enrols with `invitation`; `now` is in seconds since 1970.
  ///
  /// The CA certificate comes over a connection that verifies nothing and carries no secret; only
  /// once its fingerprint is the invitation's does the secret travel, over a connection that the
  /// certificate vouches for.
  func enrol(_ invitation: Invitation, now: Int) async throws(RequestFailure) -> Membership {
    guard invitation.url.hasPrefix("https://") else {
      throw .refused(
        status: 0, code: nil, message: "the invitation's address is not an https:// address")
    }
    let authority = try await authority(
      at: invitation.url, expected: invitation.authority, from: "the invitation names")
    let client = CoordinatorClient(
      http: http, url: invitation.url,
      tls: try trust { try .trusting(authority: authority.pem) }, trusted: authority.fingerprint)
    let request = EnrolmentRequest(
      secret: invitation.secret, signingRequest: try signingRequest(), workerName: workerName)
    let response = try await client.post(
      WorkerRoute.enroll, request, for: EnrolmentResponse.self)
    return try membership(response, url: client.url, authority: authority.pem, now: now)
  }

  /// Renews the certificate over a connection of a member.
  func renew(_ present: Membership, now: Int) async throws(RequestFailure) -> Membership {
    try await renew(present, as: nil, now: now).membership
  }

  /// Renews the certificate and has the coordinator call the machine by another name.
  ///
  /// - Returns: the membership, and the name that the coordinator took; nil from one that is older.
  func renew(
    _ present: Membership, as name: String?, now: Int
  ) async throws(RequestFailure) -> (membership: Membership, name: String?) {
    let client = try member(present)
    let request = RenewalRequest(signingRequest: try signingRequest(), workerName: name)
    let response = try await client.post(WorkerRoute.renew, request, for: EnrolmentResponse.self)
    let next = try membership(
      response, url: client.url, authority: present.authority, now: now)
    if let begin = next.notBefore, begin > now, present.notBefore.map({ $0 <= now }) ?? false {
      // Whoever's clock is wrong: the certificate that serves is not given up for one that does not
      // yet.
      throw .refused(
        status: 200, code: nil,
        message:
          "the coordinator's new certificate for this worker is not valid yet: compare clocks")
    }
    var kept = next
    kept.record.nextURL = present.record.nextURL
    kept.record.invitedURL = present.record.invitedURL
    return (kept, response.workerName)
  }

  /// Moves a membership to another address of its coordinator: key, id and results stay.
  ///
  /// - Parameter isInvited: whether an invitation named the address.
  func move(
    _ present: Membership, to url: String, isInvited: Bool, now: Int
  ) async throws(RequestFailure) -> Membership {
    guard url.hasPrefix("https://"), let trusted = present.authorityFingerprint else {
      throw .refused(status: 0, code: nil, message: "\(url) is not an https:// address")
    }
    _ = try await authority(at: url, expected: trusted, from: "this worker trusts")
    var there = present
    there.record.url = CoordinatorClient.spelled(url)
    there.record.nextURL = nil
    there.record.invitedURL = isInvited ? nil : present.record.invitedURL ?? present.record.url
    return try await renew(there, now: now)
  }

  private func member(_ membership: Membership) throws(RequestFailure) -> CoordinatorClient {
    do {
      return try CoordinatorClient(http: http, membership, key: key)
    } catch {
      throw .refused(status: 0, code: nil, message: "\(error)")
    }
  }

  private func signingRequest() throws(RequestFailure) -> String {
    do {
      return try key.signingRequest(commonName: workerName)
    } catch {
      throw .refused(status: 0, code: nil, message: "\(error)")
    }
  }

  /// The certificate of the authority at an address, if it is the expected one. Only this one
  /// certificate was vouched for, whatever else the answer held.
  private func authority(
    at url: String, expected: Digest, from source: String
  ) async throws(RequestFailure) -> AuthorityCertificate {
    let stranger = CoordinatorClient(http: http, url: url, tls: .unverified)
    let offered = try await stranger.get(WorkerRoute.authority)
    guard let certificate = AuthorityCertificate(pem: Data(offered.readableBytesView)) else {
      throw .refused(
        status: 200, code: nil,
        message: "\(url) does not answer with a certificate: is it a coordinator?")
    }
    guard certificate.fingerprint == expected else {
      throw .refused(
        status: 200, code: Self.wrongAuthority,
        message: "The coordinator at \(url) is not the expected one: its CA certificate has the "
          + "fingerprint \(certificate.fingerprint), \(source) \(expected). Ask for a new "
          + "invitation; if that does not help, somebody stands between this machine and the "
          + "coordinator. No secret was sent.")
    }
    return certificate
  }

  private func membership(
    _ response: EnrolmentResponse, url: String, authority: String, now: Int
  ) throws(RequestFailure) -> Membership {
    var membership = Membership(response, url: url, now: now)
    // Trust does not change hands by an answer: the CA stays the one that the invitation vouched
    // for.
    membership.authority = authority
    let key = key
    _ = try trust { try .member(membership, key: key) }
    return membership
  }

  private func trust(
    _ make: () throws -> TLSConfiguration
  ) throws(RequestFailure) -> TLSConfiguration {
    do {
      return try make()
    } catch {
      throw .refused(
        status: 200, code: nil, message: "the coordinator's certificate is damaged: \(error)")
    }
  }
}
