import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  /// Looks at indexes of what runs and waits alone, so that a long history costs nothing.
  func fleetNow(
    for audience: Audience, listedWorkers limit: Int, now: Timestamp
  ) async throws -> FleetNow {
    let activeSince = now.adding(seconds: -policy.activeSeconds)
    return try await read { db in
      let active = try db.first(
        """
        SELECT count(*) AS workers, count(DISTINCT account) AS accounts FROM worker
        WHERE last_seen > ? AND deleted_at IS NULL
        """, [activeSince])
      let computing = try db.first(
        """
        SELECT count(*) AS workers, ifnull(sum(speed), 0.0) AS speed FROM worker
        WHERE id IN (SELECT worker FROM replica WHERE state = 'running' AND deadline > 0)
        """)
      let waiting = try db.first(
        """
        SELECT ifnull(sum(waiting), 0) AS waiting, ifnull(sum(missing), 0) AS missing FROM queue
        WHERE released = 1 AND (waiting > 0 OR missing > 0)
        """)
      let totals = try db.first(
        """
        SELECT ifnull(sum(tokens), 0) AS tokens, ifnull(sum(accepted), 0) AS accepted,
          ifnull(sum(credit), 0) AS credit, ifnull(sum(deleted_at IS NULL), 0) AS accounts,
          ifnull(sum(energy), 0) AS energy, ifnull(sum(estimated_energy), 0) AS estimated_energy
        FROM account
        """)
      let energy = try totals.map(Energy.init(row:)) ?? Energy()
      return FleetNow(
        activeWorkers: try active?.value("workers") ?? 0,
        activeAccounts: try active?.value("accounts") ?? 0,
        workers: try db.integer("SELECT count(*) FROM worker WHERE deleted_at IS NULL"),
        accounts: try totals?.value("accounts") ?? 0,
        computingWorkers: try computing?.value("workers") ?? 0,
        flopsPerSecond: try computing?.value("speed") ?? 0,
        runningReplicas: try db.runningReplicas(),
        openJobs: try db.integer(
          """
          SELECT (SELECT count(*) FROM batch
              WHERE state NOT IN ('completed', 'failed', 'expired', 'cancelled'))
            + (SELECT count(*) FROM fine_tuning_job
              WHERE state IN ('validating', 'running', 'paused'))
          """),
        waitingRequests: try waiting?.value("waiting") ?? 0,
        missingReplicas: try waiting?.value("missing") ?? 0,
        tokens: try totals?.value("tokens") ?? 0,
        acceptedResults: try totals?.value("accepted") ?? 0,
        credit: Credit(micro: try totals?.value("credit") ?? 0),
        energyJoules: energy.joules, estimatedEnergyJoules: energy.estimatedJoules,
        listedWorkers: try db.activeWorkers(since: activeSince, for: audience, limit: limit))
    }
  }

  func jobs(after: String?, limit: Int) async throws -> Page<BatchRecord> {
    try await read { db in
      var start = Int64.max
      if let after {
        guard let row = try StoredBatch.find(after, db) else {
          throw StoreError(.unknownCursor, "There is no batch '\(after)'.")
        }
        start = row.number
      }
      let rows = try db.all(
        "SELECT * FROM batch WHERE number < ? ORDER BY number DESC LIMIT ?", [start, limit + 1])
      return Page(
        items: try rows.prefix(limit).map { try StoredBatch(row: $0).record },
        hasMore: rows.count > limit)
    }
  }

  func tuningJobs(limit: Int) async throws -> [FineTuningJobRecord] {
    try await read { db in
      try StoredTuningJob.all(where: "number > 0 ORDER BY number DESC LIMIT ?", [limit], db)
        .map(\.record)
    }
  }

  func units(
    of batch: String, for audience: Audience, limit: Int
  ) async throws -> [UnitOverview] {
    try await read { db in
      let number = try StoredBatch.require(batch, db).number
      let rows = try db.all(
        """
        SELECT unit.*, (SELECT count(*) FROM request WHERE request.unit = unit.number) AS requests
        FROM unit JOIN queue ON queue.number = unit.queue WHERE queue.batch = ?
        ORDER BY unit.state NOT IN ('open', 'awaiting_replay'), unit.ended_at DESC, unit.number
        LIMIT ?
        """, [number, limit])
      return try rows.map { row in
        try UnitOverview(
          row: row, replicas: try db.replicas(of: try row.value("number"), for: audience))
      }
    }
  }
}

