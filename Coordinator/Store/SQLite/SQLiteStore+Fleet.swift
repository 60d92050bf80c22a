import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  func createInvitation(
    _ invitation: NewInvitation, now: Timestamp
  ) async throws -> InvitationRecord {
    guard invitation.uses > 0 else {
      throw StoreError(.invalid, "An invitation admits at least one worker.")
    }
    return try await write { transaction in
      let db = transaction.db
      let account = try transaction.account(named: invitation.accountName, now: now)
      if try transaction.isBanned(account: account.id) {
        throw StoreError(
          .conflict, "The account \(invitation.accountName) is banned: end the ban first.")
      }
      if invitation.isNamed {
        try db.run("UPDATE account SET named = 1 WHERE id = ?", [account.id])
      }
      let id = transaction.identifiers.make("invitation_")
      try db.run(
        """
        INSERT INTO invitation (id, secret_hash, account, uses_left, expires_at, trusted,
          created_at)
        VALUES (?, ?, ?, ?, ?, ?, ?)
        """,
        [
          id, invitation.secretHash, account.id, invitation.uses, invitation.expiresAt,
          invitation.trusted, now,
        ])
      return InvitationRecord(
        id: id, account: account, usesLeft: invitation.uses, expiresAt: invitation.expiresAt,
        trusted: invitation.trusted, createdAt: now)
    }
  }

  func invitations(now: Timestamp) async throws -> [InvitationRecord] {
    try await read { db in
      try db.all(
        """
        SELECT invitation.*, account.name AS account_name, account.created_at AS account_created_at
        FROM invitation JOIN account ON account.id = invitation.account
        WHERE uses_left > 0 AND expires_at > ? ORDER BY invitation.created_at, invitation.id
        """, [now]
      ).map { row in
        InvitationRecord(
          id: try row.value("id"),
          account: AccountRecord(
            id: try row.value("account"), name: try row.value("account_name"),
            createdAt: try row.value("account_created_at")),
          usesLeft: try row.value("uses_left"), expiresAt: try row.value("expires_at"),
          trusted: try row.value("trusted"), createdAt: try row.value("created_at"))
      }
    }
  }

  func revokeInvitation(_ id: String) async throws -> Bool {
    try await write { transaction in
      try transaction.db.run(
        "UPDATE invitation SET uses_left = 0, expires_at = 0 WHERE id = ? AND expires_at > 0", [id])
      return transaction.db.changesCount > 0
    }
  }

  func enrol(_ worker: NewWorker, now: Timestamp) async throws -> WorkerRecord {
    try await write { transaction in
      let db = transaction.db
      let invalid = StoreError(
        .invitationInvalid, "The invitation is unknown, used up or expired: ask for a new one.")
      guard
        let invitation = try db.first(
          "SELECT * FROM invitation WHERE secret_hash = ? AND expires_at > ?",
          [worker.secretHash, now])
      else { throw invalid }
      let invitationID: String = try invitation.value("id")
      if try transaction.isBanned(account: try invitation.value("account")) {
        throw StoreError(
          .invitationInvalid,
          "The coordinator's operator has banned the account that the invitation is for.")
      }
      if let present = try db.first(
        "SELECT id, revoked_at FROM worker WHERE invitation = ? AND public_key = ?",
        [invitationID, worker.publicKey])
      {
        try present.requireMembership()
        return try WorkerRecord.require(try present.value("id"), db)
      }
      if let reason = try transaction.refusal(ofEnrolmentWith: invitation, now: now) {
        throw StoreError(.invitationInvalid, reason)
      }
      try db.run(
        "UPDATE invitation SET uses_left = uses_left - 1 WHERE id = ? AND uses_left > 0",
        [invitationID])
      guard db.changesCount == 1 else { throw invalid }
      let id = transaction.identifiers.make("worker_")
      try db.run(
        """
        INSERT INTO worker (id, number, account, name, trusted, invitation, public_key, created_at,
          average_at)
        VALUES (?, (SELECT coalesce(max(number), 0) + 1 FROM worker), ?, ?, ?, ?, ?, ?, ?)
        """,
        [
          id, try invitation.value("account", as: String.self),
          Name.cleaned(worker.name) ?? "unnamed",
          try invitation.value("trusted", as: Bool.self), invitationID, worker.publicKey, now, now,
        ])
      return try WorkerRecord.require(id, db)
    }
  }

  func recordCertificate(
    _ certificate: CertificateRecord, renamingTo name: String?, now: Timestamp
  ) async throws -> Bool {
    try await write { transaction in
      let (db, id) = (transaction.db, certificate.workerID)
      guard let worker = try db.first("SELECT revoked_at FROM worker WHERE id = ?", [id]) else {
        throw StoreError(.notFound, "There is no worker \(id).")
      }
      // Whoever asked was admitted before; the revocation may have come in between.
      try worker.requireMembership()
      try db.run(
        "DELETE FROM certificate WHERE worker = ? AND not_after <= ?",
        [id, now.adding(seconds: -StoreLimit.certificateGraceSeconds)])
      // All are given for the same time, so that the end of one tells when it was given; later ends
      // are from before the clock was set back.
      let window = min(86_400, Int(certificate.notAfter.seconds(since: now)) / 3)
      let recent = try db.integer(
        """
        SELECT count(*) FROM certificate
        WHERE worker = ? AND not_after > ? AND not_after <= ? AND renames = ?
        """,
        [
          id, certificate.notAfter.adding(seconds: -window), certificate.notAfter, name != nil,
        ])
      let limit = name == nil ? StoreLimit.certificatesAtOnce : StoreLimit.renamesAtOnce
      guard recent < limit else { return false }
      try transaction.record(certificate, renames: name != nil)
      if let name {
        try db.run(
          "UPDATE worker SET name = ? WHERE id = ?", [Name.cleaned(name) ?? "unnamed", id])
      }
      return true
    }
  }

  func admission(
    of certificate: CertificateRecord, publicKey: Digest
  ) async throws -> WorkerAdmission {
    if let known = try await read({ try certificate.admission($0) }) { return known }
    return try await write { transaction in
      let (db, id) = (transaction.db, certificate.workerID)
      if let known = try certificate.admission(db) { return known }
      guard
        let worker = try db.first(
          "SELECT public_key, revoked_at FROM worker WHERE id = ?", [id]),
        try worker.value("public_key", as: Digest.self) == publicKey
      else { return .unknown }
      if try worker.isRevoked { return .revoked }
      try transaction.record(certificate)
      return .admitted(try WorkerRecord.require(id, db))
    }
  }

  func certificateEnd(_ fingerprint: Digest) async throws -> Timestamp? {
    try await read { db in
      try db.first("SELECT not_after FROM certificate WHERE fingerprint = ?", [fingerprint])?
        .value("not_after")
    }
  }

  func worker(_ id: String) async throws -> WorkerRecord? {
    try await read { try WorkerRecord.find(id, $0) }
  }

  func revokeWorker(_ id: String, now: Timestamp) async throws -> Bool {
    try await write { transaction in
      guard try WorkerRecord.find(id, transaction.db) != nil else { return false }
      try transaction.revoke(worker: id, now: now)
      return true
    }
  }
}

