import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  func uses(of blobs: [Digest], now: Timestamp) async throws -> [Digest: [BlobUse]] {
    try await read { db in
      var uses: [Digest: [BlobUse]] = [:]
      for blob in blobs {
        let found = try db.uses(of: blob, now: now)
        if !found.isEmpty { uses[blob] = found }
      }
      return uses
    }
  }

  func forgetUnused(_ blobs: [Digest], now: Timestamp) async throws {
    try await write { try $0.db.forget(blobs, endedBy: now) }
  }
}

extension Database {
  fileprivate func uses(of blob: Digest, now: Timestamp) throws -> [BlobUse] {
    var uses: [BlobUse] = []
    if try first(
      """
      SELECT 1 FROM model_blob WHERE blob = ? UNION ALL
      SELECT 1 FROM model WHERE adapter = ? UNION ALL
      SELECT 1 FROM tokenizer WHERE blob = ? LIMIT 1
      """, [blob, blob, blob]) != nil
    {
      uses.append(.model)
    }
    if try first("SELECT 1 FROM file WHERE blob = ? LIMIT 1", [blob]) != nil { uses.append(.file) }
    if try first(
      """
      SELECT 1 FROM batch WHERE input_blob = ?
        AND state NOT IN ('completed', 'failed', 'expired', 'cancelled') UNION ALL
      SELECT 1 FROM queue JOIN batch ON batch.number = queue.batch WHERE queue.adapter = ?
        AND batch.state NOT IN ('completed', 'failed', 'expired', 'cancelled') LIMIT 1
      """, [blob, blob]) != nil
    {
      uses.append(.openBatch)
    }
    uses += try usesByJobs(of: blob)
    let units = try all(
      """
      SELECT number, ended_at FROM unit WHERE inputs = ? UNION
      SELECT number, ended_at FROM unit WHERE adapter = ? UNION
      SELECT number, ended_at FROM unit WHERE result = ? UNION
      SELECT unit.number, unit.ended_at FROM replica JOIN unit ON unit.number = replica.unit
        WHERE replica.result = ?
      """, [blob, blob, blob, blob])
    uses += try units.compactMap(use(of:))
    return uses
  }

  /// A fine-tuning job that was given up before anything was joined: nothing was made of what it
  /// stored.
  private static let isVoid = """
    (fine_tuning_job.state IN ('cancelled', 'failed') AND NOT EXISTS (
      SELECT 1 FROM fine_tuning_round
      WHERE job = fine_tuning_job.number AND joined_at IS NOT NULL))
    """

  /// The files, examples, adapters and directions of fine-tuning jobs: kept with a job, then as
  /// evidence of what was made of them.
  private func usesByJobs(of blob: Digest) throws -> [BlobUse] {
    try all(
      """
      SELECT ended_at FROM fine_tuning_job WHERE training_blob = ? AND NOT \(Self.isVoid) UNION
      SELECT ended_at FROM fine_tuning_job WHERE validation_blob = ? AND NOT \(Self.isVoid) UNION
      SELECT ended_at FROM fine_tuning_job WHERE velocity = ? UNION
      SELECT ended_at FROM fine_tuning_job JOIN fine_tuning_blob
        ON fine_tuning_blob.job = fine_tuning_job.number WHERE blob = ? AND NOT \(Self.isVoid)
      """, [blob, blob, blob, blob]
    ).map { row in
      let end: Timestamp? = try row.optional("ended_at")
      return end.map { .endedUnit($0) } ?? .openBatch
    }
  }

  /// Nil for a unit that nobody computed of a job that came to nothing.
  private func use(of unit: Row) throws -> BlobUse? {
    guard let end: Timestamp = try unit.optional("ended_at") else { return .openUnit }
    let number: Int64 = try unit.value("number")
    if try first("SELECT 1 FROM unit WHERE number = ? AND audit = 'due'", [number]) != nil {
      return .openUnit
    }
    if let job = try first(
      """
      SELECT ended_at, \(Self.isVoid) AND NOT EXISTS (SELECT 1 FROM replica
        WHERE replica.unit = fine_tuning_unit.unit AND replica.result IS NOT NULL) AS is_void
      FROM fine_tuning_unit JOIN fine_tuning_job
        ON fine_tuning_job.number = fine_tuning_unit.job WHERE fine_tuning_unit.unit = ?
      """, [number])
    {
      if try job.value("is_void") { return nil }
      // A job's first units are evidence for as long as its last.
      let end: Timestamp? = try job.optional("ended_at")
      return end.map { .endedUnit($0) } ?? .openUnit
    }
    let waiting = try first(
      """
      SELECT 1 FROM request JOIN batch ON batch.number = request.batch WHERE request.unit = ?
        AND batch.state NOT IN ('completed', 'failed', 'expired', 'cancelled') LIMIT 1
      """, [number])
    return waiting == nil ? .endedUnit(end) : .openUnit
  }
}
