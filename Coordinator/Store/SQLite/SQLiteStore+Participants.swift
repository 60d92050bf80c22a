import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  func workerOverview(_ id: String, now: Timestamp) async throws -> WorkerOverview? {
    let activeSince = now.adding(seconds: -policy.activeSeconds)
    return try await read { db in
      try db.first(
        """
        SELECT worker.*, account.name AS account_name, account.named AS named,
          account.banned_at AS account_banned_at, account.ban_reason AS account_ban_reason,
          account.suspended_until AS account_suspended
        FROM worker JOIN account ON account.id = worker.account
        WHERE worker.id = ? AND worker.deleted_at IS NULL
        """, [id]
      ).map { try WorkerOverview(row: $0, db, activeSince: activeSince, now: now) }
    }
  }

  func accountOverview(_ id: String, now: Timestamp) async throws -> AccountOverview {
    let activeSince = now.adding(seconds: -policy.activeSeconds)
    return try await read { db in
      guard
        let row = try db.first(
          """
          SELECT account.*, team.name AS team_name FROM account
          LEFT JOIN team ON team.id = account.team
          WHERE account.id = ? AND account.deleted_at IS NULL
          """, [id])
      else { throw StoreError(.notFound, "There is no account \(id).") }
      let credit: Int64 = try row.value("credit")
      let streak = try Streak(row: row)
      let invitations = try db.first(
        """
        SELECT ifnull(sum(uses_left), 0) AS uses, max(expires_at) AS ends FROM invitation
        WHERE account = ? AND uses_left > 0 AND expires_at > ?
        """, [id, now])
      let workers = try db.all(
        """
        SELECT worker.*, account.name AS account_name, account.named AS named,
          account.banned_at AS account_banned_at, account.ban_reason AS account_ban_reason,
          account.suspended_until AS account_suspended
        FROM worker JOIN account ON account.id = worker.account
        WHERE worker.account = ? AND worker.deleted_at IS NULL
        ORDER BY worker.last_seen DESC, worker.created_at, worker.id
        """, [id])
      return AccountOverview(
        profile: try AccountProfile(row: row),
        rank: 1
          + (try db.integer(
            "SELECT count(*) FROM account WHERE credit > ? AND deleted_at IS NULL", [credit])),
        accounts: try db.integer("SELECT count(*) FROM account WHERE deleted_at IS NULL"),
        streakDays: streak.current(on: Day(containing: now)), longestStreakDays: streak.longest,
        contribution: try Contribution(row: row, now: now),
        ban: try Ban(row, "banned_at", "ban_reason", coversAccount: true),
        invitationsLeft: try invitations?.value("uses") ?? 0,
        invitationsEnd: try invitations?.optional("ends"),
        workers: try workers.map {
          try WorkerOverview(row: $0, db, activeSince: activeSince, now: now)
        })
    }
  }
}

extension WorkerOverview {
  fileprivate init(
    row: Row, _ db: Database, activeSince: Timestamp, now: Timestamp
  ) throws {
    let id: String = try row.value("id")
    let lastSeen: Timestamp? = try row.optional("last_seen")
    self.init(
      id: id, name: try row.value("name"), accountID: try row.value("account"),
      accountName: try row.value("account_name"), isNamed: try row.value("named"),
      trusted: try row.value("trusted"), createdAt: try row.value("created_at"),
      lastSeen: lastSeen, isActive: lastSeen.map { $0 > activeSince } ?? false,
      flopsPerSecond: try row.optional("speed"),
      consecutiveValid: try row.value("consecutive_valid"),
      suspendedUntil: try row.suspension(["suspended_until", "account_suspended"], at: now),
      ban: try Ban(worker: row),
      running: try db.runningReplicas(of: id), contribution: try Contribution(row: row, now: now))
  }
}
