import CoordinatorCore
import GRDB
import WireProtocol

// What each API key may use, and which batch goes first.
package extension SQLiteStore {
  func setWeight(_ weight: Double, ofKey id: String) async throws {
    try Self.requireWeight(weight)
    try await write { transaction in
      try transaction.db.run("UPDATE api_key SET weight = ? WHERE id = ?", [weight, id])
      guard transaction.db.changesCount > 0 else { throw Self.unknownKey(id) }
    }
  }

  func setQuota(_ quota: Quota, ofKey id: String) async throws {
    let limits = [quota.requestsPerDay, quota.tokensPerDay, quota.openBatches, quota.storedBytes]
    guard limits.allSatisfy({ ($0 ?? 0) >= 0 }) else {
      throw StoreError(.invalid, "A quota's limits are 0 or more.")
    }
    let text = try jsonText(quota)
    try await write { transaction in
      try transaction.db.run("UPDATE api_key SET quota = ? WHERE id = ?", [text, id])
      guard transaction.db.changesCount > 0 else { throw Self.unknownKey(id) }
    }
  }

  func usage(ofKey id: String, now: Timestamp) async throws -> Quota.Usage {
    try await read { try Quota.Usage(key: id, now: now, $0) }
  }

  func checkQuota(_ demand: Quota.Demand, key: String, now: Timestamp) async throws {
    try await read { try $0.requireQuota(demand, key: key, now: now) }
  }

  func setPriority(_ priority: Int, ofBatch id: String) async throws {
    guard (-100...100).contains(priority) else {
      throw StoreError(.invalid, "A batch's priority is -100 to 100.")
    }
    try await write { transaction in
      let batch = try StoredBatch.require(id, transaction.db)
      guard !batch.record.state.hasEnded else {
        throw StoreError(.conflict, "The batch \(id) has ended.")
      }
      try transaction.db.run(
        "UPDATE batch SET priority = ? WHERE number = ?", [priority, batch.number])
      try transaction.db.run(
        "UPDATE queue SET priority = ? WHERE batch = ?", [priority, batch.number])
    }
  }

  private static func unknownKey(_ id: String) -> StoreError {
    StoreError(.notFound, "There is no key \(id).")
  }
}

extension Transaction {
  /// - Throws: `QuotaRefusal`.
  func requireQuota(_ demand: Quota.Demand, key: String, now: Timestamp) throws {
    try db.requireQuota(demand, key: key, now: now)
  }
}

extension Database {
  /// - Throws: `QuotaRefusal` when the key's quota does not allow the demand.
  fileprivate func requireQuota(_ demand: Quota.Demand, key: String, now: Timestamp) throws {
    guard let row = try first("SELECT quota FROM api_key WHERE id = ?", [key]) else { return }
    let quota: Quota = try row.json("quota")
    guard !quota.isUnlimited else { return }
    let usage = try Quota.Usage(key: key, now: now, self)
    if case .refused(let refusal) = quota.verdict(on: demand, usage: usage) { throw refusal }
  }
}

extension Quota.Usage {
  /// A batch counts by its lines before they are validated, and not at all once it failed; while it
  /// or a fine-tuning job runs, by the tokens that it may take. A blob that jobs keep counts once,
  /// and as the file that it is where it is one.
  fileprivate init(key: String, now: Timestamp, _ db: Database) throws {
    let day = now.adding(seconds: -Quota.daySeconds)
    // What others create at this moment counts; what is from before the clock was set back does
    // not.
    let end = now.adding(seconds: Quota.daySeconds)
    self.init(
      requests: try db.integer(
        """
        SELECT sum(max(total, lines)) FROM batch
        WHERE key_id = ? AND created_at > ? AND created_at < ? AND state <> 'failed'
        """, [key, day, end]),
      tokens: try db.integer(
        """
        SELECT ifnull((SELECT sum(CASE WHEN state IN ('in_progress', 'cancelling')
              THEN max(reserved_tokens, input_tokens + output_tokens)
              ELSE input_tokens + output_tokens END) FROM batch
            WHERE key_id = ? AND created_at > ? AND created_at < ?), 0)
          + ifnull((SELECT sum(CASE WHEN state IN ('running', 'paused')
              THEN max(reserved_tokens, trained_tokens) ELSE trained_tokens END)
            FROM fine_tuning_job WHERE key_id = ? AND created_at > ? AND created_at < ?), 0)
        """, [key, day, end, key, day, end]),
      openBatches: try db.integer(
        """
        SELECT (SELECT count(*) FROM batch WHERE key_id = ?
            AND state NOT IN ('completed', 'failed', 'expired', 'cancelled'))
          + (SELECT count(*) FROM fine_tuning_job WHERE key_id = ?
            AND state IN ('validating', 'running', 'paused'))
        """, [key, key]),
      storedBytes: try db.integer(
        """
        SELECT ifnull((SELECT sum(bytes) FROM file
            WHERE key_id = ? AND ifnull(expires_at > ?, 1)), 0)
          + ifnull((SELECT sum(kept.bytes) FROM fine_tuning_job JOIN fine_tuning_blob AS kept
              ON kept.job = fine_tuning_job.number
            WHERE fine_tuning_job.key_id = ?
              AND NOT EXISTS (SELECT 1 FROM file WHERE file.blob = kept.blob
                AND file.key_id = ? AND ifnull(file.expires_at > ?, 1))
              AND NOT EXISTS (SELECT 1 FROM fine_tuning_blob AS same JOIN fine_tuning_job AS other
                ON other.number = same.job
                WHERE same.blob = kept.blob AND other.key_id = ?
                  AND (same.bytes > kept.bytes
                    OR (same.bytes = kept.bytes AND same.job < kept.job)))), 0)
        """, [key, now, key, key, now, key]))
  }
}
