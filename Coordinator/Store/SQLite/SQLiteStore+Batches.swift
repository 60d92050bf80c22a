import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  func createBatch(
    _ batch: NewBatch, isRetry: Bool, now: Timestamp
  ) async throws -> BatchRecord {
    guard batch.completionWindowSeconds > 0, (-100...100).contains(batch.priority) else {
      throw StoreError(
        .invalid, "A batch has a window of at least a second and a priority of -100 to 100.")
    }
    let fingerprint = try batch.fingerprint
    return try await write { transaction in
      let db = transaction.db
      if isRetry,
        let row = try db.first(
          """
          SELECT * FROM batch WHERE fingerprint = ? AND created_at BETWEEN ? AND ?
          ORDER BY number DESC LIMIT 1
          """,
          [
            // Later ones too, but not from before the clock was set back.
            fingerprint, now.adding(seconds: -StoreLimit.createRetrySeconds),
            now.adding(seconds: StoreLimit.createRetrySeconds),
          ])
      {
        return try StoredBatch(row: row).record
      }
      try transaction.requireQuota(
        .batch(requests: batch.lines ?? 0), key: batch.keyID, now: now)
      let id = transaction.identifiers.make("batch_")
      try db.run(
        """
        INSERT INTO batch (id, key_id, input_file, input_blob, endpoint, completion_window,
          fingerprint, metadata, pool, priority, output_expires_after, lines, state, created_at,
          expires_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'validating', ?, ?)
        """,
        [
          id, batch.keyID, batch.inputFileID, batch.inputBlob, batch.endpoint,
          batch.completionWindow, fingerprint, try batch.metadata.map { try jsonText($0) },
          batch.pool.rawValue, batch.priority, batch.outputExpiresAfterSeconds, batch.lines ?? 0,
          now,
          now.adding(seconds: batch.completionWindowSeconds),
        ])
      return try StoredBatch.require(id, db).record
    }
  }

  func batch(_ id: String, key: String?) async throws -> BatchRecord? {
    try await read { db in
      guard let row = try StoredBatch.find(id, db), key == nil || row.record.keyID == key else {
        return nil
      }
      return row.record
    }
  }

  func batches(key: String, page: PageRequest) async throws -> Page<BatchRecord> {
    try await read { db in
      let cursor = try page.after.flatMap { after in
        try Int64.fetchOne(
          db, sql: "SELECT number FROM batch WHERE id = ? AND key_id = ?", arguments: [after, key])
      }
      let start = try Self.start(page, number: cursor)
      let rows =
        switch page.order {
        case .ascending:
          try db.all(
            "SELECT * FROM batch WHERE key_id = ? AND number > ? ORDER BY number LIMIT ?",
            [key, start, page.limit + 1])
        case .descending:
          try db.all(
            "SELECT * FROM batch WHERE key_id = ? AND number < ? ORDER BY number DESC LIMIT ?",
            [key, start, page.limit + 1])
        }
      return try Self.page(rows, limit: page.limit) { try StoredBatch(row: $0).record }
    }
  }

  func cancelBatch(
    _ id: String, key: String, now: Timestamp
  ) async throws -> BatchRecord {
    try await write { transaction in
      var batch = try StoredBatch.require(id, key: key, transaction.db)
      try transaction.advance(&batch, .cancelRequested, now: now)
      try transaction.endOpenRequests(of: &batch, as: "cancelled", now: now)
      return batch.record
    }
  }

  // Both repeat the condition of the index `batch_open`, which SQLite does not derive by itself.

  func batchesToValidate(limit: Int) async throws -> [BatchRecord] {
    try await read { db in
      try db.all(
        """
        SELECT * FROM batch WHERE state = 'validating'
          AND state IN ('validating', 'finalizing_completed', 'finalizing_expired', 'cancelling')
        ORDER BY number LIMIT ?
        """, [limit]
      ).map { try StoredBatch(row: $0).record }
    }
  }

  func batchesToFinalize(limit: Int) async throws -> [BatchRecord] {
    try await read { db in
      try db.all(
        """
        SELECT * FROM batch
        WHERE state IN ('finalizing_completed', 'finalizing_expired', 'cancelling')
          AND state IN ('validating', 'finalizing_completed', 'finalizing_expired', 'cancelling')
        ORDER BY number LIMIT ?
        """, [limit]
      ).map { try StoredBatch(row: $0).record }
    }
  }

  func finishBatch(
    _ batch: String, output: NewFile?, errors: NewFile?, now: Timestamp
  ) async throws -> BatchRecord {
    try await write { transaction in
      var row = try StoredBatch.require(batch, transaction.db)
      if row.record.state.hasEnded { return row.record }
      try transaction.advance(&row, .filesWritten, now: now)
      row.record.outputFileID = try output.map { try transaction.insert($0, now: now).id }
      row.record.errorFileID = try errors.map { try transaction.insert($0, now: now).id }
      try transaction.db.run(
        "UPDATE batch SET output_file = ?, error_file = ? WHERE number = ?",
        [row.record.outputFileID, row.record.errorFileID, row.number])
      return row.record
    }
  }
}
