import WireProtocol
import WirePayloads

/// A client makes a batch, which is `validating` first.
package struct CreateBatch: FleetEvent {
  package let batch: NewBatch
  /// Whether the client says that it sent this before: an equal batch of the last ten minutes is
  /// given instead of a second one.
  package let isRetry: Bool
  private let fingerprint: Digest

  /// - Throws: `StoreError.invalid`.
  package init(_ batch: NewBatch, isRetry: Bool) throws {
    guard batch.completionWindowSeconds > 0, (-100...100).contains(batch.priority) else {
      throw StoreError(
        .invalid, "A batch has a window of at least a second and a priority of -100 to 100.")
    }
    self.batch = batch
    self.isRetry = isRetry
    fingerprint = try batch.fingerprint
  }

  /// - Throws: `QuotaRefusal` when the key may make no such batch now.
  package func decide(in fleet: inout Fleet) throws -> BatchRecord {
    if isRetry, let known = fleet.recentBatch(like: fingerprint, key: batch.keyID) { return known }
    try fleet.requireQuota(.batch(requests: batch.lines ?? 0), key: batch.keyID, at: fleet.now)
    let times = BatchTimes(
      created: fleet.now, expires: fleet.now.adding(seconds: batch.completionWindowSeconds))
    let record = BatchRecord(
      id: fleet.newID("batch_"), keyID: batch.keyID, inputFileID: batch.inputFileID,
      inputBlob: batch.inputBlob, endpoint: batch.endpoint,
      completionWindow: batch.completionWindow, metadata: batch.metadata, pool: batch.pool,
      priority: batch.priority, outputExpiresAfterSeconds: batch.outputExpiresAfterSeconds,
      state: .validating, times: times, errors: [], total: 0, completed: 0, failed: 0,
      inputTokens: 0, outputTokens: 0)
    fleet.put(
      BatchRow(
        number: fleet.nextNumber("batch"), record: record, fingerprint: fingerprint,
        lines: batch.lines ?? 0))
    fleet.changeSettings { $0.totals.batches[record.state.status, default: 0] += 1 }
    return record
  }
}

extension Fleet {
  /// The newest batch of a key that an equal creation made a moment ago.
  fileprivate func recentBatch(like fingerprint: Digest, key: String) -> BatchRecord? {
    // Later ones too, but not from before the clock was set back.
    let window = Double(-StoreLimit.createRetrySeconds)...Double(StoreLimit.createRetrySeconds)
    return index.work.batchesOfKey[key].sorted(by: >).lazy.compactMap { batches[$0] }.first {
      $0.fingerprint == fingerprint && window.contains($0.record.times.created.seconds(since: now))
    }?.record
  }
}

extension NewBatch {
  /// Equal for creations that a retry repeats.
  package var fingerprint: Digest {
    get throws {
      struct Identity: Encodable {
        let key, file, endpoint, window, pool: String
        let metadata: String?
        let priority: Int
        let outputExpiresAfter: Int?
      }
      return BlobDigest.sha256(
        try CanonicalJSON.encode(
          Identity(
            key: keyID, file: inputFileID, endpoint: endpoint, window: completionWindow,
            pool: pool.rawValue, metadata: try metadata.map { try $0.canonicalText },
            priority: priority,
            outputExpiresAfter: outputExpiresAfterSeconds)))
    }
  }
}
