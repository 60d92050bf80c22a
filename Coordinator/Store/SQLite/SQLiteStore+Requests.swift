import CoordinatorCore
import Foundation
import GRDB
import WirePayloads
import WireProtocol

package extension SQLiteStore {
  func appendRequests(_ requests: [NewRequest], to batch: String) async throws {
    try requests.checkWork()
    try await write { transaction in
      let row = try StoredBatch.require(batch, transaction.db)
      guard row.record.state == .validating else {
        throw StoreError(.conflict, "Batch \(batch) is \(row.record.state.status), not validating.")
      }
      var queues: [QueueName: Int64] = [:]
      for request in requests {
        try transaction.append(request, to: row, &queues)
      }
    }
  }

  func finishValidation(
    _ batch: String, model: String?, now: Timestamp
  ) async throws -> BatchRecord {
    try await write { transaction in
      let db = transaction.db
      var row = try StoredBatch.require(batch, db)
      let total = try db.integer("SELECT count(*) FROM request WHERE batch = ?", [row.number])
      let failed = try db.integer(
        "SELECT count(*) FROM request WHERE batch = ? AND state = 'failed'", [row.number])
      if row.record.state == .validating {
        do {
          // Others may have been created while this one's tokens were not known.
          try transaction.requireQuota(.tokens, key: row.record.keyID, now: now)
        } catch let refusal as QuotaRefusal {
          try transaction.advance(&row, .invalid, now: now)
          let error = BatchError(
            code: "token_limit_exceeded", line: nil, message: refusal.description)
          try transaction.record([error], of: &row)
          return row.record
        }
      }
      try transaction.advance(
        &row, failed == total ? .allRequestsEnded : .validated, now: now)
      row.record.total = total
      row.record.failed = failed
      row.record.model = model
      try db.run(
        """
        UPDATE batch SET total = ?, failed = ?, model = ?, reserved_tokens =
          (SELECT ifnull(sum(prompt_tokens + max_tokens), 0) FROM request WHERE batch = ?)
        WHERE number = ?
        """,
        [total, failed, model, row.number, row.number])
      // The key's new queue starts where its active ones are, so that it neither waits for them nor
      // holds them up.
      try db.run(
        """
        UPDATE queue SET released = 1, virtual_time = (
          SELECT ifnull(min(other.virtual_time), 0) FROM queue AS other
          WHERE other.released = 1 AND (other.waiting > 0 OR other.missing > 0)
            AND other.key_id = queue.key_id)
        WHERE batch = ?
        """, [row.number])
      return row.record
    }
  }

  func failValidation(
    _ batch: String, errors: [BatchError], now: Timestamp
  ) async throws -> BatchRecord {
    try await write { transaction in
      let db = transaction.db
      var row = try StoredBatch.require(batch, db)
      try transaction.advance(&row, .invalid, now: now)
      try transaction.record(Array(errors.prefix(StoreLimit.storedErrors)), of: &row)
      return row.record
    }
  }

  func outcomes(
    of batch: String, afterLine: Int, limit: Int
  ) async throws -> [RequestOutcome] {
    try await read { db in
      let row = try StoredBatch.require(batch, db)
      guard row.record.state.awaitsFiles || row.record.state.hasEnded else {
        throw StoreError(.conflict, "Batch \(batch) is still \(row.record.state.status).")
      }
      return try db.outcomes(ofBatch: row.number, afterLine: afterLine, limit: limit)
    }
  }
}

/// What distinguishes the queues of one batch.
private struct QueueName: Hashable {
  let model: Digest
  let cache: CacheType
  let adapter: Digest?
}

extension Transaction {
  /// Replaces a failed batch's requests by the errors that they failed for.
  func record(_ errors: [BatchError], of batch: inout StoredBatch) throws {
    try db.run(
      "DELETE FROM request_input WHERE request IN (SELECT number FROM request WHERE batch = ?)",
      [batch.number])
    try db.run("DELETE FROM request WHERE batch = ?", [batch.number])
    try db.run("UPDATE queue SET waiting = 0 WHERE batch = ?", [batch.number])
    batch.record.errors = errors
    try db.run(
      "UPDATE batch SET errors = ? WHERE number = ?", [try jsonText(errors), batch.number])
  }

  fileprivate func append(
    _ request: NewRequest, to batch: StoredBatch, _ queues: inout [QueueName: Int64]
  ) throws {
    switch request.content {
    case .failed(let failure):
      try db.run(
        """
        INSERT INTO request (batch, line, id, custom_id, rendering, state, sequences, prompt_tokens,
          max_tokens, failure) VALUES (?, ?, ?, ?, ?, 'failed', 0, 0, 0, ?)
        ON CONFLICT (batch, line) DO NOTHING
        """,
        [
          batch.number, request.line, identifiers.make("batch_req_"), request.customID,
          request.rendering, try jsonText(failure),
        ])
    case .run(let work):
      let queue = try queue(
        QueueName(model: work.model, cache: work.cache, adapter: work.adapter), batch, &queues)
      try db.run(
        """
        INSERT INTO request (batch, line, id, custom_id, rendering, state, queue, sequences,
          prompt_tokens, max_tokens) VALUES (?, ?, ?, ?, ?, 'waiting', ?, ?, ?, ?)
        ON CONFLICT (batch, line) DO NOTHING
        """,
        [
          batch.number, request.line, identifiers.make("batch_req_"), request.customID,
          request.rendering, queue, work.sequences.count,
          work.sequences.reduce(0) { $0 + $1.promptTokens.count },
          work.sequences.reduce(0) { $0 + $1.maxTokens },
        ])
      guard db.changesCount == 1 else { return }
      try db.run(
        "INSERT INTO request_input (request, sequences) VALUES (?, ?)",
        [db.lastInsertedRowID, SequenceCoding.encode(work.sequences)])
      try db.run("UPDATE queue SET waiting = waiting + 1 WHERE number = ?", [queue])
    }
  }

  private func queue(
    _ name: QueueName, _ batch: StoredBatch, _ queues: inout [QueueName: Int64]
  ) throws -> Int64 {
    if let known = queues[name] { return known }
    guard try db.first("SELECT 1 FROM manifest WHERE digest = ?", [name.model]) != nil else {
      throw StoreError(.invalid, "The model \(name.model) is not registered.")
    }
    try db.run(
      """
      INSERT INTO queue (batch, key_id, pool, manifest, cache, adapter, priority)
      VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
      """,
      [
        batch.number, batch.record.keyID, batch.record.pool.rawValue, name.model,
        name.cache.rawValue, name.adapter, batch.record.priority,
      ])
    let row = try db.first(
      """
      SELECT number FROM queue WHERE batch = ? AND manifest = ? AND cache = ? AND adapter IS ?
      """,
      [batch.number, name.model, name.cache.rawValue, name.adapter])
    guard let number: Int64 = try row?.value("number") else { throw Row.damaged("queue.number") }
    queues[name] = number
    return number
  }
}
