import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  func history(
    of scope: HistoryScope, from first: Day, through last: Day
  ) async throws -> [DayContribution] {
    try await read { db in
      // A worker's days are found by the table's key; only everyone's are searched by day.
      let (condition, arguments) = scope.condition
      return try db.all(
        """
        SELECT day, sum(accepted) AS accepted, sum(rejected) AS rejected, sum(tokens) AS tokens,
          sum(credit) AS credit, sum(energy) AS energy, sum(estimated_energy) AS estimated_energy
        FROM contribution WHERE day BETWEEN ? AND ? \(condition) GROUP BY day ORDER BY day
        """, [first.number, last.number] + arguments
      ).map(DayContribution.init(row:))
    }
  }
}

extension HistoryScope {
  /// Whose days count, as a part of a statement on `contribution`.
  fileprivate var condition: (sql: String, arguments: StatementArguments) {
    switch self {
    case .everyone: ("", [])
    case .worker(let id): ("AND worker = ?", [id])
    case .account(let id):
      ("AND worker IN (SELECT id FROM worker WHERE account = ?)", [id])
    case .team(let id):
      (
        """
        AND worker IN (SELECT worker.id FROM worker JOIN account ON account.id = worker.account
          WHERE account.team = ?)
        """, [id]
      )
    }
  }
}

extension Transaction {
  /// Counts the day for an account's streak; only its first result of a day changes anything.
  func extendStreak(of account: String, now: Timestamp) throws {
    let before = try Streak(account: account, db)
    var streak = before
    streak.add(Day(containing: now))
    if streak != before { try streak.store(for: account, db) }
  }

  /// Adds to a worker's day.
  func count(
    worker: String, accepted: Int = 0, rejected: Int = 0, tokens: Int = 0,
    credit: Credit = Credit(micro: 0), energy: Energy = Energy(), now: Timestamp
  ) throws {
    try db.add(
      DayContribution(
        day: Day(containing: now), accepted: accepted, rejected: rejected, tokens: tokens,
        credit: credit, energy: energy), of: worker)
  }
}

extension Energy {
  /// From the columns `energy` and `estimated_energy`.
  init(row: Row) throws {
    self.init(
      millijoules: try row.value("energy"),
      estimatedMillijoules: try row.value("estimated_energy"))
  }

  /// The same where they may be null: nothing was claimed.
  init?(optional row: Row) throws {
    guard let millijoules = try row.optional("energy", as: Int64.self) else { return nil }
    self.init(
      millijoules: millijoules,
      estimatedMillijoules: try row.optional("estimated_energy") ?? millijoules)
  }
}

extension Streak {
  init(row: Row) throws {
    self.init(
      run: try row.value("streak"), longest: try row.value("longest_streak"),
      lastDay: try row.optional("streak_day").map(Day.init(number:)))
  }

  init(account: String, _ db: Database) throws {
    guard
      let row = try db.first(
        "SELECT streak, longest_streak, streak_day FROM account WHERE id = ?", [account])
    else { throw Row.damaged("replica.account") }
    try self.init(row: row)
  }

  func store(for account: String, _ db: Database) throws {
    try db.run(
      "UPDATE account SET streak = ?, longest_streak = ?, streak_day = ? WHERE id = ?",
      [run, longest, lastDay?.number, account])
  }
}
