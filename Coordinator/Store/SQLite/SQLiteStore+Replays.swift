import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  func takeReplay(now: Timestamp) async throws -> ReplayJob? {
    try await write { transaction in
      let db = transaction.db
      guard
        let row = try db.first(
          """
          SELECT number FROM unit
          WHERE state = 'awaiting_replay' AND ifnull(replay_deadline <= ?, 1)
          ORDER BY number LIMIT 1
          """, [now])
      else { return nil }
      let unit = try UnitRow.require(try row.value("number"), db)
      let id = transaction.identifiers.make("replay_")
      let deadline = now.adding(
        seconds: transaction.policy.replaySeconds(flops: unit.estimatedFlops))
      try db.run(
        "UPDATE unit SET replay = ?, replay_deadline = ? WHERE number = ?",
        [id, deadline, unit.number])
      return ReplayJob(
        id: id, unit: unit.digest,
        specification: try transaction.specification(of: unit.number),
        estimatedFlops: unit.estimatedFlops, reason: unit.unit.state.columns.reason ?? "",
        deadline: deadline)
    }
  }

  func settleReplay(
    _ job: String, result: NewResult, now: Timestamp
  ) async throws -> ReplayOutcome? {
    try await write { transaction in
      guard let before = try transaction.replayed(job) else { return nil }
      guard result.sequences.count == before.promptTokens.count else {
        throw StoreError(.invalid, "The result does not have the unit's sequences.")
      }
      var row = before
      let actions = row.unit.settle(byReplay: result.digest)
      try transaction.settle(
        row, before: before, actions, summaries: result.sequences, now: now)
      return ReplayOutcome(
        agreed: actions.count { if case .grant = $0 { true } else { false } },
        rejected: actions.count { if case .reject = $0 { true } else { false } })
    }
  }

  func failReplay(_ job: String, detail: String, now: Timestamp) async throws {
    try await write { transaction in
      guard let before = try transaction.replayed(job) else { return }
      var row = before
      let actions = row.unit.failReplay(reason: String(detail.prefix(500)), transaction.policy)
      row.replay = nil
      row.replayDeadline = nil
      try transaction.settle(row, before: before, actions, summaries: [], now: now)
    }
  }
}

extension Transaction {
  /// The unit that a replay job is for; nil when the job is not the unit's present one.
  fileprivate func replayed(_ job: String) throws -> UnitRow? {
    try db.first("SELECT number FROM unit WHERE replay = ? AND state = 'awaiting_replay'", [job])
      .flatMap { try UnitRow.find(try $0.value("number"), db) }
  }
}