extension Database {
  fileprivate func activeWorkers(
    since: Timestamp, for audience: Audience, limit: Int
  ) throws -> [FleetNow.Worker] {
    try all(
      """
      SELECT worker.id, worker.name, worker.last_seen, account.name AS account_name
      FROM worker JOIN account ON account.id = worker.account
      WHERE worker.last_seen > ? AND worker.deleted_at IS NULL AND (account.named = 1 OR ?)
      ORDER BY worker.last_seen DESC, worker.id LIMIT ?
      """, [since, audience == .operator, limit]
    ).map { row in
      let id: String = try row.value("id")
      return FleetNow.Worker(
        id: id, name: try row.value("name"), accountName: try row.value("account_name"),
        lastSeen: try row.value("last_seen"), running: try runningReplicas(of: id))
    }
  }

  /// Leases that run now. Every deadline is above 0: saying so lets SQLite count in the index of
  /// those leases, however long the history is.
  func runningReplicas() throws -> Int {
    try integer("SELECT count(*) FROM replica WHERE state = 'running' AND deadline > 0")
  }

  /// What a worker computes now, the oldest lease first.
  func runningReplicas(of worker: String) throws -> [RunningReplica] {
    try all(
      """
      SELECT ifnull(batch.id, fine_tuning_job.id) AS job,
        ifnull(batch.model, fine_tuning_job.model) AS model, unit.digest, unit.estimated_flops,
        replica.issued_at, replica.deadline, replica.flops_done
      FROM replica JOIN unit ON unit.number = replica.unit
        JOIN queue ON queue.number = unit.queue
        LEFT JOIN batch ON batch.number = queue.batch
        LEFT JOIN fine_tuning_job ON fine_tuning_job.number = queue.job
      WHERE replica.worker = ? AND replica.state = 'running' ORDER BY replica.number
      """, [worker]
    ).map { row in
      RunningReplica(
        job: try row.value("job"), unit: try row.value("digest"),
        model: try row.optional("model"), issuedAt: try row.value("issued_at"),
        deadline: try row.value("deadline"), flopsDone: try row.value("flops_done"),
        flopsEstimated: try row.value("estimated_flops"))
    }
  }

  fileprivate func replicas(
    of unit: Int64, for audience: Audience
  ) throws -> [UnitOverview.Replica] {
    try all(
      """
      SELECT replica.*, worker.name AS worker_name, account.name AS account_name,
        (account.named OR ?) AND worker.deleted_at IS NULL AS named
      FROM replica JOIN worker ON worker.id = replica.worker
        JOIN account ON account.id = replica.account
      WHERE unit = ? ORDER BY replica.number
      """, [audience == .operator, unit]
    ).map { row in
      let isNamed: Bool = try row.value("named")
      let energy = try Energy(optional: row)
      return UnitOverview.Replica(
        state: try row.name("state"), worker: try row.value("worker"),
        names: isNamed
          ? .init(worker: try row.value("worker_name"), account: try row.value("account_name"))
          : nil,
        issuedAt: try row.value("issued_at"), deadline: try row.value("deadline"),
        flopsDone: try row.value("flops_done"), seconds: try row.optional("seconds"),
        energyJoules: energy?.joules, estimatedEnergyJoules: energy?.estimatedJoules)
    }
  }
}

extension UnitOverview {
  fileprivate init(row: Row, replicas: [Replica]) throws {
    let verification: String? = try row.optional("verification")
    self.init(
      digest: try row.value("digest"), state: try row.name("state"),
      reason: try row.optional("reason"), pool: try row.name("pool"),
      requests: try row.value("requests"), memoryBytes: try row.value("memory_bytes"),
      flopsEstimated: try row.value("estimated_flops"), missing: try row.value("missing"),
      verification: try verification.map { _ in try row.name("verification") },
      createdAt: try row.value("created_at"), endedAt: try row.optional("ended_at"),
      replicas: replicas)
  }
}
