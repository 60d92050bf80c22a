import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  func history(
    of scope: HistoryScope, from first: Day, through last: Day
  ) async throws -> [DayContribution] {
    let (worker, account, team) = scope.names
    return try await read { db in
      try db.all(
        """
        SELECT day, sum(contribution.accepted) AS accepted, sum(contribution.rejected) AS rejected,
          sum(contribution.tokens) AS tokens, sum(contribution.credit) AS credit,
          sum(contribution.energy) AS energy,
          sum(contribution.estimated_energy) AS estimated_energy
        FROM contribution JOIN worker ON worker.id = contribution.worker
          JOIN account ON account.id = worker.account
        WHERE day BETWEEN ? AND ? AND worker.id = coalesce(?, worker.id)
          AND account.id = coalesce(?, account.id) AND account.team IS coalesce(?, account.team)
        GROUP BY day ORDER BY day
        """, [first.number, last.number, worker, account, team]
      ).map { row in
        DayContribution(
          day: Day(number: try row.value("day")), accepted: try row.value("accepted"),
          rejected: try row.value("rejected"), tokens: try row.value("tokens"),
          credit: Credit(micro: try row.value("credit")), energy: try Energy(row: row))
      }
    }
  }
}

extension HistoryScope {
  /// The one that has to match; nil matches everything.
  fileprivate var names: (worker: String?, account: String?, team: Int?) {
    switch self {
    case .everyone: (nil, nil, nil)
    case .worker(let id): (id, nil, nil)
    case .account(let id): (nil, id, nil)
    case .team(let id): (nil, nil, id)
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
    try db.run(
      """
      INSERT INTO contribution
        (worker, day, accepted, rejected, tokens, credit, energy, estimated_energy)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (worker, day) DO UPDATE SET accepted = accepted + excluded.accepted,
        rejected = rejected + excluded.rejected, tokens = tokens + excluded.tokens,
        credit = credit + excluded.credit, energy = energy + excluded.energy,
        estimated_energy = estimated_energy + excluded.estimated_energy
      """,
      [
        worker, Day(containing: now).number, accepted, rejected, tokens, credit.micro,
        energy.millijoules, energy.estimatedMillijoules,
      ])
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
