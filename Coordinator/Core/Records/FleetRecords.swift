import Foundation
import WireProtocol

/// Who gets credit.
package struct AccountRecord: Hashable, Sendable {
  /// `account_` and 24 letters or digits.
  package var id: String
  package var name: String
  package var createdAt: Timestamp

  package init(
    id: String, name: String, createdAt: Timestamp
  ) {
    self.id = id
    self.name = name
    self.createdAt = createdAt
  }
}

/// One machine of an account.
package struct WorkerRecord: Hashable, Sendable {
  /// `worker_` and 24 letters or digits.
  package var id: String
  package var accountID: String
  package var accountName: String
  /// What the volunteer calls it.
  package var name: String
  /// Serves the trusted pool too.
  package var trusted: Bool
  package var createdAt: Timestamp
  package var lastSeen: Timestamp?
  package var suspendedUntil: Timestamp?

  package init(
    id: String, accountID: String, accountName: String, name: String, trusted: Bool,
    createdAt: Timestamp, lastSeen: Timestamp? = nil, suspendedUntil: Timestamp? = nil
  ) {
    self.id = id
    self.accountID = accountID
    self.accountName = accountName
    self.name = name
    self.trusted = trusted
    self.createdAt = createdAt
    self.lastSeen = lastSeen
    self.suspendedUntil = suspendedUntil
  }
}

/// An invitation to be stored. The secret itself never reaches the store.
package struct NewInvitation: Hashable, Sendable {
  /// SHA-256 of the secret's UTF-8 bytes.
  package var secretHash: Digest
  /// Created when no account has this name.
  package var accountName: String
  /// Workers that may join with it, 1 or more.
  package var uses: Int
  package var expiresAt: Timestamp
  /// Whether these workers serve the trusted pool.
  package var trusted: Bool
  /// Whether the account's owner agreed that its name and contribution are public; what was agreed
  /// before stays.
  package var isNamed: Bool

  package init(
    secretHash: Digest, accountName: String, uses: Int, expiresAt: Timestamp, trusted: Bool,
    isNamed: Bool = false
  ) {
    self.secretHash = secretHash
    self.accountName = accountName
    self.uses = uses
    self.expiresAt = expiresAt
    self.trusted = trusted
    self.isNamed = isNamed
  }
}

/// An invitation as the operator sees it.
package struct InvitationRecord: Hashable, Sendable {
  /// `invitation_` and 24 letters or digits.
  package var id: String
  package var account: AccountRecord
  package var usesLeft: Int
  package var expiresAt: Timestamp
  package var trusted: Bool
  package var createdAt: Timestamp

  package init(
    id: String, account: AccountRecord, usesLeft: Int, expiresAt: Timestamp, trusted: Bool,
    createdAt: Timestamp
  ) {
    self.id = id
    self.account = account
    self.usesLeft = usesLeft
    self.expiresAt = expiresAt
    self.trusted = trusted
    self.createdAt = createdAt
  }
}

/// A worker that joins.
package struct NewWorker: Hashable, Sendable {
  package var secretHash: Digest
  /// SHA-256 of the DER of the worker's public key. The same key with the same invitation is the
  /// same worker, so that a retried enrolment uses the invitation once.
  package var publicKey: Digest
  /// At most 100 characters are kept.
  package var name: String

  package init(secretHash: Digest, publicKey: Digest, name: String) {
    self.secretHash = secretHash
    self.publicKey = publicKey
    self.name = name
  }
}

/// What a certificate of the coordinator's authority is worth.
package enum WorkerAdmission: Hashable, Sendable {
  case admitted(WorkerRecord)
  /// Its worker was revoked, or its account deleted.
  case revoked
  /// There is no such worker, or it has another key.
  case unknown
}

/// A client certificate that was issued to a worker.
package struct CertificateRecord: Hashable, Sendable {
  /// SHA-256 of the certificate's DER.
  package var fingerprint: Digest
  package var workerID: String
  package var notAfter: Timestamp
  /// The certificate's DER: its key checks the signatures of stored results.
  package var der: Data

  package init(fingerprint: Digest, workerID: String, notAfter: Timestamp, der: Data) {
    self.fingerprint = fingerprint
    self.workerID = workerID
    self.notAfter = notAfter
    self.der = der
  }
}
