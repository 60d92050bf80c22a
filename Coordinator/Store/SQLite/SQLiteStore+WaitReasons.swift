import CoordinatorCore
import GRDB
import WireProtocol

/// Whose units a queue has: by the owner's number in its own table.
enum StoredOwner: Sendable {
  case batch(Int64)
  case job(Int64)

  /// The column of `queue` that names the owner.
  var column: String {
    switch self {
    case .batch: "batch"
    case .job: "job"
    }
  }

  var number: Int64 {
    switch self {
    case .batch(let number), .job(let number): number
    }
  }
}

package extension SQLiteStore {
  func waitReasons(
    ofFineTuningJob id: String, key: String?, now: Timestamp
  ) async throws -> WaitReasons? {
    try await read { [self] db in
      let job = try StoredTuningJob.require(id, key: key, db)
      guard job.record.state == .running else { return nil }
      let open = try db.integer(
        """
        SELECT count(*) FROM unit JOIN queue ON queue.number = unit.queue
        WHERE queue.job = ? AND unit.state = 'open'
        """, [job.number])
      var reasons = try waitReasons(
        .job(job.number), pool: job.record.job.pool, open: open, now: now, db)
      reasons.work = .training
      reasons.model = "model \(job.record.job.model)"
      return reasons
    }
  }
}

extension SQLiteStore {
  /// Why a batch or a job does not get on, as far as the store sees it.
  ///
  /// - Parameter open: units that are open, and requests in none.
  func waitReasons(
    _ owner: StoredOwner, pool: WorkPool, open: Int, now: Timestamp, _ db: Database
  ) throws -> WaitReasons {
    var reasons = WaitReasons(
      pool: pool, activeMinutes: policy.activeSeconds / 60,
      workers: try presentWorkers(of: pool, now: now, db),
      queues: try StoredQueue.active(db, of: owner).map(\.queue), pending: open)
    reasons.leasing = try Administration(db).leasing
    let replays = try db.first(
      """
      SELECT count(*) AS waiting, count(CASE WHEN unit.reason = ? THEN 1 END) AS invalid
      FROM unit JOIN queue ON queue.number = unit.queue
      WHERE queue.\(owner.column) = ? AND unit.state = 'awaiting_replay'
      """, [WorkUnit.ReplayReason.calledInvalid.rawValue, owner.number])
    reasons.awaitingReplay = try replays?.value("waiting") ?? 0
    reasons.calledInvalid = try replays?.value("invalid") ?? 0
    let replicas = try db.first(
      """
      SELECT count(*) AS running, count(CASE WHEN worker.last_seen < ? THEN 1 END) AS silent
      FROM replica JOIN worker ON worker.id = replica.worker
      JOIN unit ON unit.number = replica.unit JOIN queue ON queue.number = unit.queue
      WHERE queue.\(owner.column) = ? AND replica.state = 'running'
      """,
      [now.adding(seconds: -policy.silenceSeconds - policy.heartbeatSeconds), owner.number])
    reasons.runningReplicas = try replicas?.value("running") ?? 0
    reasons.silentReplicas = try replicas?.value("silent") ?? 0
    reasons.refusedUnits = try db.integer(
      """
      SELECT count(DISTINCT unit.number) FROM unit JOIN queue ON queue.number = unit.queue
      JOIN replica ON replica.unit = unit.number
      WHERE queue.\(owner.column) = ?1 AND replica.reason = 'invalidUnit' AND NOT EXISTS (
        SELECT 1 FROM unit AS done JOIN queue AS other ON other.number = done.queue
        WHERE other.\(owner.column) = ?1 AND done.state = 'accepted')
      """, [owner.number])
    reasons.alone = try db.all(
      """
      SELECT account.id AS id, CASE WHEN account.named = 1 THEN account.name END AS name,
        count(*) AS units FROM unit
      JOIN queue ON queue.number = unit.queue JOIN account ON account.id = unit.sole_account
      WHERE queue.\(owner.column) = ? AND unit.missing > 0 GROUP BY account.id
      ORDER BY account.name
      """, [owner.number]
    ).map {
      WaitReasons.Alone(
        account: try $0.value("id"), name: try $0.optional("name"), units: try $0.value("units"))
    }
    if pool == .public {
      reasons.exhaustedUnits = try db.integer(
        """
        SELECT count(*) FROM unit JOIN queue ON queue.number = unit.queue
        WHERE queue.\(owner.column) = :owner AND unit.missing > 0 AND unit.parties > 1
          AND NOT EXISTS (SELECT 1 FROM worker WHERE \(FleetPresence.condition)
            AND account NOT IN (SELECT account FROM replica WHERE replica.unit = unit.number))
        """, FleetPresence.arguments(now: now, policy, ["owner": owner.number]))
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
        account.ban_reason AS account_ban_reason, account.suspended_until AS account_suspended,
        account.backoff_until AS account_backoff, account.returns_until,
        EXISTS (SELECT 1 FROM replica WHERE replica.worker = worker.id AND state = 'running') \
      AS busy
      FROM worker JOIN account ON account.id = worker.account
      WHERE worker.last_seen >= ? AND (worker.trusted = 1 OR ? = 'public')
      """, [now.adding(seconds: -policy.activeSeconds), pool.rawValue]
    ).map { row in
      let asked = requests[try row.value("id")]
      return PresentWorker(
        account: try row.value("account"), standing: try standing(row, now: now),
        isBusy: try row.value("busy"), profile: asked?.profile, passedOver: asked?.passedOver ?? [:]
      )
    }
  }

  /// What the scheduler makes of a worker and its account.
  private func standing(_ row: Row, now: Timestamp) throws -> PresentWorker.Standing {
    func lasts(_ columns: String...) throws -> Bool {
      try columns.contains { try row.optional($0, as: Timestamp.self).map { $0 > now } ?? false }
    }
    if try Ban(worker: row) != nil { return .banned }
    if try lasts("suspended_until", "account_suspended") { return .suspended }
    let returns: Timestamp? = try row.optional("returns_until")
    let givesBack = returns.map { ReturnRate.heldBackUntil($0, policy) > now } ?? false
    return try givesBack || lasts("backoff_until", "account_backoff") ? .heldOff : .free
  }
}
