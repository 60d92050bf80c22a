import AsyncHTTPClient
import Foundation
import NIOSSL
import WirePayloads
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
    let stranger = CoordinatorClient(http: http, url: invitation.url, tls: .unverified)
    let offered = try await stranger.get(WorkerRoute.authority)
    let authority = try check(Data(offered.readableBytesView), against: invitation)
    let client = CoordinatorClient(
      http: http, url: invitation.url, tls: try trust { try .trusting(authority: authority) })
    let request = EnrolmentRequest(
      secret: invitation.secret, signingRequest: try signingRequest(), workerName: workerName)
    let response = try await client.post(
      WorkerRoute.enroll, request, for: EnrolmentResponse.self)
    return try membership(response, url: client.url, authority: authority, now: now)
  }

  /// Renews the certificate over a connection of a member.
  func renew(
    _ present: Membership, over client: CoordinatorClient, now: Int
  ) async throws(RequestFailure) -> Membership {
    let request = RenewalRequest(signingRequest: try signingRequest())
    let response = try await client.post(WorkerRoute.renew, request, for: EnrolmentResponse.self)
    return try membership(
      response, url: present.record.url, authority: present.authority, now: now)
  }

  private func signingRequest() throws(RequestFailure) -> String {
    do {
      return try key.signingRequest(commonName: workerName)
    } catch {
      throw .refused(status: 0, code: nil, message: "\(error)")
    }
  }

  /// The offered certificate in PEM, if it is the one that the invitation names.
  private func check(
    _ offered: Data, against invitation: Invitation
  ) throws(RequestFailure) -> String {
    guard offered.count <= 1 << 16,
      let certificate = try? NIOSSLCertificate.fromPEMBytes(Array(offered)).first,
      let bytes = try? certificate.toDERBytes()
    else {
      throw .refused(
        status: 200, code: nil,
        message: "\(invitation.url) does not answer with a certificate: is it a coordinator?")
    }
    let fingerprint = BlobDigest.sha256(bytes)
    guard fingerprint == invitation.authority else {
      throw .refused(
        status: 200, code: Self.wrongAuthority,
        message: "The coordinator at \(invitation.url) is not the one that the invitation is from: "
          + "its CA certificate has the fingerprint \(fingerprint), the invitation names "
          + "\(invitation.authority). Ask for a new invitation; if that does not help, somebody "
          + "stands between this machine and the coordinator. No secret was sent.")
    }
    // Only this one certificate was vouched for, whatever else the answer held.
    let base64 = Data(bytes).base64EncodedString(options: [
      .lineLength64Characters, .endLineWithLineFeed,
    ])
    return "-----BEGIN CERTIFICATE-----\n\(base64)\n-----END CERTIFICATE-----\n"
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
    guard response.notAfter > now else {
      throw .refused(
        status: 200, code: nil,
        message: "the coordinator's certificate for this worker ended before now: compare clocks")
    }
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
