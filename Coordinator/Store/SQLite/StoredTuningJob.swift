import CoordinatorCore
import GRDB
import WirePayloads
import WireProtocol

/// A fine-tuning job with the number that the other tables know it by.
struct StoredTuningJob: Sendable {
  let number: Int64
  var record: FineTuningJobRecord

  private static let columns = """
    fine_tuning_job.*,
    (SELECT count(*) FROM fine_tuning_round WHERE job = fine_tuning_job.number) AS rounds,
    EXISTS (SELECT 1 FROM fine_tuning_unit JOIN replica ON replica.unit = fine_tuning_unit.unit
      WHERE fine_tuning_unit.job = fine_tuning_job.number) AS has_begun
    """

  init(row: Row) throws {
    number = try row.value("number")
    func json<Value: Decodable>(_ column: String) throws -> Value? {
      try row.optional(column, as: String.self) == nil ? nil : try row.json(column)
    }
    let job = NewFineTuningJob(
      keyID: try row.value("key_id"), model: try row.value("model"),
      trainingFileID: try row.value("training_file"),
      trainingBlob: try row.value("training_blob"),
      validationFileID: try row.optional("validation_file"),
      validationBlob: try row.optional("validation_blob"), suffix: try row.optional("suffix"),
      seed: try row.value("seed"), options: try row.json("options"),
      metadata: try row.texts("metadata"), pool: try row.name("pool"),
      priority: try row.value("priority"))
    record = FineTuningJobRecord(
      id: try row.value("id"), job: job, state: try row.name("state"),
      hasBegun: try row.value("has_begun"), createdAt: try row.value("created_at"),
      startedAt: try row.optional("started_at"), resumedAt: try row.optional("resumed_at"),
      endedAt: try row.optional("ended_at"), failure: try json("failure"), plan: try json("plan"),
      base: try json("base"),
      velocity: try row.optional("velocity"),
      chosen: try row.optional("chosen"), tunedModel: try row.optional("tuned_model"),
      resultFileIDs: try row.json("result_files"), trainedTokens: try row.value("trained_tokens"),
      rounds: try row.value("rounds"))
  }

  /// Rows by a condition on `fine_tuning_job`.
  static func all(
    where condition: String, _ arguments: StatementArguments, _ db: Database
  ) throws -> [StoredTuningJob] {
    try rows(where: condition, arguments, db).map(StoredTuningJob.init(row:))
  }

  /// What `init(row:)` takes.
  static func rows(
    where condition: String, _ arguments: StatementArguments, _ db: Database
  ) throws -> [Row] {
    try db.all("SELECT \(columns) FROM fine_tuning_job WHERE \(condition)", arguments)
  }

  static func find(_ id: String, _ db: Database) throws -> StoredTuningJob? {
    try all(where: "id = ?", [id], db).first
  }

  /// - Throws: `StoreError.notFound`, also for another key's job.
  static func require(_ id: String, key: String? = nil, _ db: Database) throws -> StoredTuningJob {
    guard let row = try find(id, db), key == nil || row.record.job.keyID == key else {
      throw StoreError(.notFound, "No fine-tuning job found with id '\(id)'.")
    }
    return row
  }
}

extension Transaction {
  func note(_ event: FineTuningEvent, ofJob number: Int64, now: Timestamp) throws {
    var event = event
    event.id = identifiers.make("ftevent-")
    event.createdAt = now
    try db.append(event, ofJob: number)
  }

  /// Opens a round with its units.
  func publish(
    _ round: NewFineTuningRound, of job: StoredTuningJob, plan: FineTuningPlan, now: Timestamp
  ) throws {
    try db.run(
      """
      INSERT INTO fine_tuning_round (job, number, adapter, published_at, checkpoint)
      VALUES (?, ?, ?, ?, ?)
      """, [job.number, round.number, round.adapter, now, identifiers.make("ftckpt_")])
    for blob in [round.adapter] + round.units.map(\.inputs) {
      try keep(blob, bytes: round.blobBytes[blob] ?? 0, for: job.number)
    }
    for unit in round.units {
      let specification = UnitSpecification(
        kind: unit.kind, model: plan.model, inputs: unit.inputs, cache: .f32,
        adapter: round.adapter)
      let number = try insert(
        NewUnit(
          specification: specification, queue: try queue(unit.kind, of: job, plan),
          pool: job.record.job.pool, memoryBytes: unit.memoryBytes, tokens: unit.tokens,
          flops: unit.flops), now: now)
      try db.run(
        "INSERT INTO fine_tuning_unit (unit, job, round, kind, shard) VALUES (?, ?, ?, ?, ?)",
        [number, job.number, round.number, unit.kind.rawValue, unit.shard])
    }
    if let checkpoint = round.checkpoint { try insertTuned(checkpoint) }
  }

  /// Keeps a blob for as long as the job, and as evidence after it. Its bytes count for the job's
  /// key until the blob is gone.
  func keep(_ blob: Digest, bytes: Int, for job: Int64) throws {
    try db.run(
      """
      INSERT INTO fine_tuning_blob (blob, job, bytes) VALUES (?, ?, ?)
      ON CONFLICT DO UPDATE SET bytes = max(bytes, excluded.bytes)
      """, [blob, job, bytes])
  }

  /// The job's queue of one kind, which begins where the key's active ones are.
  private func queue(
    _ kind: UnitKind, of job: StoredTuningJob, _ plan: FineTuningPlan
  ) throws -> Int64 {
    try db.run(
      """
      INSERT INTO queue (job, kind, key_id, pool, manifest, cache, priority, released, virtual_time)
      VALUES (?, ?, ?, ?, ?, 'f32', ?, 1, (
        SELECT ifnull(min(other.virtual_time), 0) FROM queue AS other
        WHERE other.released = 1 AND (other.waiting > 0 OR other.missing > 0) AND other.key_id = ?))
      ON CONFLICT DO NOTHING
      """,
      [
        job.number, kind.rawValue, job.record.job.keyID, job.record.job.pool.rawValue, plan.model,
        job.record.job.priority, job.record.job.keyID,
      ])
    let row = try db.first(
      "SELECT number FROM queue WHERE job = ? AND kind = ?", [job.number, kind.rawValue])
    guard let number: Int64 = try row?.value("number") else { throw Row.damaged("queue.number") }
    return number
  }

  /// Which open units of a job are given up.
  enum Unneeded {
    /// `train` units of a round that goes on without them.
    case round(Int)
    /// Those of a job that needs nothing more.
    case job
    /// All of them: their owner wants it.
    case everything
  }

  /// Gives up open units of a job. Unless its owner wants it, those that somebody has computed are
  /// settled all the same: who was right is paid, who was not is caught.
  func cancelUnits(of job: StoredTuningJob, _ which: Unneeded, now: Timestamp) throws {
    var round: Int?
    if case .round(let number) = which { round = number }
    var isEverything = false
    if case .everything = which { isEverything = true }
    let units = try db.all(
      """
      SELECT unit.number FROM fine_tuning_unit JOIN unit ON unit.number = fine_tuning_unit.unit
      WHERE job = ? AND (? IS NULL OR (round = ? AND fine_tuning_unit.kind = 'train'))
        AND unit.state IN ('open', 'awaiting_replay') AND (? OR (unit.state = 'open'
          AND NOT EXISTS (SELECT 1 FROM replica
            WHERE replica.unit = unit.number AND replica.state = 'submitted')))
      """, [job.number, round, round, isEverything])
    for unit in units {
      let before = try StoredUnit.require(try unit.value("number"), db)
      var row = before
      row.unit.cancel()
      try save(row, before: before, now: now)
    }
  }
}
