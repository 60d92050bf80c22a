import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  func submit(_ submission: ResultSubmission, now: Timestamp) async throws -> ResultReceipt {
    try await write { transaction in
      let db = transaction.db
      let replica = try StoredReplica.require(
        submission.leaseID, worker: submission.workerID, db)
      let before = try StoredUnit.require(replica.unit, db)
      if let known = replica.result {
        guard known == submission.result.digest else {
          throw StoreError(.conflict, "This lease was given the result \(known) before.")
        }
        return replica.receipt(unit: before.unit.state)
      }
      guard submission.result.sequences.count == before.promptTokens.count else {
        throw StoreError(
          .invalid,
          "The unit has \(before.promptTokens.count) sequences, "
            + "the result \(submission.result.sequences.count)."
        )
      }
      try transaction.record(submission, replica, now: now)
      var row = before
      let actions = row.unit.submit(replica.number, result: submission.result.digest)
      try transaction.settle(
        row, before: before, actions, summaries: submission.result.sequences, now: now)
      let after = try StoredReplica.require(submission.leaseID, worker: submission.workerID, db)
      return after.receipt(unit: row.unit.state)
    }
  }
}

extension Transaction {
  /// Keeps what came with a result, and the seconds that count for it should it be accepted.
  fileprivate func record(
    _ submission: ResultSubmission, _ replica: StoredReplica, now: Timestamp
  ) throws {
    let seconds = submission.seconds.flatMap { $0.isFinite && $0 >= 0 ? $0 : nil }
    let elapsed = now.seconds(since: replica.issuedAt)
    let energy = submission.energy?.counted(elapsed: elapsed)
    let worker = try db.first(
      "SELECT result_at, last_seen FROM worker WHERE id = ?", [submission.workerID])
    let measured = MeasuredSpeed.seconds(
      claimed: seconds, issued: replica.issuedAt, before: try worker?.optional("result_at"),
      now: now)
    try db.run(
      """
      UPDATE replica SET summaries = ?, signature = ?, seconds = ?, measured_seconds = ?,
        submitted_at = ?, energy = ?, estimated_energy = ?
      WHERE number = ?
      """,
      [
        try jsonText(submission.result.sequences), submission.signature, seconds, measured, now,
        energy?.millijoules, energy?.estimatedMillijoules, replica.number,
      ])
    try db.run("UPDATE worker SET result_at = ? WHERE id = ?", [now, submission.workerID])
    try touch(
      worker: submission.workerID, lastSeen: try worker?.optional("last_seen"), now: now)
  }

  /// An accepted result, and nothing else, shows how fast its worker is, and that worker and
  /// account do not fail any more: unless the worker failed again after it had submitted the
  /// result, which may have waited for hours.
  private func learn(from replica: Int64, of unit: StoredUnit) throws {
    guard let flops = unit.flops,
      let row = try db.first(
        """
        SELECT replica.worker, replica.account, replica.measured_seconds, replica.submitted_at,
          worker.speed, worker.trusted, worker.failed_at
        FROM replica JOIN worker ON worker.id = replica.worker WHERE replica.number = ?
        """, [replica])
    else { throw Row.damaged("replica.number") }
    let old: Double? = try row.optional("speed")
    var speed = old
    if let seconds: Double = try row.optional("measured_seconds") {
      speed = MeasuredSpeed.updated(
        old, flops: flops, seconds: seconds,
        first: try row.value("trusted") ? .infinity : policy.fastestFirstSpeed)
    }
    let worker: String = try row.value("worker")
    try db.run("UPDATE worker SET speed = ? WHERE id = ?", [speed, worker])
    if let failed: Timestamp = try row.optional("failed_at"),
      let submitted: Timestamp = try row.optional("submitted_at"), submitted <= failed
    {
      return
    }
    try db.run(
      "UPDATE worker SET failures = 0, backoff_until = NULL WHERE id = ?", [worker])
    try db.run(
      "UPDATE account SET failures = 0, backoff_until = NULL WHERE id = ?",
      [try row.value("account", as: String.self)])
  }

