import CoordinatorCore
import GRDB
import WireProtocol

/// Audits: which accepted units are computed again, and what follows.
extension Transaction {
  /// Lets the lot decide whether a unit that a quorum accepted is audited.
  func drawAudit(of row: StoredUnit) throws {
    guard row.unit.state.acceptance?.verification == .quorum else { return }
    let confirmations = try row.unit.acceptedAccounts.sorted().map(confirmations(of:))
    let chance = AuditRule(share: policy.auditShare).chance(confirmations: confirmations)
    if lots.hits(chance) { try makeDue([row.number]) }
  }

  /// Puts units on the list of audits. From a full list `AuditBacklog` drops some.
  ///
  /// The plus signs keep SQLite from looking for units without a replay by that column's index:
  /// nearly all units have none.
  private func makeDue(_ units: [Int64]) throws {
    for unit in units {
      try db.run(
        "UPDATE unit SET audit = 'due', failed_replays = 0 WHERE number = ? AND audit IS NULL",
        [unit])
    }
    let waiting = try db.integer(
      "SELECT count(*) FROM unit WHERE audit = 'due' AND +replay IS NULL")
    guard waiting > policy.maximumDueAudits else { return }
    let dropped = AuditBacklog(limit: policy.maximumDueAudits).dropped(
      from: try dueAudits(), lot: lots.pick(below:))
    for unit in dropped {
      try db.run("UPDATE unit SET audit = NULL WHERE number = ?", [unit])
    }
  }

  /// Audits that wait; those that the trusted machine was given are not among them.
  private func dueAudits() throws -> [DueAudit] {
    let rows = try db.all(
      """
      SELECT unit.number, ifnull(unit.flops, unit.estimated_flops) AS flops, replica.account
      FROM unit LEFT JOIN replica ON replica.unit = unit.number AND replica.state = 'accepted'
      WHERE unit.audit = 'due' AND +unit.replay IS NULL
      """)
    var accounts: [Int64: Set<String>] = [:]
    var flops: [Int64: Double] = [:]
    for row in rows {
      let unit: Int64 = try row.value("number")
      flops[unit] = try row.value("flops", as: Double.self)
      if let account: String = try row.optional("account") {
        accounts[unit, default: []].insert(account)
      }
    }
    return flops.map { DueAudit(unit: $0.key, accounts: accounts[$0.key] ?? [], flops: $0.value) }
  }

  private func confirmations(of account: String) throws -> Int {
    try db.integer("SELECT count(*) FROM confirmation WHERE account = ?", [account])
  }

  /// Keeps by whom the accounts that were granted credit have been confirmed, until they are
  /// established.
  func noteConfirmations(of row: StoredUnit, _ actions: [WorkUnit.Action]) throws {
    let granted = actions.compactMap { action in
      if case .grant(let replica) = action { replica } else { nil }
    }
    let accounts = row.unit.replicas.filter { granted.contains($0.id) }.map(\.account)
    guard !accounts.isEmpty else { return }
    switch row.unit.state.acceptance?.verification {
    case .quorum:
      let established = try row.unit.acceptedAccounts.filter {
        try confirmations(of: $0) >= AuditRule.establishedConfirmations
      }
      for account in accounts {
        for other in established where other != account { try confirm(account, by: other) }
      }
    case .replay: for account in accounts { try confirm(account, by: "unit \(row.number)") }
    case .trustedPool, nil: break
    }
  }

  private func confirm(_ account: String, by other: String) throws {
    guard try confirmations(of: account) < AuditRule.establishedConfirmations else { return }
    try db.run(
      "INSERT INTO confirmation (account, by) VALUES (?, ?) ON CONFLICT DO NOTHING",
      [account, other])
  }

  /// Compares an accepted result with the trusted machine's.
  func settleAudit(
    _ before: StoredUnit, _ result: NewResult, now: Timestamp
  ) throws -> ReplayOutcome {
    guard let believed = before.unit.state.acceptance?.result else {
      throw Row.damaged("unit.state")
    }
    var row = before
    let actions = row.unit.audit(truth: result.digest)
    let accepted = before.unit.replicas.filter { $0.state == .accepted }
    guard believed != result.digest else {
      try endAudit(of: row, .passed, now: now)
      for account in row.unit.acceptedAccounts { try confirm(account, by: "unit \(row.number)") }
      return ReplayOutcome(agreed: accepted.count, rejected: 0, audit: .passed)
    }
    let delivered = try isDelivered(row)
    try withdrawAnswers(of: before, now: now)
    row.flops = row.flops(result.sequences, try cost(of: row))
    (row.replay, row.replayDeadline) = (nil, nil)
    try endAudit(of: row, .failed, delivered: delivered ? believed : nil, now: now)
    try settle(row, before: before, actions, summaries: result.sequences, now: now)
    try complete(row, result.sequences, now: now)
    if delivered { try tellJob(of: row, now: now) }
    try suspectOthers(of: accepted.filter { $0.result != result.digest })
    return ReplayOutcome(
      agreed: row.unit.acceptedAccounts.count,
      rejected: accepted.count { $0.result != result.digest },
      audit: .failed(delivered: delivered))
  }

