import CoordinatorCore
import GRDB
import WireProtocol

/// Batches and queues.
extension Database {
  func loadBatches(into set: inout WorkingSet) throws {
    set.batches = try batches("true ORDER BY number", [])
    set.queues = try all("SELECT * FROM queue ORDER BY number").map(QueueRow.init(row:))
  }

  /// Rows by a condition on `batch`.
  func batches(_ condition: String, _ arguments: StatementArguments) throws -> [BatchRow] {
    try all("SELECT * FROM batch WHERE \(condition)", arguments).map { row in
      let stored = try StoredBatch(row: row)
      var batch = BatchRow(
        number: stored.number, record: stored.record, fingerprint: try row.value("fingerprint"),
        lines: try row.value("lines"))
      batch.reservedTokens = try row.value("reserved_tokens")
      batch.flopsDone = try row.value("flops_done")
      guard batch.record.state == .validating else { return batch }
      guard
        let count = try first(
          """
          SELECT ifnull(max(line), 0) AS last, count(*) AS count,
            ifnull(sum(state = 'failed'), 0) AS failures FROM request WHERE batch = ?
          """, [batch.number])
      else { throw Row.damaged("request.batch") }
      batch.lastLine = try count.value("last")
      batch.appended = try count.value("count")
      batch.appendedFailures = try count.value("failures")
      return batch
    }
  }

  func writeBatches(_ changes: FleetChanges) throws {
    for row in changes.batches.upserts { try write(row) }
  }

  func writeQueues(_ changes: FleetChanges) throws {
    for row in changes.queues.upserts { try write(row) }
  }

  private func write(_ row: BatchRow) throws {
    let record = row.record
    let times = record.times
    try run(
      """
      INSERT INTO batch (number, id, key_id, input_file, input_blob, endpoint, completion_window,
        fingerprint, metadata, pool, priority, output_expires_after, lines, state, created_at,
        expires_at, in_progress_at, finalizing_at, completed_at, failed_at, expired_at,
        cancelling_at, cancelled_at, errors, output_file, error_file, model, total, completed,
        failed, input_tokens, output_tokens, flops_done, reserved_tokens)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
        ?, ?, ?, ?, ?, ?)
      ON CONFLICT (number) DO UPDATE SET priority = excluded.priority, lines = excluded.lines,
        state = excluded.state, created_at = excluded.created_at, expires_at = excluded.expires_at,
        in_progress_at = excluded.in_progress_at, finalizing_at = excluded.finalizing_at,
        completed_at = excluded.completed_at, failed_at = excluded.failed_at,
        expired_at = excluded.expired_at, cancelling_at = excluded.cancelling_at,
        cancelled_at = excluded.cancelled_at, errors = excluded.errors,
        output_file = excluded.output_file, error_file = excluded.error_file,
        model = excluded.model, total = excluded.total, completed = excluded.completed,
        failed = excluded.failed, input_tokens = excluded.input_tokens,
        output_tokens = excluded.output_tokens, flops_done = excluded.flops_done,
        reserved_tokens = excluded.reserved_tokens
      """,
      [
        row.number, record.id, record.keyID, record.inputFileID, record.inputBlob,
        record.endpoint, record.completionWindow, row.fingerprint,
        try record.metadata.map { try jsonText($0) }, record.pool.rawValue, record.priority,
        record.outputExpiresAfterSeconds, row.lines, record.state.column, times.created,
        times.expires, times.inProgress, times.finalizing, times.completed, times.failed,
        times.expired, times.cancelling, times.cancelled, try jsonText(record.errors),
        record.outputFileID, record.errorFileID, record.model, record.total, record.completed,
        record.failed, record.inputTokens, record.outputTokens, row.flopsDone, row.reservedTokens,
      ] as StatementArguments)
  }

  private func write(_ row: QueueRow) throws {
    try run(
      """
      INSERT INTO queue (number, batch, job, kind, adapter, key_id, pool, manifest, cache, priority,
        virtual_time, released, waiting, missing, learned_tokens, learned_sequences,
        waiting_sequences, waiting_prompt_tokens, waiting_max_tokens, tally)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (number) DO UPDATE SET priority = excluded.priority,
        virtual_time = excluded.virtual_time, released = excluded.released,
        waiting = excluded.waiting, missing = excluded.missing,
        learned_tokens = excluded.learned_tokens, learned_sequences = excluded.learned_sequences,
        waiting_sequences = excluded.waiting_sequences,
        waiting_prompt_tokens = excluded.waiting_prompt_tokens,
        waiting_max_tokens = excluded.waiting_max_tokens, tally = excluded.tally
      """,
      [
        row.number, row.owner.batch, row.owner.job, row.kind.rawValue, row.adapter, row.keyID,
        row.pool.rawValue, row.model, row.cache.rawValue, row.priority, row.virtualTime,
        row.isReleased, row.waiting, row.missing, row.estimate.tokens, row.estimate.sequences,
        row.waitingSequences, row.waitingPromptTokens, row.waitingMaxTokens,
        try jsonText(row.tally),
      ] as StatementArguments)
  }
}

extension WorkOwner {
  fileprivate var batch: Int64? {
    if case .batch(let number) = self { return number }
    return nil
  }

  fileprivate var job: Int64? {
    if case .tuningJob(let number) = self { return number }
    return nil
  }
}

extension QueueRow {
  fileprivate init(row: Row) throws {
    let owner: WorkOwner
    if let batch = try row.optional("batch", as: Int64.self) {
      owner = .batch(batch)
    } else {
      owner = .tuningJob(try row.value("job"))
    }
    self.init(
      number: try row.value("number"), owner: owner, kind: try row.name("kind"),
      keyID: try row.value("key_id"), pool: try row.name("pool"), model: try row.value("manifest"),
      cache: try row.name("cache"), adapter: try row.optional("adapter"),
      priority: try row.value("priority"))
    virtualTime = try row.value("virtual_time")
    isReleased = try row.value("released")
    waiting = try row.value("waiting")
    waitingSequences = try row.value("waiting_sequences")
    waitingPromptTokens = try row.value("waiting_prompt_tokens")
    waitingMaxTokens = try row.value("waiting_max_tokens")
    missing = try row.value("missing")
    estimate = GenerationEstimate(
      tokens: try row.value("learned_tokens"), sequences: try row.value("learned_sequences"))
    tally = try row.json("tally")
  }
}
