import CoordinatorCore
import GRDB
import WireProtocol

/// Fine-tuning jobs, their rounds, blobs and events.
extension Database {
  func loadTuning(into set: inout WorkingSet) throws {
    set.tuningJobs = try tuningJobs("true ORDER BY number", [])
    set.tuningRounds = try all("SELECT * FROM fine_tuning_round ORDER BY job, number")
      .map(TuningRoundRow.init(row:))
  }

  /// Rows by a condition on `fine_tuning_job`.
  func tuningJobs(_ condition: String, _ arguments: StatementArguments) throws -> [TuningJobRow] {
    try StoredTuningJob.rows(where: condition, arguments, self).map { row in
      let stored = try StoredTuningJob(row: row)
      var job = TuningJobRow(
        number: stored.number, record: stored.record, fingerprint: try row.value("fingerprint"))
      job.reservedTokens = try row.value("reserved_tokens")
      for kept in try all("SELECT blob, bytes FROM fine_tuning_blob WHERE job = ?", [job.number]) {
        job.blobs[try kept.value("blob")] = try kept.value("bytes", as: Int.self)
      }
      return job
    }
  }

  func writeTuningJobs(_ changes: FleetChanges) throws {
    for row in changes.tuningJobs.upserts {
      try write(row)
      try writeBlobs(of: row)
    }
    for row in changes.tuningRounds.upserts { try write(row) }
  }

  private func write(_ row: TuningJobRow) throws {
    let record = row.record
    let job = record.job
    try run(
      """
      INSERT INTO fine_tuning_job (number, id, key_id, fingerprint, model, training_file,
        training_blob, validation_file, validation_blob, suffix, seed, options, metadata, pool,
        priority, state, created_at, started_at, resumed_at, ended_at, failure, plan, base,
        velocity, chosen, tuned_model, result_files, trained_tokens, reserved_tokens)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (number) DO UPDATE SET priority = excluded.priority, state = excluded.state,
        created_at = excluded.created_at, started_at = excluded.started_at,
        resumed_at = excluded.resumed_at, ended_at = excluded.ended_at,
        failure = excluded.failure, plan = excluded.plan, base = excluded.base,
        velocity = excluded.velocity, chosen = excluded.chosen,
        tuned_model = excluded.tuned_model, result_files = excluded.result_files,
        trained_tokens = excluded.trained_tokens, reserved_tokens = excluded.reserved_tokens
      """,
      [
        row.number, record.id, job.keyID, row.fingerprint, job.model, job.trainingFileID,
        job.trainingBlob, job.validationFileID, job.validationBlob, job.suffix, job.seed,
        try jsonText(job.options), try job.metadata.map { try jsonText($0) }, job.pool.rawValue,
        job.priority, record.state.rawValue, record.createdAt, record.startedAt,
        record.resumedAt, record.endedAt, try record.failure.map { try jsonText($0) },
        try record.plan.map { try jsonText($0) }, try record.base.map { try jsonText($0) },
        record.velocity, record.chosen, record.tunedModel, try jsonText(record.resultFileIDs),
        record.trainedTokens, row.reservedTokens,
      ] as StatementArguments)
  }

  /// Blobs that a job keeps. Those that it let go of are told by `FleetEffect.blobsForgotten`.
  private func writeBlobs(of row: TuningJobRow) throws {
    guard !row.blobs.isEmpty else { return }
    let bytes = Dictionary(uniqueKeysWithValues: row.blobs.map { ($0.key.hex, $0.value) })
    try run(
      """
      INSERT INTO fine_tuning_blob (blob, job, bytes)
        SELECT key, ?, value FROM json_each(?) WHERE true
      ON CONFLICT (blob, job) DO UPDATE SET bytes = excluded.bytes WHERE bytes <> excluded.bytes
      """, [row.number, try jsonText(bytes)])
  }

  func forget(_ blobs: [Digest], endedBy time: Timestamp) throws {
    for blob in blobs {
      try run(
        """
        DELETE FROM fine_tuning_blob WHERE blob = ? AND EXISTS (SELECT 1 FROM fine_tuning_job
          WHERE number = fine_tuning_blob.job AND ended_at <= ?)
        """, [blob, time])
    }
  }

  private func write(_ row: TuningRoundRow) throws {
    try run(
      """
      INSERT INTO fine_tuning_round (job, number, adapter, published_at, joined_at, metrics,
        validation_loss, checkpoint)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (job, number) DO UPDATE SET published_at = excluded.published_at,
        joined_at = excluded.joined_at, metrics = excluded.metrics,
        validation_loss = excluded.validation_loss
      """,
      [
        row.job, row.number, row.adapter, row.publishedAt, row.joinedAt,
        try row.metrics.map { try jsonText($0) }, row.validationLoss, row.checkpointID,
      ])
  }

  func append(_ event: FineTuningEvent, ofJob job: Int64) throws {
    try run(
      """
      INSERT INTO fine_tuning_event (id, job, created_at, level, message, metrics)
      VALUES (?, ?, ?, ?, ?, ?)
      """,
      [
        event.id, job, event.createdAt, event.level.rawValue, event.message,
        try event.metrics.map { try jsonText($0) },
      ])
  }
}

extension TuningRoundRow {
  init(row: Row) throws {
    self.init(
      job: try row.value("job"), number: try row.value("number"),
      adapter: try row.value("adapter"), publishedAt: try row.value("published_at"),
      checkpointID: try row.value("checkpoint"))
    joinedAt = try row.optional("joined_at")
    if try row.optional("metrics", as: String.self) != nil { metrics = try row.json("metrics") }
    validationLoss = try row.optional("validation_loss")
  }
}
