import WireProtocol

/// What an account or a worker has been granted and refused so far.
package struct Tally: Hashable, Sendable {
  package var accepted = 0
  package var rejected = 0
  package var tokens = 0
  package var credit = Credit(micro: 0)
  package var energy = Energy()
  package var average: RecentAverage

  /// - Parameter created: when it begins.
  package init(created: Timestamp) { average = RecentAverage(time: created) }
}

/// A result of an account that was wrong.
package struct WrongResult: Hashable, Sendable, Codable {
  package var worker: String
  /// Operations of its unit.
  package var flops: Double
  package var submittedAt: Timestamp

  package init(worker: String, flops: Double, submittedAt: Timestamp) {
    self.worker = worker
    self.flops = flops
    self.submittedAt = submittedAt
  }
}

/// An account with everything that decisions go by.
package struct AccountRow: FleetRow {
  package let id: String
  /// What BOINC's statistics call it by; grows with each account.
  package let number: Int
  package var name: String
  /// `NameLikeness.key` of the name; empty for a deleted account.
  package var likeness: String
  package var createdAt: Timestamp
  package var isNamed = false
  package var team: Int?
  package var teamChangedAt: Timestamp?
  package var country: String?
  package var url: String?
  package var email: String?
  /// BOINC's, which makes one person's identifier with the e-mail address.
  package var crossProjectID: String
  package var tally: Tally
  package var streak = Streak()
  /// Units in a row that ended without a result.
  package var failures = 0
  package var backoffUntil: Timestamp?
  /// Until when units that were given back count (`ReturnRate`).
  package var returnsUntil: Timestamp?
  package var suspendedUntil: Timestamp?
  package var noEnrolmentUntil: Timestamp?
  /// The day of which `replayFlops` is what the trusted machine computed for it.
  package var replayDay = 0
  package var replayFlops = 0.0
  /// By whom it was confirmed: the first few, in order (`AuditRule.establishedConfirmations`).
  package var confirmations: [String] = []
  /// Those that count, the oldest first.
  package var wrongResults: [WrongResult] = []
  package var bannedAt: Timestamp?
  package var banReason: String?
  package var deletedAt: Timestamp?

  package init(
    id: String, number: Int, name: String, likeness: String, createdAt: Timestamp,
    crossProjectID: String
  ) {
    self.id = id
    self.number = number
    self.name = name
    self.likeness = likeness
    self.createdAt = createdAt
    self.crossProjectID = crossProjectID
    tally = Tally(created: createdAt)
  }

  package var key: String { id }
  package static var table: WritableKeyPath<Fleet, Table<Self>> & Sendable { \.accounts }

  package static func reindex(_ index: inout FleetIndex, from old: Self?, to new: Self?) {
    index.people.reindex(account: old, to: new)
  }

  package var record: AccountRecord { AccountRecord(id: id, name: name, createdAt: createdAt) }
}

/// A key that opens an account's page.
package struct AccountKeyRow: FleetRow {
  package let number: Int64
  /// SHA-256 of the key's UTF-8 bytes.
  package let hash: Digest
  package let account: String
  package let createdAt: Timestamp
  package var revokedAt: Timestamp?

  package init(
    number: Int64, hash: Digest, account: String, createdAt: Timestamp,
    revokedAt: Timestamp? = nil
  ) {
    self.number = number
    self.hash = hash
    self.account = account
    self.createdAt = createdAt
    self.revokedAt = revokedAt
  }

  package var key: Int64 { number }
  package static var table: WritableKeyPath<Fleet, Table<Self>> & Sendable { \.accountKeys }

  package static func reindex(_ index: inout FleetIndex, from old: Self?, to new: Self?) {
    if let old {
      index.people.accountKeys[old.hash] = nil
      index.people.keysOfAccount.remove(old.number, under: old.account)
    }
    if let new {
      index.people.accountKeys[new.hash] = new.number
      index.people.keysOfAccount.insert(new.number, under: new.account)
    }
  }
}

/// A team, which lasts as long as it has members.
package struct TeamRow: FleetRow {
  package let id: Int
  package let name: String
  package let likeness: String
  /// The account's id.
  package let founder: String
  package let createdAt: Timestamp

  package init(id: Int, name: String, likeness: String, founder: String, createdAt: Timestamp) {
    self.id = id
    self.name = name
    self.likeness = likeness
    self.founder = founder
    self.createdAt = createdAt
  }

  package var key: Int { id }
  package static var table: WritableKeyPath<Fleet, Table<Self>> & Sendable { \.teams }
  package static func reindex(_ index: inout FleetIndex, from old: Self?, to new: Self?) {}
}

/// An invitation for machines of one account.
package struct InvitationRow: FleetRow {
  package let id: String
  package let secretHash: Digest
  package let account: String
  package var usesLeft: Int
  /// 0 for one that was revoked.
  package var expiresAt: Timestamp
  package let trusted: Bool
  package let createdAt: Timestamp

  package init(
    id: String, secretHash: Digest, account: String, usesLeft: Int, expiresAt: Timestamp,
    trusted: Bool, createdAt: Timestamp
  ) {
    self.id = id
    self.secretHash = secretHash
    self.account = account
    self.usesLeft = usesLeft
    self.expiresAt = expiresAt
    self.trusted = trusted
    self.createdAt = createdAt
  }

  package var key: String { id }
  package static var table: WritableKeyPath<Fleet, Table<Self>> & Sendable { \.invitations }

  package static func reindex(_ index: inout FleetIndex, from old: Self?, to new: Self?) {
    if let old {
      index.people.invitations[old.secretHash] = nil
      index.people.invitationsOfAccount.remove(old.id, under: old.account)
    }
    if let new {
      index.people.invitations[new.secretHash] = new.id
      index.people.invitationsOfAccount.insert(new.id, under: new.account)
    }
  }
}
