import CoordinatorCore
import GRDB
import ModelFormats
import WireProtocol

// What owners ask of fine-tuning jobs.
package extension SQLiteStore {
  func createFineTuningJob(
    _ job: NewFineTuningJob, isRetry: Bool, now: Timestamp
  ) async throws -> FineTuningJobRecord {
    guard (-100...100).contains(job.priority) else {
      throw StoreError(.invalid, "A job's priority is -100 to 100.")
    }
    let fingerprint = try job.fingerprint
    return try await write { transaction in
      let db = transaction.db
      if isRetry,
        let row = try StoredTuningJob.all(
          where: "fingerprint = ? AND created_at BETWEEN ? AND ? ORDER BY number DESC LIMIT 1",
          [
            // Later ones too, but not from before the clock was set back.
            fingerprint, now.adding(seconds: -StoreLimit.createRetrySeconds),
            now.adding(seconds: StoreLimit.createRetrySeconds),
          ], db
        ).first
      {
        return row.record
      }
      try transaction.requireQuota(.batch(requests: 0), key: job.keyID, now: now)
      // How much a job stores is known once its files were read.
      try transaction.requireQuota(.file(bytes: 1), key: job.keyID, now: now)
      let id = transaction.identifiers.make("ftjob-")
      try db.run(
        """
        INSERT INTO fine_tuning_job (id, key_id, fingerprint, model, training_file, training_blob,
          validation_file, validation_blob, suffix, seed, options, metadata, pool, priority, state,
          created_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'validating', ?)
        """,
        [
          id, job.keyID, fingerprint, job.model, job.trainingFileID, job.trainingBlob,
          job.validationFileID, job.validationBlob, job.suffix, job.seed,
          try jsonText(job.options), try job.metadata.map { try jsonText($0) }, job.pool.rawValue,
          job.priority, now,
        ])
      let row = try StoredTuningJob.require(id, db)
      try transaction.keepFiles(of: row)
      try transaction.note(
        FineTuningEvent("Created fine-tuning job: \(id)"), ofJob: row.number, now: now)
      try transaction.note(
        FineTuningEvent("Validating training file: \(job.trainingFileID)"
          + (job.validationFileID.map { " and validation file: \($0)" } ?? "")),
        ofJob: row.number, now: now)
      return row.record
    }
  }

  func fineTuningJob(_ id: String, key: String?) async throws -> FineTuningJobRecord? {
    try await read { db in
      guard let row = try StoredTuningJob.find(id, db), key == nil || row.record.job.keyID == key
      else { return nil }
      return row.record
    }
  }

  func fineTuningJobs(
    key: String, metadata: ExactDictionary<String>, page: PageRequest
  ) async throws -> Page<FineTuningJobRecord> {
    try await read { db in
      let cursor = try page.after.flatMap { after in
        try Int64.fetchOne(
          db, sql: "SELECT number FROM fine_tuning_job WHERE id = ? AND key_id = ?",
          arguments: [after, key])
      }
      let start = try Self.start(page, number: cursor)
      let wanted = try jsonText(metadata)
      let matches = """
        key_id = ? AND NOT EXISTS (SELECT 1 FROM json_each(?) AS pair
          WHERE (SELECT value FROM json_each(ifnull(metadata, '{}')) AS own \
        WHERE own.key = pair.key)
            IS NOT pair.value)
        """
      let rows =
        switch page.order {
        case .ascending:
          try StoredTuningJob.all(
            where: "\(matches) AND number > ? ORDER BY number LIMIT ?",
            [key, wanted, start, page.limit + 1], db)
        case .descending:
          try StoredTuningJob.all(
            where: "\(matches) AND number < ? ORDER BY number DESC LIMIT ?",
            [key, wanted, start, page.limit + 1], db)
        }
      return Page(
        items: rows.prefix(page.limit).map(\.record), hasMore: rows.count > page.limit)
    }
  }

  func ask(
    _ wish: FineTuningWish, ofFineTuningJob id: String, key: String, now: Timestamp
  ) async throws -> FineTuningJobRecord {
    try await write { transaction in
      let db = transaction.db
      let row = try StoredTuningJob.require(id, key: key, db)
      guard let state = row.record.state.asked(wish) else {
        throw StoreError(
          .conflict, "A fine-tuning job that is \(row.record.state.rawValue) cannot be "
            + "\(wish == .cancel ? "cancelled" : "\(wish.rawValue)d").")
      }
      guard state != row.record.state else { return row.record }
      try db.run(
        """
        UPDATE fine_tuning_job SET state = ?, ended_at = ?, resumed_at = ifnull(?, resumed_at)
        WHERE number = ?
        """,
        [
          state.rawValue, state.hasEnded ? now : nil, wish == .resume ? now : nil, row.number,
        ])
      switch wish {
      case .cancel:
        try transaction.cancelUnits(of: row, .everything, now: now)
        try transaction.forgetVelocity(of: row)
      case .pause, .resume:
        // After a pause it goes on where the key's other queues are, and does not catch up first.
        try db.run(
          """
          UPDATE queue SET released = ?, virtual_time = CASE WHEN ? THEN max(virtual_time, (
            SELECT ifnull(min(other.virtual_time), 0) FROM queue AS other
            WHERE other.released = 1 AND (other.waiting > 0 OR other.missing > 0)
              AND other.key_id = queue.key_id)) ELSE virtual_time END
          WHERE job = ?
          """, [wish == .resume, wish == .resume, row.number])
      }
      let message =
        switch wish {
        case .cancel: "The job was cancelled."
        case .pause: "The job was paused: units that run may finish, nothing new is handed out."
        case .resume: "The job was resumed."
        }
      try transaction.note(FineTuningEvent(message), ofJob: row.number, now: now)
      return try StoredTuningJob.require(id, db).record
    }
  }

  func fineTuningEvents(
    of id: String, key: String, after: String?, limit: Int
  ) async throws -> Page<FineTuningEvent> {
    try await read { db in
      let job = try StoredTuningJob.require(id, key: key, db)
      let cursor = try after.flatMap { after in
        try Int64.fetchOne(
          db, sql: "SELECT number FROM fine_tuning_event WHERE id = ? AND job = ?",
          arguments: [after, job.number])
      }
      let start = try Self.start(PageRequest(after: after), number: cursor)
      let rows = try db.all(
        """
        SELECT * FROM fine_tuning_event WHERE job = ? AND number < ? ORDER BY number DESC LIMIT ?
        """, [job.number, start, limit + 1])
      return try Self.page(rows, limit: limit, FineTuningEvent.init(row:))
    }
  }

  func isOfFineTuningJob(_ id: String, blob: Digest) async throws -> Bool {
    try await read { db in
      let job = try StoredTuningJob.require(id, db)
      return try db.first(
        """
        SELECT 1 FROM fine_tuning_blob JOIN fine_tuning_job
          ON fine_tuning_job.number = fine_tuning_blob.job
          WHERE blob = ? AND job = ? AND blob <> training_blob AND blob IS NOT validation_blob
          UNION ALL
        SELECT 1 FROM model_blob WHERE blob = ? AND manifest = ? UNION ALL
        SELECT 1 FROM fine_tuning_unit JOIN unit ON unit.number = fine_tuning_unit.unit
          WHERE job = ? AND (unit.inputs = ? OR unit.result = ?) LIMIT 1
        """,
        [
          blob, job.number, blob, job.record.plan?.model, job.number, blob, blob,
        ]) != nil
    }
  }
}

extension Transaction {
  /// Counts the bytes of a job's files for as long as the job keeps them, also once the files are
  /// deleted.
  fileprivate func keepFiles(of row: StoredTuningJob) throws {
    let job = row.record.job
    let files = [
      (job.trainingFileID, job.trainingBlob as Digest?), (job.validationFileID, job.validationBlob),
    ]
    for case (let id?, let blob?) in files as [(String?, Digest?)] {
      let bytes = try db.integer("SELECT bytes FROM file WHERE id = ?", [id])
      try keep(blob, bytes: bytes, for: row.number)
    }
  }

  /// The direction is of use only as long as rounds follow.
  func forgetVelocity(of job: StoredTuningJob) throws {
    try db.run("UPDATE fine_tuning_job SET velocity = NULL WHERE number = ?", [job.number])
  }
}

extension FineTuningEvent {
  init(row: Row) throws {
    let hasMetrics = try row.optional("metrics", as: String.self) != nil
    self.init(
      try row.value("message"), level: try row.name("level"),
      metrics: hasMetrics ? try row.json("metrics") : nil)
    id = try row.value("id")
    createdAt = try row.value("created_at")
  }
}