extension CertificateRecord {
  /// Nil when the database does not know it.
  fileprivate func admission(_ db: Database) throws -> WorkerAdmission? {
    guard
      let row = try db.first(
        """
        SELECT certificate.worker, certificate.revoked, worker.revoked_at
        FROM certificate JOIN worker ON worker.id = certificate.worker WHERE fingerprint = ?
        """, [fingerprint])
    else { return nil }
    guard try row.value("worker") == workerID else { return .unknown }
    if try row.value("revoked", as: Bool.self) || row.isRevoked { return .revoked }
    return .admitted(try WorkerRecord.require(workerID, db))
  }
}

extension Row {
  /// Of a row of `worker`: whether the operator ended the membership, or the account was deleted.
  fileprivate var isRevoked: Bool {
    get throws { try optional("revoked_at", as: Timestamp.self) != nil }
  }

  /// - Throws: `StoreError.membershipEnded`.
  fileprivate func requireMembership() throws {
    guard try isRevoked else { return }
    throw StoreError(
      .membershipEnded,
      "The coordinator's operator has ended this worker's membership. To join anew, ask for a new "
        + "invitation.")
  }
}

extension Transaction {
  /// Ends a worker's membership for good: its certificates, and what it has unverified.
  func revoke(worker id: String, now: Timestamp) throws {
    try db.run(
      "UPDATE worker SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", [now, id])
    try db.run("UPDATE certificate SET revoked = 1 WHERE worker = ?", [id])
    try takeBack(worker: id, now: now)
  }

