import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  func progress(of id: String, key: String?, now: Timestamp) async throws -> BatchProgress {
    try await read { [self] db in
      let batch = try BatchRow.require(id, key: key, db)
      var progress = BatchProgress(
        batch: batch.record, units: BatchProgress.Units(), replicas: BatchProgress.Replicas(),
        agreements: 0, replays: 0, waitingRequests: 0, flopsDone: 0, flopsEstimated: 0,
        waitReasons: [], secondsLeft: 0)
      try progress.countUnits(batch, db)
      try progress.countReplicas(batch, db)
      try progress.estimate(batch, db)
      if batch.record.state == .inProgress {
        progress.waitReasons = try waitReasons(batch, progress, now: now, db).sentences()
      }
      if !batch.record.state.hasEnded {
        progress.secondsLeft = max(0, Int(batch.record.times.expires.seconds(since: now)))
      }
      return progress
    }
  }
}

extension BatchProgress {
  fileprivate mutating func countUnits(_ batch: BatchRow, _ db: Database) throws {
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

  fileprivate mutating func countReplicas(_ batch: BatchRow, _ db: Database) throws {
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
  fileprivate mutating func estimate(_ batch: BatchRow, _ db: Database) throws {
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

extension SQLiteStore {
  /// Why a batch does not get on, as far as the store sees it.
  fileprivate func waitReasons(
    _ batch: BatchRow, _ progress: BatchProgress, now: Timestamp, _ db: Database
  ) throws -> WaitReasons {
    var reasons = WaitReasons(
      pool: batch.record.pool, activeMinutes: policy.activeSeconds / 60,
      workers: try presentWorkers(of: batch.record.pool, now: now, db),
      queues: try QueueRow.active(db, batch: batch.number).map(\.queue),
      pending: progress.waitingRequests + progress.units.open)
    reasons.leasing = try Administration(db).leasing
    reasons.runningReplicas = progress.replicas.running
    reasons.awaitingReplay = progress.units.awaitingReplay
    reasons.silentReplicas = try db.integer(
      """
      SELECT count(*) FROM replica JOIN worker ON worker.id = replica.worker
      JOIN unit ON unit.number = replica.unit JOIN queue ON queue.number = unit.queue
      WHERE queue.batch = ? AND replica.state = 'running' AND worker.last_seen < ?
      """, [batch.number, now.adding(seconds: -policy.silenceSeconds - policy.heartbeatSeconds)])
    reasons.model = batch.record.model.map { "model \($0)" } ?? reasons.model
    reasons.refusedUnits = try db.integer(
      """
      SELECT count(DISTINCT unit.number) FROM unit JOIN queue ON queue.number = unit.queue
      JOIN replica ON replica.unit = unit.number
      WHERE queue.batch = ? AND replica.reason = 'invalidUnit' AND NOT EXISTS (
        SELECT 1 FROM unit AS done JOIN queue AS other ON other.number = done.queue
        WHERE other.batch = queue.batch AND done.state = 'accepted')
      """, [batch.number])
    reasons.alone = try db.all(
      """
      SELECT account.id AS id, CASE WHEN account.named = 1 THEN account.name END AS name,
        count(*) AS units FROM unit
      JOIN queue ON queue.number = unit.queue JOIN account ON account.id = unit.sole_account
      WHERE queue.batch = ? AND unit.missing > 0 GROUP BY account.id ORDER BY account.name
      """, [batch.number]
    ).map {
      WaitReasons.Alone(
        account: try $0.value("id"), name: try $0.optional("name"), units: try $0.value("units"))
    }
    return reasons
  }

  /// Workers that serve a pool and asked for something lately.
  private func presentWorkers(
    of pool: WorkPool, now: Timestamp, _ db: Database
  ) throws -> [PresentWorker] {
    try db.all(
      """
      SELECT worker.id, worker.account, worker.suspended_until, worker.backoff_until,
        worker.banned_at, worker.ban_reason, account.banned_at AS account_banned_at,
        account.ban_reason AS account_ban_reason,
        EXISTS (SELECT 1 FROM replica WHERE replica.worker = worker.id AND state = 'running') AS busy
      FROM worker JOIN account ON account.id = worker.account
      WHERE worker.last_seen >= ? AND (worker.trusted = 1 OR ? = 'public')
      """, [now.adding(seconds: -policy.activeSeconds), pool.rawValue]
    ).map { row in
      func lasts(_ column: String) throws -> Bool {
        try row.optional(column, as: Timestamp.self).map { $0 > now } ?? false
      }
      let standing: PresentWorker.Standing =
        if try Ban(worker: row) != nil {
          .banned
        } else if try lasts("suspended_until") {
          .suspended
        } else if try lasts("backoff_until") {
          .heldOff
        } else {
          .free
        }
      let asked = requests[try row.value("id")]
      return PresentWorker(
        account: try row.value("account"), standing: standing, isBusy: try row.value("busy"),
        profile: asked?.profile, passedOver: asked?.passedOver ?? [:])
    }
  }
}