  /// Performs what the unit's decision means: answers requests, grants credit, takes back a cheat's
  /// results.
  ///
  /// - Parameter summaries: of the result that the event brought; an accepted result has the same
  ///   digest.
  func settle(
    _ changed: StoredUnit, before: StoredUnit, _ actions: [WorkUnit.Action],
    summaries: [SequenceSummary], now: Timestamp
  ) throws {
    var row = changed
    if case .accepted = row.unit.state, row.flops == nil {
      row.flops = row.flops(summaries, try cost(of: row))
    }
    try save(row, before: before, now: now)
    var caught: [Caught] = []
    for action in actions {
      switch action {
      case .complete:
        try complete(row, summaries, now: now)
        try drawAudit(of: row)
      case .fail(let reason):
        try endRequests(of: row, now: now) { _ in .failed(.gaveUp(reason)) }
      case .grant(let replica):
        try grant(row, replica, now: now)
        try learn(from: replica, of: row)
      case .reject(let replica): caught.append(try reject(row, replica, now: now))
      case .revoke(let replica): caught.append(try revoke(row, replica, now: now))
      case .refute(let replica): try refute(replica, now: now)
      }
    }
    try noteConfirmations(of: row, actions)
    try takeBack(caught, now: now)
  }

  func cost(of unit: StoredUnit) throws -> ModelCost {
    let row = try db.first(
      """
      SELECT manifest.* FROM queue JOIN manifest ON manifest.digest = queue.manifest
      WHERE queue.number = ?
      """, [unit.queue])
    guard let row else { throw Row.damaged("queue.number") }
    return try ModelCost(row: row)
  }

  func complete(_ row: StoredUnit, _ summaries: [SequenceSummary], now: Timestamp) throws {
    try db.run(
      """
      UPDATE queue SET learned_tokens = learned_tokens + ?,
        learned_sequences = learned_sequences + ? WHERE number = ?
      """,
      [summaries.reduce(0) { $0 + $1.tokens }, summaries.count, row.queue])
    try db.run(
      """
      UPDATE batch SET flops_done = flops_done + ?
      WHERE number = (SELECT batch FROM queue WHERE number = ?)
      """,
      [row.flops ?? 0, row.queue])
    try endRequests(of: row, now: now) { sequences in
      guard sequences.lowerBound >= 0, sequences.upperBound <= summaries.count else {
        throw Row.damaged("request.first_sequence")
      }
      let own = summaries[sequences]
      if own.contains(where: \.nonFinite) { return .failed(.nonFinite) }
      return .completed(
        input: row.promptTokens[sequences].reduce(0, +), output: own.reduce(0) { $0 + $1.tokens })
    }
  }

  private enum RequestEnding {
    case completed(input: Int, output: Int)
    case failed(RequestFailure)
  }

  private struct BatchChange {
    var completed = 0
    var failed = 0
    var input = 0
    var output = 0
  }

  /// Ends the unit's requests that are still wanted, and the batches that have no open ones left.
  private func endRequests(
    of row: StoredUnit, now: Timestamp, _ ending: (Range<Int>) throws -> RequestEnding
  ) throws {
    let requests = try db.all(
      """
      SELECT number, batch, first_sequence, sequences FROM request
      WHERE unit = ? AND state = 'in_unit'
      """,
      [row.number])
    var changes: [Int64: BatchChange] = [:]
    for request in requests {
      let number: Int64 = try request.value("number")
      let first: Int = try request.value("first_sequence")
      let range = try first..<first + request.value("sequences", as: Int.self)
      let batch: Int64 = try request.value("batch")
      switch try ending(range) {
      case .completed(let input, let output):
        try db.run(
          "UPDATE request SET state = 'completed', ended_at = ? WHERE number = ?", [now, number])
        changes[batch, default: BatchChange()].completed += 1
        changes[batch, default: BatchChange()].input += input
        changes[batch, default: BatchChange()].output += output
      case .failed(let failure):
        try db.run(
          "UPDATE request SET state = 'failed', failure = ?, ended_at = ? WHERE number = ?",
          [try jsonText(failure), now, number])
        changes[batch, default: BatchChange()].failed += 1
      }
    }
    for (batch, change) in changes { try count(change, in: batch, now: now) }
  }

  private func count(_ change: BatchChange, in number: Int64, now: Timestamp) throws {
    try db.run(
      """
      UPDATE batch SET completed = completed + ?, failed = failed + ?,
        input_tokens = input_tokens + ?, output_tokens = output_tokens + ? WHERE number = ?
      """, [change.completed, change.failed, change.input, change.output, number])
    guard var batch = try StoredBatch.find(number, db) else { throw Row.damaged("request.batch") }
    if batch.record.state == .inProgress,
      batch.record.completed + batch.record.failed == batch.record.total
    {
      try advance(&batch, .allRequestsEnded, now: now)
    }
  }
}

extension StoredUnit {
  /// Operations of a result of this unit. What a unit that learns takes is known before.
  func flops(_ summaries: [SequenceSummary], _ cost: ModelCost) -> Double {
    guard kind == .generate else { return estimatedFlops }
    return zip(promptTokens, summaries).reduce(0) { total, sequence in
      total + cost.flops(prompt: sequence.0, generated: sequence.1.tokens)
    }
  }
}
