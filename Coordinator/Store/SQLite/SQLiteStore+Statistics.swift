import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  func statistics(now: Timestamp) async throws -> StatisticsSnapshot {
    try await read { db in
      let accounts = try StatisticsSnapshot.accounts(db, now: now)
      let workers = try db.all(
        "SELECT * FROM worker WHERE deleted_at IS NULL ORDER BY credit DESC, created_at, id"
      ).map { try StatisticsSnapshot.Worker(row: $0, now: now) }
      return StatisticsSnapshot(
        takenAt: now,
        unitsAccepted: try db.integer("SELECT count(*) FROM unit WHERE state = 'accepted'"),
        requestsCompleted: try db.integer("SELECT sum(completed) FROM batch"),
        batches: try db.integer("SELECT count(*) FROM batch"),
        // Credit of deleted accounts stays in the totals.
        totals: Contribution(
          summing: try db.all("SELECT * FROM account").map { try Contribution(row: $0, now: now) }),
        accounts: accounts,
        workers: workers, teams: try StatisticsSnapshot.teams(accounts, db))
    }
  }

  func ranking(now: Timestamp) async throws -> Ranking {
    try await read { db in
      let accounts = try StatisticsSnapshot.accounts(db, now: now)
      return Ranking(
        takenAt: now, accounts: accounts, teams: try StatisticsSnapshot.teams(accounts, db))
    }
  }

  func standing(worker: String, now: Timestamp) async throws -> Standing {
    try await read { db in
      guard let own = try db.first("SELECT * FROM worker WHERE id = ?", [worker]) else {
        throw StoreError(.notFound, "There is no worker \(worker).")
      }
      let id: String = try own.value("account")
      guard let account = try db.first("SELECT * FROM account WHERE id = ?", [id]) else {
        throw Row.damaged("worker.account")
      }
      let credit: Int64 = try account.value("credit")
      let day = Day(containing: now).number
      return Standing(
        worker: try Standing.Contribution(
          try Contribution(row: own, now: now),
          today: try db.first(
            """
            SELECT coalesce(sum(accepted), 0) AS accepted, coalesce(sum(credit), 0) AS credit
            FROM contribution WHERE worker = ? AND day = ?
            """, [worker, day])),
        account: try Standing.Contribution(
          try Contribution(row: account, now: now),
          today: try db.first(
            """
            SELECT coalesce(sum(contribution.accepted), 0) AS accepted,
              coalesce(sum(contribution.credit), 0) AS credit
            FROM contribution JOIN worker ON worker.id = contribution.worker
            WHERE worker.account = ? AND day = ?
            """, [id, day])),
        rank: 1 + (try db.integer("SELECT count(*) FROM account WHERE credit > ?", [credit])),
        accounts: try db.integer("SELECT count(*) FROM account WHERE deleted_at IS NULL"))
    }
  }

  func receipts(after: Int, limit: Int) async throws -> [ReceiptRecord] {
    try await read { db in
      try db.all(
        "SELECT * FROM receipt WHERE sequence > ? ORDER BY sequence LIMIT ?", [after, limit]
      ).map { row in
        ReceiptRecord(
          body: try row.json("body"), previous: try row.value("previous"),
          hash: try row.value("hash"))
      }
    }
  }

  func verifyReceiptChain() async throws -> ReceiptChainCheck {
    try await read { db in
      var count = 0
      var head = ReceiptRecord.start
      let rows = try Row.fetchCursor(db, sql: "SELECT * FROM receipt ORDER BY sequence")
      while let row = try rows.next() {
        let number: Int = try row.value("sequence")
        func broken(_ reason: String) -> ReceiptChainCheck {
          .broken(sequence: number, reason: reason)
        }
        let body: String = try row.value("body")
        guard number == count + 1 else { return broken("receipt \(count + 1) is missing") }
        guard try row.value("previous", as: Digest.self) == head else {
          return broken("it does not follow the receipt before")
        }
        let hash = ReceiptRecord.hash(previous: head, body: body)
        guard try row.value("hash", as: Digest.self) == hash else {
          return broken("its text does not have its hash")
        }
        let said = try row.json("body", as: ReceiptRecord.Body.self)
        guard said.sequence == number else { return broken("its text has another number") }
        count = number
        head = hash
      }
      return .intact(count: count, head: head)
    }
  }
}

extension StatisticsSnapshot {
  /// All that were not deleted, by credit, falling.
  fileprivate static func accounts(_ db: Database, now: Timestamp) throws -> [Account] {
    try db.all(
      """
      SELECT account.*, team.name AS team_name,
        (SELECT count(*) FROM worker WHERE worker.account = account.id) AS workers
      FROM account LEFT JOIN team ON team.id = account.team
      WHERE deleted_at IS NULL ORDER BY credit DESC, account.created_at, account.id
      """
    ).map { try Account(row: $0, now: now) }
  }

  /// Teams with what their present members contributed, by credit, falling.
  fileprivate static func teams(
    _ accounts: [StatisticsSnapshot.Account], _ db: Database
  ) throws -> [StatisticsSnapshot.Team] {
    let members = Dictionary(grouping: accounts, by: \.team)
    return try db.all("SELECT * FROM team ORDER BY id").map { row in
      let name: String = try row.value("name")
      let own = members[name] ?? []
      return StatisticsSnapshot.Team(
        id: try row.value("id"), name: name, createdAt: try row.value("created_at"),
        members: own.count, contribution: Contribution(summing: own.map(\.contribution)))
    }.sorted { ($1.contribution.credit, $0.id) < ($0.contribution.credit, $1.id) }
  }
}

extension StatisticsSnapshot.Account {
  fileprivate init(row: Row, now: Timestamp) throws {
    let streak = try Streak(row: row)
    self.init(
      id: try row.value("id"), name: try row.value("name"), isNamed: try row.value("named"),
      team: try row.optional("team_name"), createdAt: try row.value("created_at"),
      workers: try row.value("workers"), streakDays: streak.current(on: Day(containing: now)),
      longestStreakDays: streak.longest, contribution: try Contribution(row: row, now: now))
  }
}

extension StatisticsSnapshot.Worker {
  fileprivate init(row: Row, now: Timestamp) throws {
    self.init(
      id: try row.value("id"), accountID: try row.value("account"), name: try row.value("name"),
      trusted: try row.value("trusted"), createdAt: try row.value("created_at"),
      lastSeen: try row.optional("last_seen"), suspendedUntil: try row.optional("suspended_until"),
      consecutiveValid: try row.value("consecutive_valid"),
      contribution: try Contribution(row: row, now: now), machine: try MachineFacts(row: row))
  }
}

extension Standing.Contribution {
  fileprivate init(_ contribution: Contribution, today: Row?) throws {
    self.init(
      units: contribution.accepted, tokens: contribution.tokens, credit: contribution.credit,
      recentAverageCredit: contribution.recentAverageCredit,
      unitsToday: try today?.value("accepted"),
      creditToday: try today.map { Credit(micro: try $0.value("credit")).value })
  }
}

extension Contribution {
  /// From the columns that `account` and `worker` share.
  init(row: Row, now: Timestamp) throws {
    let average = RecentAverage(
      value: try row.value("average"), time: try row.value("average_at"))
    let energy = try Energy(row: row)
    self.init(
      accepted: try row.value("accepted"), rejected: try row.value("rejected"),
      tokens: try row.value("tokens"), credit: Credit(micro: try row.value("credit")).value,
      recentAverageCredit: average.value(at: now), energyJoules: energy.joules,
      estimatedEnergyJoules: energy.estimatedJoules)
  }
}
