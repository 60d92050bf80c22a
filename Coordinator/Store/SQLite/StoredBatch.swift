import CoordinatorCore
import GRDB
import WirePayloads
import WireProtocol

/// A batch with the number that the other tables know it by.
struct StoredBatch: Sendable {
  let number: Int64
  var record: BatchRecord

  init(row: Row) throws {
    number = try row.value("number")
    var times = BatchTimes(
      created: try row.value("created_at"), expires: try row.value("expires_at"))
    times.inProgress = try row.optional("in_progress_at")
    times.finalizing = try row.optional("finalizing_at")
    times.completed = try row.optional("completed_at")
    times.failed = try row.optional("failed_at")
    times.expired = try row.optional("expired_at")
    times.cancelling = try row.optional("cancelling_at")
    times.cancelled = try row.optional("cancelled_at")
    record = BatchRecord(
      id: try row.value("id"), keyID: try row.value("key_id"),
      inputFileID: try row.value("input_file"), inputBlob: try row.value("input_blob"),
      endpoint: try row.value("endpoint"), completionWindow: try row.value("completion_window"),
      metadata: try row.texts("metadata"), pool: try row.name("pool"),
      priority: try row.value("priority"),
      outputExpiresAfterSeconds: try row.optional("output_expires_after"),
      state: try BatchState(column: try row.value("state")), times: times,
      errors: try row.json("errors"), outputFileID: try row.optional("output_file"),
      errorFileID: try row.optional("error_file"), model: try row.optional("model"),
      total: try row.value("total"), completed: try row.value("completed"),
      failed: try row.value("failed"), inputTokens: try row.value("input_tokens"),
      outputTokens: try row.value("output_tokens"))
  }

  static func find(_ id: String, _ db: Database) throws -> StoredBatch? {
    try db.first("SELECT * FROM batch WHERE id = ?", [id]).map(StoredBatch.init(row:))
  }

  static func find(_ number: Int64, _ db: Database) throws -> StoredBatch? {
    try db.first("SELECT * FROM batch WHERE number = ?", [number]).map(StoredBatch.init(row:))
  }

  /// - Throws: `StoreError.notFound`, also for another key's batch.
  static func require(_ id: String, key: String? = nil, _ db: Database) throws -> StoredBatch {
    guard let row = try find(id, db), key == nil || row.record.keyID == key else {
      throw StoreError(.notFound, "No batch found with id '\(id)'.")
    }
    return row
  }
}

extension Transaction {
  /// Moves a batch along and notes the time; what the event means for its requests is the caller's
  /// to do.
  func advance(_ batch: inout StoredBatch, _ event: BatchEvent, now: Timestamp) throws {
    let old = batch.record.state
    let new: BatchState
    do {
      new = try old.after(event)
    } catch let error as BatchTransitionError {
      throw StoreError(.conflict, "Batch \(batch.record.id): \(error.description).")
    }
    guard new != old else { return }
    batch.record.state = new
    switch new {
    case .validating: break
    case .failed: batch.record.times.failed = now
    case .inProgress: batch.record.times.inProgress = now
    case .finalizing: batch.record.times.finalizing = now
    case .completed: batch.record.times.completed = now
    case .expired: batch.record.times.expired = now
    case .cancelling: batch.record.times.cancelling = now
    case .cancelled: batch.record.times.cancelled = now
    }
    try saveState(of: batch)
  }

  private func saveState(of batch: StoredBatch) throws {
    let times = batch.record.times
    try db.run(
      """
      UPDATE batch SET state = ?, in_progress_at = ?, finalizing_at = ?, completed_at = ?,
        failed_at = ?, expired_at = ?, cancelling_at = ?, cancelled_at = ? WHERE number = ?
      """,
      [
        batch.record.state.column, times.inProgress, times.finalizing, times.completed,
        times.failed, times.expired, times.cancelling, times.cancelled, batch.number,
      ])
  }

  /// Ends all open requests of a batch, drops units that nobody needs any more, and counts the
  /// lines as failed.
  func endOpenRequests(of batch: inout StoredBatch, as state: String, now: Timestamp) throws {
    let units = try db.all(
      "SELECT DISTINCT unit FROM request WHERE batch = ? AND state = 'in_unit'", [batch.number])
    try db.run(
      """
      DELETE FROM request_input WHERE request IN
        (SELECT number FROM request WHERE batch = ? AND state = 'waiting')
      """, [batch.number])
    try db.run(
      """
      UPDATE request SET state = ?, ended_at = ?
      WHERE batch = ? AND state IN ('waiting', 'in_unit')
      """, [state, now, batch.number])
    try db.run("UPDATE queue SET waiting = 0 WHERE batch = ?", [batch.number])
    try recount(&batch)
    for row in units {
      let number: Int64 = try row.value("unit")
      let open = try db.first(
        "SELECT 1 FROM request WHERE unit = ? AND state = 'in_unit' LIMIT 1", [number])
      guard open == nil, var unit = try StoredUnit.find(number, db) else { continue }
      let before = unit
      unit.unit.cancel()
      try save(unit, before: before, now: now)
    }
  }
}

extension Transaction {
  /// Counts lines afresh; a batch that was stopped while it was validated has not counted any yet.
  private func recount(_ batch: inout StoredBatch) throws {
    batch.record.total = try db.integer(
      "SELECT count(*) FROM request WHERE batch = ?", [batch.number])
    batch.record.failed = try db.integer(
      """
      SELECT count(*) FROM request WHERE batch = ? AND state IN ('failed', 'expired', 'cancelled')
      """, [batch.number])
    try db.run(
      "UPDATE batch SET total = ?, failed = ? WHERE number = ?",
      [batch.record.total, batch.record.failed, batch.number])
  }
}
