import CoordinatorCore
import GRDB
import WireProtocol

/// Units and their replicas.
extension Database {
  /// Units that have not ended, whose audit is due, or whose fine-tuning job goes on. CROSS JOIN
  /// keeps SQLite from reading the index of all units.
  func loadUnits(into set: inout WorkingSet) throws {
    set.units = try units(
      """
      SELECT * FROM unit WHERE number IN (
        SELECT unit.number FROM queue CROSS JOIN unit
          ON unit.queue = queue.number AND unit.state IN ('open', 'awaiting_replay') UNION
        SELECT number FROM unit WHERE audit = 'due' UNION
        SELECT fine_tuning_unit.unit FROM fine_tuning_job
          CROSS JOIN fine_tuning_unit ON fine_tuning_unit.job = fine_tuning_job.number
          WHERE fine_tuning_job.state NOT IN ('succeeded', 'failed', 'cancelled'))
      ORDER BY number
      """, [])
  }

  /// Whole units, by a statement that gives rows of `unit`.
  func units(_ sql: String, _ arguments: StatementArguments) throws -> [UnitRow] {
    try all(sql, arguments).map(unit(row:))
  }

  private func unit(row: Row) throws -> UnitRow {
    let number: Int64 = try row.value("number")
    let replicas = try all("SELECT * FROM replica WHERE unit = ? ORDER BY number", [number])
    let work = WorkUnit(
      pool: try row.name("pool"), wanted: try row.value("wanted"),
      state: try WorkUnit.State(row: row), replicas: try replicas.map(Replica.init(row:)),
      failedReplays: try row.value("failed_replays"))
    var unit = UnitRow(
      number: number, digest: try row.value("digest"),
      specification: try row.json("specification"), queue: try row.value("queue"),
      memoryBytes: try row.value("memory_bytes"), promptTokens: try row.json("prompt_tokens"),
      estimatedFlops: try row.value("estimated_flops"), createdAt: try row.value("created_at"),
      tuning: try tuningShard(ofUnit: number), unit: work)
    unit.members = try all(
      """
      SELECT number, batch, queue, first_sequence, sequences, state FROM request
      WHERE unit = ? ORDER BY first_sequence
      """, [number]
    ).map(UnitMember.init(row:))
    unit.leases = try replicas.map { replica in
      var lease = try LeaseRow(row: replica)
      if try replica.value("state", as: String.self) == "accepted" {
        lease.grantedAt = try grantTime(ofReplica: replica.value("number"))
      }
      return lease
    }
    unit.wantedSince = try row.optional("wanted_since")
    unit.flops = try row.optional("flops")
    unit.replay = try row.optional("replay")
    unit.replayDeadline = try row.optional("replay_deadline")
    if try row.optional("audit", as: String.self) != nil { unit.audit = try row.name("audit") }
    unit.auditedAt = try row.optional("audited_at")
    unit.delivered = try row.optional("delivered")
    unit.endedAt = try row.optional("ended_at")
    unit.unit.verdict = try row.optional("verdict")
    return unit
  }

  private func grantTime(ofReplica number: Int64) throws -> Timestamp? {
    try first("SELECT body FROM receipt WHERE replica = ? ORDER BY sequence DESC LIMIT 1", [number])
      .map { try $0.json("body", as: ReceiptRecord.Body.self).time }
  }

  private func tuningShard(ofUnit number: Int64) throws -> TuningShard? {
    try first("SELECT job, round, shard, joined FROM fine_tuning_unit WHERE unit = ?", [number])
      .map { row in
        var shard = TuningShard(
          job: try row.value("job"), round: try row.value("round"), shard: try row.value("shard"))
        shard.isJoined = try row.value("joined")
        return shard
      }
  }

  func writeUnits(_ changes: FleetChanges) throws {
    for row in changes.units.upserts {
      try update(row)
      if changesCount == 0 {
        try insert(row)
        try update(row)
      }
      if let shard = row.tuning { try write(shard, of: row) }
      guard row.leases.count == row.unit.replicas.count else { throw Row.damaged("replica.unit") }
      for (replica, lease) in zip(row.unit.replicas, row.leases) {
        try write(replica, lease, of: row.number)
      }
    }
  }

  /// What never changes of a unit.
  private func insert(_ row: UnitRow) throws {
    try run(
      """
      INSERT INTO unit (number, digest, specification, kind, inputs, adapter, queue, pool, state,
        wanted, missing, memory_bytes, prompt_tokens, estimated_flops, created_at)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'open', ?, 0, ?, ?, ?, ?)
      """,
      [
        row.number, row.digest, try jsonText(row.specification), row.kind.rawValue,
        row.specification.inputs, row.specification.adapter, row.queue, row.unit.pool.rawValue,
        row.unit.wanted, row.memoryBytes, try jsonText(row.promptTokens), row.estimatedFlops,
        row.createdAt,
      ] as StatementArguments)
  }

