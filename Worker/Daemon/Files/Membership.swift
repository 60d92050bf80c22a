import Foundation
import NIOSSL
import WireProtocol

/// Whom this worker works for: `worker.json` and the two certificates beside it.
package struct Membership: Hashable, Sendable {
  /// `worker.json`.
  package struct Record: Codable, Hashable, Sendable {
    /// `https://host:port` of the coordinator.
    package var url: String
    package var workerID: String
    package var accountName: String
    /// When the certificate was issued, by this machine's clock, in seconds since 1970.
    package var issuedAt: Int
    /// When the certificate ends, by the coordinator's clock, in seconds since 1970.
    package var notAfter: Int
    /// For how long it was issued; nil from a coordinator that is older.
    package var validSeconds: Int?
    /// Where the coordinator said that it will move; nil: nowhere.
    package var nextURL: String?
    /// The address of the invitation that was followed last; nil: `url`. One that is still at hand
    /// does not lead back there from where the coordinator has moved since.
    package var invitedURL: String?

    /// When to renew the certificate, in seconds since 1970 by this machine's clock: two thirds
    /// into its life. The clock may have been wrong when the certificate was issued, or be wrong
    /// now; of the two answers the earlier one counts.
    var renewAt: Int {
      let life = max(0, validSeconds ?? notAfter.clampedDifference(issuedAt))
      return min(issuedAt, notAfter.clampedDifference(life)) + life / 3 * 2
    }
  }

  package var record: Record
  /// The client certificate in PEM.
  package var certificate: String
  /// The coordinator's CA certificate in PEM.
  package var authority: String

  /// Takes the coordinator's answer to an enrolment or a renewal at `now` (seconds since 1970).
  package init(_ response: EnrolmentResponse, url: String, now: Int) {
    record = Record(
      url: url, workerID: response.workerID,
      accountName: Name.cleaned(response.accountName, limitBytes: Name.limitBytes) ?? "",
      issuedAt: now, notAfter: response.notAfter, validSeconds: response.validSeconds)
    certificate = response.certificate
    authority = response.authority
  }

  /// Reads the membership that `folder` holds; nil when the worker has not joined.
  ///
  /// - Throws: `FileError` that names the file which is damaged or missing, and the cure.
  package init?(in folder: WorkerFolder) throws {
    guard let data = try DurableFile.read(folder.record) else { return nil }
    do {
      record = try CanonicalJSON.decode(Record.self, from: data)
    } catch {
      throw FileError(doing: "reading", path: folder.record, reason: "it is damaged: \(Self.cure)")
    }
    certificate = try Self.certificate(folder.certificate)
    authority = try Self.certificate(folder.authority)
  }

  private static let cure =
    "join again with an invitation (tally worker join); key and results stay as they are"

  private static func certificate(_ path: String) throws -> String {
    guard let data = try DurableFile.read(path) else {
      throw FileError(doing: "reading", path: path, reason: "it is missing: \(cure)")
    }
    guard AuthorityCertificate(pem: data) != nil else {
      throw FileError(
        doing: "reading", path: path, reason: "it is damaged, no certificate in PEM: \(cure)")
    }
    return String(decoding: data, as: UTF8.self)
  }

  /// Stores the membership; `worker.json` comes last.
  package func store(in folder: WorkerFolder) throws {
    try DurableFile.write(authority, to: folder.authority)
    try DurableFile.write(certificate, to: folder.certificate)
    try storeRecord(in: folder)
  }

  /// Stores `worker.json` alone.
  func storeRecord(in folder: WorkerFolder) throws {
    try DurableFile.write([try CanonicalJSON.encode(record)], to: folder.record)
  }

  /// Of the coordinator's CA certificate; nil for a damaged one.
  var authorityFingerprint: Digest? {
    AuthorityCertificate(pem: Data(authority.utf8))?.fingerprint
  }

  /// When the client certificate begins, in seconds since 1970; nil for a damaged one.
  var notBefore: Int? {
    try? NIOSSLCertificate.fromPEMBytes(Array(certificate.utf8)).first.map {
      Int($0.notValidBefore)
    }
  }
}

extension Int {
  /// The difference, or the nearest number where that is none.
  fileprivate func clampedDifference(_ other: Int) -> Int {
    let (difference, overflow) = subtractingReportingOverflow(other)
    return overflow ? (self < other ? .min : .max) : difference
  }
}
