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
    for unit in units { uses.append(try use(of: unit)) }
    return uses
  }

  /// The files, examples, adapters and directions of fine-tuning jobs: kept with a job, then as
  /// evidence.
  private func usesByJobs(of blob: Digest) throws -> [BlobUse] {
    try all(
      """
      SELECT ended_at FROM fine_tuning_job WHERE training_blob = ? UNION
      SELECT ended_at FROM fine_tuning_job WHERE validation_blob = ? UNION
      SELECT ended_at FROM fine_tuning_job WHERE velocity = ? UNION
      SELECT ended_at FROM fine_tuning_job JOIN fine_tuning_blob
        ON fine_tuning_blob.job = fine_tuning_job.number WHERE blob = ?
      """, [blob, blob, blob, blob]
    ).map { row in
      let end: Timestamp? = try row.optional("ended_at")
      return end.map { .endedUnit($0) } ?? .openBatch
    }
  }

  private func use(of unit: Row) throws -> BlobUse {
    guard let end: Timestamp = try unit.optional("ended_at") else { return .openUnit }
    let number: Int64 = try unit.value("number")
    if try first("SELECT 1 FROM unit WHERE number = ? AND audit = 'due'", [number]) != nil {
      return .openUnit
    }
    if let job = try first(
      """
      SELECT ended_at FROM fine_tuning_unit JOIN fine_tuning_job
        ON fine_tuning_job.number = fine_tuning_unit.job WHERE fine_tuning_unit.unit = ?
      """, [number])
    {
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