  private func update(_ row: UnitRow) throws {
    let names = row.unit.state.names
    let acceptance = row.unit.state.acceptance
    try run(
      """
      UPDATE unit SET state = ?, reason = ?, missing = ?, wanted_since = ?, parties = ?,
        sole_account = ?, flops = ?, failed_replays = ?, replay = ?, replay_deadline = ?,
        result = ?, verification = ?, replicas = ?, audit = ?, audited_at = ?, delivered = ?,
        ended_at = ?, verdict = ?
      WHERE number = ?
      """,
      [
        names.state, names.reason, row.unit.missing, row.wantedSince, row.unit.everyParty,
        row.soleAccount, row.flops, row.unit.failedReplays, row.replay, row.replayDeadline,
        acceptance?.result, acceptance?.verification.rawValue, acceptance?.replicas,
        row.audit?.rawValue, row.auditedAt, row.delivered, row.endedAt, row.unit.verdict, row.number,
      ] as StatementArguments)
  }

  private func write(_ shard: TuningShard, of row: UnitRow) throws {
    try run(
      """
      INSERT INTO fine_tuning_unit (unit, job, round, kind, shard, joined)
      VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (unit) DO UPDATE SET joined = excluded.joined
      """, [row.number, shard.job, shard.round, row.kind.rawValue, shard.shard, shard.isJoined])
  }

  private func write(_ replica: Replica, _ lease: LeaseRow, of unit: Int64) throws {
    let names = replica.state.names
    let hasResult = lease.submittedAt != nil || !lease.summaries.isEmpty
    let summaries = hasResult ? try jsonText(lease.summaries) : nil
    try run(
      """
      INSERT INTO replica (number, lease, unit, worker, account, state, reason, detail, issued_at,
        deadline, idle_deadline, late_at, last_deadline, late, flops_done, progress_at, result,
        summaries, signature, seconds, measured_seconds, submitted_at, energy, estimated_energy,
        credit)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (number) DO UPDATE SET state = excluded.state, reason = excluded.reason,
        detail = excluded.detail, issued_at = excluded.issued_at, deadline = excluded.deadline,
        idle_deadline = excluded.idle_deadline, late_at = excluded.late_at,
        last_deadline = excluded.last_deadline, late = excluded.late,
        flops_done = excluded.flops_done, progress_at = excluded.progress_at,
        result = excluded.result, summaries = excluded.summaries, signature = excluded.signature,
        seconds = excluded.seconds, measured_seconds = excluded.measured_seconds,
        submitted_at = excluded.submitted_at, energy = excluded.energy,
        estimated_energy = excluded.estimated_energy, credit = excluded.credit
      """,
      [
        replica.id, lease.lease, unit, replica.worker, replica.account, names.state, names.reason,
        lease.detail, lease.issuedAt, lease.deadline, lease.idleDeadline, lease.lateAt,
        lease.lastDeadline, replica.isLate, lease.flopsDone, lease.progressAt, replica.result,
        summaries, lease.signature, lease.seconds, lease.measuredSeconds, lease.submittedAt,
        lease.energy?.millijoules, lease.energy?.estimatedMillijoules, lease.credit.micro,
      ] as StatementArguments)
  }
}

extension UnitMember {
  fileprivate init(row: Row) throws {
    self.init(
      request: try row.value("number"), batch: try row.value("batch"),
      queue: try row.value("queue"), firstSequence: try row.value("first_sequence"),
      sequences: try row.value("sequences"))
    isAnswered = ["completed", "failed"].contains(try row.value("state", as: String.self))
  }
}

extension LeaseRow {
  fileprivate init(row: Row) throws {
    let last: Timestamp = try row.value("last_deadline")
    self.init(
      lease: try row.value("lease"), issuedAt: try row.value("issued_at"),
      deadline: try row.value("deadline"),
      idleDeadline: try row.optional("idle_deadline") ?? last,
      lateAt: try row.optional("late_at") ?? last, lastDeadline: last)
    detail = try row.optional("detail")
    flopsDone = try row.value("flops_done")
    progressAt = try row.optional("progress_at")
    if try row.optional("summaries", as: String.self) != nil {
      summaries = try row.json("summaries")
    }
    signature = try row.optional("signature")
    seconds = try row.optional("seconds")
    measuredSeconds = try row.optional("measured_seconds")
    submittedAt = try row.optional("submitted_at")
    energy = try Energy(optional: row)
    credit = Credit(micro: try row.value("credit"))
  }
}
