import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  func takeReplay(now: Timestamp) async throws -> ReplayJob? {
    let taken: Result<ReplayJob?, StoreError> = try await write { transaction in
      guard let number = try transaction.nextReplay(now: now) else { return .success(nil) }
      do {
        return .success(try transaction.takeReplay(of: number, now: now))
      } catch let error as StoreError where error.code == .corrupt {
        // The others are taken meanwhile.
        try transaction.db.run(
          "UPDATE unit SET replay_deadline = ? WHERE number = ?",
          [now.adding(seconds: transaction.policy.replaySeconds), number])
        return .failure(StoreError(.corrupt, "unit \(number): \(error.message)"))
      }
    }
    return try taken.get()
  }

  func settleReplay(
    _ job: String, result: NewResult, now: Timestamp
  ) async throws -> ReplayOutcome? {
    try await write { transaction in
      guard let before = try transaction.replayed(job) else { return nil }
      guard result.sequences.count == before.promptTokens.count else {
        throw StoreError(.invalid, "The result does not have the unit's sequences.")
      }
      if before.audit == .due {
        return try transaction.settleAudit(before, result, now: now)
      }
      var row = before
      let actions = row.unit.settle(byReplay: result.digest)
      try transaction.settle(
        row, before: before, actions, summaries: result.sequences, now: now)
      // Who was right has not caused the work.
      let right = row.unit.replicas.filter { $0.result == result.digest }.map(\.account)
      try transaction.charge(
        before.replayedAccounts.intersection(right), -before.estimatedFlops, now: now)
      return ReplayOutcome(
        agreed: actions.count { if case .grant = $0 { true } else { false } },
        rejected: actions.count { if case .reject = $0 { true } else { false } })
    }
  }

  func failReplay(_ job: String, detail: String, now: Timestamp) async throws {
    try await write { transaction in
      guard let before = try transaction.replayed(job) else { return }
      if before.audit == .due { return try transaction.failAudit(of: before) }
      var row = before
      let actions = row.unit.failReplay(reason: String(detail.prefix(500)), transaction.policy)
      row.replay = nil
      row.replayDeadline = nil
      try transaction.settle(row, before: before, actions, summaries: [], now: now)
      // Who called it invalid may well be right, and then has not caused the work.
      if case .awaitingReplay(.calledInvalid) = before.unit.state {
        try transaction.charge(before.replayedAccounts, -before.estimatedFlops, now: now)
      }
    }
  }
}

extension Transaction {
  /// The unit to compute next: the smallest of those whose accounts have caused least work of this
  /// kind today, so that a liar's disputes do not keep others' waiting; of each worker's disputes
  /// one at a time, since it may end them all. Audits come when nothing else waits.
  fileprivate func nextReplay(now: Timestamp) throws -> Int64? {
    let dispute = try db.first(
      """
      SELECT unit.number,
        max(CASE WHEN account.replay_day = ? THEN account.replay_flops ELSE 0 END) AS charged,
        max(replica.worker IN (
          SELECT other.worker FROM unit AS running CROSS JOIN replica AS other
            ON other.unit = running.number AND other.state = 'submitted'
          WHERE running.state = 'awaiting_replay' AND running.replay_deadline > ?)) AS busy
      FROM unit
        LEFT JOIN replica ON replica.unit = unit.number AND (replica.state = 'submitted'
          OR (unit.reason = 'lostReplicas' AND replica.state IN ('expired', 'abandoned'))
          OR (unit.reason = 'calledInvalid' AND replica.reason = 'invalidUnit'))
        LEFT JOIN account ON account.id = replica.account
      WHERE unit.state = 'awaiting_replay' AND ifnull(unit.replay_deadline <= ?, 1)
      GROUP BY unit.number HAVING ifnull(busy, 0) = 0
      ORDER BY ifnull(charged, 0), unit.estimated_flops, unit.number LIMIT 1
      """, [Day(containing: now).number, now, now])
    let next = try dispute ?? db.first(
      """
      SELECT number FROM unit WHERE audit = 'due' AND ifnull(replay_deadline <= ?, 1)
      ORDER BY number LIMIT 1
      """, [now])
    return try next?.value("number")
  }

  /// Gives out a unit's replay; changes nothing when it throws.
  fileprivate func takeReplay(of number: Int64, now: Timestamp) throws -> ReplayJob {
    let unit = try StoredUnit.require(number, db)
    let specification = try specification(of: number)
    let id = identifiers.make("replay_")
    let deadline = now.adding(seconds: policy.replaySeconds(flops: unit.estimatedFlops))
    try db.run(
      "UPDATE unit SET replay = ?, replay_deadline = ? WHERE number = ?", [id, deadline, number])
    try charge(unit.replayedAccounts, unit.estimatedFlops, now: now)
    return ReplayJob(
      id: id, unit: unit.digest, specification: specification,
      estimatedFlops: unit.estimatedFlops,
      reason: unit.unit.state.names.reason ?? ReplayJob.auditReason, deadline: deadline)
  }

  /// Adds to what accounts have caused the trusted machine to compute today.
  fileprivate func charge(_ accounts: Set<String>, _ flops: Double, now: Timestamp) throws {
    let day = Day(containing: now).number
    for account in accounts {
      try db.run(
        """
        UPDATE account SET replay_day = ?,
          replay_flops = max(0, ? + CASE WHEN replay_day = ? THEN replay_flops ELSE 0 END)
        WHERE id = ?
        """, [day, flops, day, account])
    }
  }

  /// The unit that a replay job is for; nil when the job is not the unit's present one.
  fileprivate func replayed(_ job: String) throws -> StoredUnit? {
    try db.first(
      """
      SELECT number FROM unit
      WHERE replay = ? AND (state IN ('open', 'awaiting_replay') OR audit = 'due')
      """, [job]
    ).flatMap { try StoredUnit.find(try $0.value("number"), db) }
  }
}

extension StoredUnit {
  /// Those for whose results, or for want of them, the trusted machine computes the unit: of one
  /// that was called invalid, those who called it so; nobody for an audit.
  fileprivate var replayedAccounts: Set<String> {
    guard case .awaitingReplay(let reason) = unit.state else { return [] }
    return Set(
      unit.replicas.lazy.filter { replica in
        switch replica.state {
        case .submitted: true
        case .expired, .abandoned:
          reason == .lostReplicas || (reason == .calledInvalid && replica.isRefusal)
        default: false
        }
      }.map(\.account))
  }
}