  /// The trusted machine could not compute an audited unit; after some attempts it is let be.
  func failAudit(of before: StoredUnit) throws {
    let failures = before.unit.failedReplays + 1
    try db.run(
      """
      UPDATE unit SET failed_replays = ?, replay = NULL, replay_deadline = NULL,
        audit = CASE WHEN ? THEN NULL ELSE audit END WHERE number = ?
      """, [failures, failures >= policy.maximumReplays, before.number])
  }

  private func endAudit(
    of row: StoredUnit, _ state: AuditState, delivered: Digest? = nil, now: Timestamp
  ) throws {
    try db.run(
      """
      UPDATE unit SET audit = ?, audited_at = ?, delivered = ?, replay = NULL,
        replay_deadline = NULL WHERE number = ?
      """, [state.rawValue, now, delivered, row.number])
  }

  /// Whether somebody was given the unit's result, or something was made of it.
  private func isDelivered(_ row: StoredUnit) throws -> Bool {
    try db.first(
      """
      SELECT 1 FROM request JOIN batch ON batch.number = request.batch
      WHERE request.unit = ? AND request.state IN ('completed', 'failed')
        AND batch.state <> 'in_progress'
      UNION ALL
      SELECT 1 FROM fine_tuning_unit JOIN fine_tuning_round
        ON fine_tuning_round.job = fine_tuning_unit.job
        AND fine_tuning_round.number = fine_tuning_unit.round
      WHERE fine_tuning_unit.unit = ? AND (fine_tuning_unit.joined = 1
        OR (fine_tuning_unit.kind = 'validate' AND validation_loss IS NOT NULL))
      LIMIT 1
      """, [row.number, row.number]) != nil
  }

  /// Takes a wrong result out of the counts, and out of the answers of batches that are still open.
  private func withdrawAnswers(of row: StoredUnit, now: Timestamp) throws {
    let summaries = try acceptedSummaries(of: row)
    try db.run(
      """
      UPDATE queue SET learned_tokens = learned_tokens - ?,
        learned_sequences = learned_sequences - ? WHERE number = ?
      """,
      [summaries.reduce(0) { $0 + $1.tokens }, summaries.count, row.queue])
    try db.run(
      """
      UPDATE batch SET flops_done = max(0, flops_done - ?)
      WHERE number = (SELECT batch FROM queue WHERE number = ?)
      """, [row.flops ?? 0, row.queue])
    let requests = try db.all(
      """
      SELECT request.number, request.batch, request.state, first_sequence, sequences
      FROM request JOIN batch ON batch.number = request.batch
      WHERE request.unit = ? AND request.state IN ('completed', 'failed')
        AND batch.state = 'in_progress'
      """, [row.number])
    for request in requests {
      let first: Int = try request.value("first_sequence")
      let range = try first..<first + request.value("sequences", as: Int.self)
      guard range.lowerBound >= 0, range.upperBound <= summaries.count else {
        throw Row.damaged("request.first_sequence")
      }
      let isCompleted = try request.value("state", as: String.self) == "completed"
      try db.run(
        """
        UPDATE batch SET completed = completed - ?, failed = failed - ?,
          input_tokens = input_tokens - ?, output_tokens = output_tokens - ? WHERE number = ?
        """,
        [
          isCompleted ? 1 : 0, isCompleted ? 0 : 1,
          isCompleted ? row.promptTokens[range].reduce(0, +) : 0,
          isCompleted ? summaries[range].reduce(0) { $0 + $1.tokens } : 0,
          try request.value("batch", as: Int64.self),
        ])
      try db.run(
        "UPDATE request SET state = 'in_unit', failure = NULL, ended_at = NULL WHERE number = ?",
        [try request.value("number", as: Int64.self)])
    }
  }

  /// A fine-tuning job that learnt from a wrong result says so among its events.
  private func tellJob(of row: StoredUnit, now: Timestamp) throws {
    guard
      let unit = try db.first(
        "SELECT job, round, shard FROM fine_tuning_unit WHERE unit = ?", [row.number])
    else { return }
    try note(
      FineTuningEvent(
        "An audit found the result of shard \(try unit.value("shard", as: Int.self)) of round "
          + "\(try unit.value("round", as: Int.self) + 1) wrong after it was used.",
        level: .error),
      ofJob: try unit.value("job"), now: now)
  }

  /// The latest units that nobody but those who were caught has confirmed are audited too.
  private func suspectOthers(of caught: [Replica]) throws {
    let accounts = try jsonText(Set(caught.map(\.account)).sorted())
    var suspects: Set<Int64> = []
    for worker in Set(caught.map(\.worker)).sorted() {
      let units = try db.all(
        """
        SELECT unit.number FROM unit WHERE unit.number IN (
            SELECT unit FROM replica WHERE worker = ? AND state = 'accepted'
            ORDER BY number DESC LIMIT ?)
          AND unit.verification = 'quorum' AND unit.audit IS NULL AND NOT EXISTS (
            SELECT 1 FROM replica WHERE replica.unit = unit.number AND replica.state = 'accepted'
              AND replica.account NOT IN (SELECT value FROM json_each(?)))
        """, [worker, policy.maximumDueAudits, accounts])
      for unit in units { suspects.insert(try unit.value("number")) }
    }
    try makeDue(suspects.sorted())
  }
}

extension WorkUnit {
  /// Accounts whose results are the accepted one.
  fileprivate var acceptedAccounts: Set<String> {
    Set(replicas.lazy.filter { $0.state == .accepted }.map(\.account))
  }
}