  /// - Parameter renames: whether the worker got another name with it.
  fileprivate func record(_ certificate: CertificateRecord, renames: Bool = false) throws {
    try db.run(
      """
      INSERT INTO certificate (fingerprint, worker, not_after, der, renames) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT DO NOTHING
      """,
      [
        certificate.fingerprint, certificate.workerID, certificate.notAfter, certificate.der,
        renames,
      ])
  }

  fileprivate func isBanned(account: String) throws -> Bool {
    try db.first("SELECT 1 FROM account WHERE id = ? AND banned_at IS NOT NULL", [account]) != nil
  }

  /// Why an invitation admits no further machine though it has uses left; nil when it does.
  fileprivate func refusal(ofEnrolmentWith invitation: Row, now: Timestamp) throws -> String? {
    if try db.first(
      "SELECT 1 FROM account WHERE id = ? AND no_enrolment_until > ?",
      [try invitation.value("account", as: String.self), now]) != nil
    {
      return "A machine of the account that the invitation is for gave wrong results: no other "
        + "may join for now."
    }
    if try db.first(
      "SELECT 1 FROM worker WHERE invitation = ? AND banned_at IS NOT NULL LIMIT 1",
      [try invitation.value("id", as: String.self)]) != nil
    {
      return "The coordinator's operator has banned a machine that joined with this invitation: "
        + "ask for a new one."
    }
    if try db.first(
      "SELECT 1 FROM worker WHERE invitation = ? AND revoked_at IS NOT NULL LIMIT 1",
      [try invitation.value("id", as: String.self)]) != nil
    {
      return
        "The coordinator's operator has ended the membership of a machine that joined with this "
        + "invitation: ask for a new one."
    }
    return nil
  }

  /// The account with this name, made when it is new.
  ///
  /// - Throws: `StoreError.invalid` for what is no name; `.conflict` for a new one that looks like
  ///   another's.
  fileprivate func account(named name: String, now: Timestamp) throws -> AccountRecord {
    if let known = try db.first("SELECT * FROM account WHERE name = ?", [name]) {
      return try AccountRecord(row: known)
    }
    let name = try StoreError.checkedName(name, of: "account's name")
    if let known = try db.first("SELECT * FROM account WHERE name = ?", [name]) {
      return try AccountRecord(row: known)
    }
    let likeness = NameLikeness.key(of: name)
    if let other = try db.first("SELECT name FROM account WHERE likeness = ?", [likeness]) {
      let other: String = try other.value("name")
      throw StoreError(
        .conflict, "The name \(name) looks like that of the account \(other): choose another.")
    }
    let account = AccountRecord(id: identifiers.make("account_"), name: name, createdAt: now)
    try db.run(
      """
      INSERT INTO account (id, number, name, likeness, cross_project_id, created_at, average_at)
      VALUES (?, (SELECT coalesce(max(number), 0) + 1 FROM account), ?, ?, ?, ?, ?)
      """, [account.id, name, likeness, identifiers.make(""), now, now])
    return account
  }
}

extension AccountRecord {
  fileprivate init(row: Row) throws {
    self.init(
      id: try row.value("id"), name: try row.value("name"), createdAt: try row.value("created_at"))
  }
}

extension WorkerRecord {
  /// - Throws: `StoreError.notFound`.
  static func require(_ id: String, _ db: Database) throws -> WorkerRecord {
    guard let worker = try find(id, db) else {
      throw StoreError(.notFound, "There is no worker \(id).")
    }
    return worker
  }

  static func find(_ id: String, _ db: Database) throws -> WorkerRecord? {
    try db.first(
      """
      SELECT worker.*, account.name AS account_name
      FROM worker JOIN account ON account.id = worker.account WHERE worker.id = ?
      """, [id]
    ).map { row in
      WorkerRecord(
        id: id, accountID: try row.value("account"), accountName: try row.value("account_name"),
        name: try row.value("name"), trusted: try row.value("trusted"),
        createdAt: try row.value("created_at"), lastSeen: try row.optional("last_seen"),
        suspendedUntil: try row.optional("suspended_until"))
    }
  }
}
