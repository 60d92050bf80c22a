import Foundation
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
    /// When the certificate ends, in seconds since 1970.
    package var notAfter: Int
  }

  package var record: Record
  /// The client certificate in PEM.
  package var certificate: String
  /// The coordinator's CA certificate in PEM.
  package var authority: String

  /// Takes the coordinator's answer to an enrolment or a renewal at `now` (seconds since 1970).
  package init(_ response: EnrolmentResponse, url: String, now: Int) {
    record = Record(
      url: url, workerID: response.workerID, accountName: Name.cleaned(response.accountName, limitBytes: Name.limitBytes) ?? "", issuedAt: now,
      notAfter: response.notAfter)
    certificate = response.certificate
    authority = response.authority
  }

  /// Reads the membership that `folder` holds; nil when the worker has not joined.
  package init?(in folder: WorkerFolder) throws {
    guard let data = try DurableFile.read(folder.record) else { return nil }
    do {
      record = try CanonicalJSON.decode(Record.self, from: data)
    } catch {
      throw FileError(doing: "reading", path: folder.record, reason: "damaged: \(error)")
    }
    certificate = try Self.text(folder.certificate)
    authority = try Self.text(folder.authority)
  }

  private static func text(_ path: String) throws -> String {
    guard let data = try DurableFile.read(path) else {
      throw FileError(doing: "reading", path: path, reason: "missing")
    }
    return String(decoding: data, as: UTF8.self)
  }

  /// Stores the membership; `worker.json` comes last.
  package func store(in folder: WorkerFolder) throws {
    try DurableFile.write(authority, to: folder.authority)
    try DurableFile.write(certificate, to: folder.certificate)
    try DurableFile.write([try CanonicalJSON.encode(record)], to: folder.record)
  }
}
