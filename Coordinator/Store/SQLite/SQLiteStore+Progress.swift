import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  func progress(of id: String, key: String?, now: Timestamp) async throws -> BatchProgress {
    try await read { [self] db in
      let batch = try StoredBatch.require(id, key: key, db)
      var progress = BatchProgress(
        batch: batch.record, units: BatchProgress.Units(), replicas: BatchProgress.Replicas(),
        agreements: 0, replays: 0, waitingRequests: 0, flopsDone: 0, flopsEstimated: 0,
        waitReasons: [], secondsLeft: 0)
      try progress.countUnits(batch, db)
      try progress.countReplicas(batch, db)
      try progress.estimate(batch, db)
      if batch.record.state == .inProgress {
        var reasons = try waitReasons(
          .batch(batch.number), pool: batch.record.pool,
          open: progress.waitingRequests + progress.units.open, now: now, db)
        reasons.model = batch.record.model.map { "model \($0)" } ?? reasons.model
        progress.waitReasons = reasons.sentences()
      }
      if !batch.record.state.hasEnded {
        progress.secondsLeft = max(0, Int(batch.record.times.expires.seconds(since: now)))
      }
      return progress
    }
  }
}

extension BatchProgress {
  fileprivate mutating func countUnits(_ batch: StoredBatch, _ db: Database) throws {
    let rows = try db.all(
      """
      SELECT unit.state AS state, verification, count(*) AS count FROM unit
      JOIN queue ON queue.number = unit.queue WHERE queue.batch = ? GROUP BY 1, 2
      """, [batch.number])
    for row in rows {
      let count: Int = try row.value("count")
      switch try row.value("state", as: String.self) {
      case "open": units.open += count
      case "awaiting_replay": units.awaitingReplay += count
      case "accepted": units.accepted += count
      case "failed": units.failed += count
      default: units.cancelled += count
      }
      switch try row.optional("verification", as: String.self) {
      case Verification.quorum.rawValue: agreements += count
      case Verification.replay.rawValue: replays += count
      default: break
      }
    }
  }

  fileprivate mutating func countReplicas(_ batch: StoredBatch, _ db: Database) throws {
    let rows = try db.all(
      """
      SELECT replica.state AS state, count(*) AS count FROM replica
      JOIN unit ON unit.number = replica.unit JOIN queue ON queue.number = unit.queue
      WHERE queue.batch = ? GROUP BY 1
      """, [batch.number])
    for row in rows {
      let count: Int = try row.value("count")
      switch try row.value("state", as: String.self) {
      case "running": replicas.running += count
      case "submitted": replicas.waiting += count
      case "accepted": replicas.accepted += count
      case "rejected", "taken_back": replicas.rejected += count
      default: replicas.lost += count
      }
    }
  }

  /// Waiting requests are counted with their mean length: exact enough for a progress bar.
  fileprivate mutating func estimate(_ batch: StoredBatch, _ db: Database) throws {
    flopsDone =
      try db.first("SELECT flops_done FROM batch WHERE number = ?", [batch.number])?
      .value("flops_done") ?? 0
    let units = try db.first(
      """
      SELECT ifnull(sum(unit.estimated_flops), 0.0) AS open FROM unit
      JOIN queue ON queue.number = unit.queue
      WHERE queue.batch = ? AND unit.state IN ('open', 'awaiting_replay')
      """, [batch.number])
    flopsEstimated = flopsDone + (try units?.value("open") ?? 0)
    for row in try db.all(
      """
      SELECT queue.*, manifest.* FROM queue JOIN manifest ON manifest.digest = queue.manifest
      WHERE queue.batch = ? AND queue.waiting > 0
      """, [batch.number])
    {
      waitingRequests += try row.value("waiting", as: Int.self)
      let lengths = try db.first(
        """
        SELECT sum(sequences) AS sequences, sum(prompt_tokens) AS prompt, sum(max_tokens) AS limits
        FROM request WHERE queue = ? AND state = 'waiting'
        """, [try row.value("number", as: Int64.self)])
      guard let sequences: Int = try lengths?.optional("sequences"), sequences > 0 else { continue }
      let estimate = GenerationEstimate(
        tokens: try row.value("learned_tokens"), sequences: try row.value("learned_sequences"))
      let prompt: Int = try lengths?.value("prompt") ?? 0
      let limit: Int = try lengths?.value("limits") ?? 0
      flopsEstimated +=
        Double(sequences)
        * (try ModelCost(row: row)).flops(
          prompt: prompt / sequences, generated: estimate.tokens(limit: max(1, limit / sequences)))
    }
  }
}
