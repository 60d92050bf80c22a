import Foundation
import WireProtocol

/// A unit that a worker called invalid.
package struct Refusal: Hashable, Sendable, Codable {
  /// The manifest.
  package var model: Digest
  package var replica: Int64
  /// When it was leased the unit.
  package var issuedAt: Timestamp
  /// Whether the trusted machine computed the unit.
  package var isRefuted = false

  package init(model: Digest, replica: Int64, issuedAt: Timestamp) {
    self.model = model
    self.replica = replica
    self.issuedAt = issuedAt
  }
}

/// One machine with everything that decisions go by.
package struct WorkerRow: FleetRow {
  package let id: String
  /// What BOINC's statistics call it by; grows with each worker.
  package let number: Int
  package let account: String
  package var name: String
  package let trusted: Bool
  package let invitation: String
  package let publicKey: Digest
  package let createdAt: Timestamp
  package var lastSeen: Timestamp?
  package var suspendedUntil: Timestamp?
  package var backoffUntil: Timestamp?
  /// Units in a row that ended without a result.
  package var failures = 0
  package var failedAt: Timestamp?
  /// When its last result came.
  package var resultAt: Timestamp?
  package var consecutiveValid = 0
  /// Operations a second, as its accepted units showed.
  package var speed: Double?
  package var tally: Tally
  /// The day of UTC of which `acceptedToday` and `creditToday` are.
  package var today: Day?
  package var acceptedToday = 0
  package var creditToday = Credit(micro: 0)
  /// Of all results: seconds from lease to result, and how many.
  package var turnaroundSeconds = 0.0
  package var results = 0
  /// Those that count, the oldest first.
  package var refusals: [Refusal] = []
  package var bannedAt: Timestamp?
  package var banReason: String?
  package var revokedAt: Timestamp?
  package var deletedAt: Timestamp?
  package var machine: MachineFacts?
  package var runs = WorkerRuns()

  package init(
    id: String, number: Int, account: String, name: String, trusted: Bool, invitation: String,
    publicKey: Digest, createdAt: Timestamp
  ) {
    self.id = id
    self.number = number
    self.account = account
    self.name = name
    self.trusted = trusted
    self.invitation = invitation
    self.publicKey = publicKey
    self.createdAt = createdAt
    tally = Tally(created: createdAt)
  }

  package var key: String { id }
  package static var table: WritableKeyPath<Fleet, Table<Self>> & Sendable { \.workers }

  package static func reindex(_ index: inout FleetIndex, from old: Self?, to new: Self?) {
    index.people.reindex(worker: old, to: new)
  }
}

/// A client certificate that was given to a worker.
package struct CertificateRow: FleetRow {
  package let fingerprint: Digest
  package let worker: String
  package var notAfter: Timestamp
  package let der: Data
  package var isRevoked = false
  /// Whether the worker got another name with it.
  package let renames: Bool

  package init(
    fingerprint: Digest, worker: String, notAfter: Timestamp, der: Data, renames: Bool
  ) {
    self.fingerprint = fingerprint
    self.worker = worker
    self.notAfter = notAfter
    self.der = der
    self.renames = renames
  }

  package var key: Digest { fingerprint }
  package static var table: WritableKeyPath<Fleet, Table<Self>> & Sendable { \.certificates }

  package static func reindex(_ index: inout FleetIndex, from old: Self?, to new: Self?) {
    if let old { index.people.certificatesOfWorker.remove(old.fingerprint, under: old.worker) }
    if let new { index.people.certificatesOfWorker.insert(new.fingerprint, under: new.worker) }
  }
}
