import CoordinatorCore
import GRDB
import WireProtocol

/// A lease's row with its worker's right to it checked.
struct StoredReplica {
  let number: Int64
  let unit: Int64
  let state: Replica.State
  let issuedAt: Timestamp
  /// Nil for a lease of an earlier version, which heartbeats alone extend.
  let idleDeadline: Timestamp?
  let lastDeadline: Timestamp
  let flopsDone: Double
  /// When that last grew; nil when it did not, or not since it is noted.
  let progressAt: Timestamp?
  let result: Digest?
  let credit: Credit

  /// - Throws: `StoreError.leaseUnknown`, also for another worker's lease.
  static func require(_ lease: String, worker: String, _ db: Database) throws -> StoredReplica {
    guard
      let row = try db.first(
        "SELECT * FROM replica WHERE lease = ? AND worker = ?", [lease, worker])
    else {
      throw StoreError(.leaseUnknown, "This worker has no lease \(lease).")
    }
    return StoredReplica(
      number: try row.value("number"), unit: try row.value("unit"),
      state: try Replica.State(row: row), issuedAt: try row.value("issued_at"),
      idleDeadline: try row.optional("idle_deadline"),
      lastDeadline: try row.value("last_deadline"), flopsDone: try row.value("flops_done"),
      progressAt: try row.optional("progress_at"),
      result: try row.optional("result"),
      credit: Credit(micro: try row.value("credit")))
  }

  /// What an upload of this lease's result is answered.
  func receipt(unit: WorkUnit.State) -> ResultReceipt {
    let state: ResultReceipt.State =
      switch state {
      case .accepted: .accepted
      case .rejected: .rejected
      case .submitted:
        if case .awaitingReplay = unit { .awaitingReplay } else { .awaitingReplica }
      case .running, .expired, .abandoned, .takenBack, .notNeeded, .revoked: .notNeeded
      }
    return ResultReceipt(state: state, credit: credit.value)
  }
}

package extension SQLiteStore {
  func heartbeat(
    lease: String, worker: String, flopsDone: Double, now: Timestamp
  ) async throws -> HeartbeatResponse {
    try await write { transaction in
      let db = transaction.db
      let replica = try StoredReplica.require(lease, worker: worker, db)
      let seen = try db.first("SELECT last_seen FROM worker WHERE id = ?", [worker])
      try transaction.touch(worker: worker, lastSeen: try seen?.optional("last_seen"), now: now)
      let done = max(replica.flopsDone, flopsDone.isFinite ? flopsDone : 0)
      let progress = done > replica.flopsDone ? now : replica.progressAt
      guard
        let deadline = try transaction.extend(replica, flopsDone: done, progress, now: now)
      else {
        return HeartbeatResponse(
          verdict: .abandon, deadlineSeconds: 0, reason: replica.state.abandonReason)
      }
      try db.run(
        "UPDATE replica SET deadline = ?, flops_done = ?, progress_at = ? WHERE number = ?",
        [deadline, done, progress, replica.number])
      return HeartbeatResponse(
        verdict: .proceed, deadlineSeconds: Int(deadline.seconds(since: now)))
    }
  }

  func abandon(
    lease: String, worker: String, reason: Abandonment.Reason, detail: String, now: Timestamp
  ) async throws {
    try await write { transaction in
      let replica = try StoredReplica.require(lease, worker: worker, transaction.db)
      guard case .running = replica.state else { return }
      // The line of a batch that fails for it, and its log, show the words.
      let detail = ForeignText.line(detail) ?? ""
      try transaction.db.run(
        "UPDATE replica SET detail = ? WHERE number = ?", [detail, replica.number])
      try transaction.lose(
        replica.number, of: replica.unit, as: .abandoned(reason), detail: detail, now: now)
      switch reason {
      case .shuttingDown: try transaction.noteReturn(by: worker, now: now)
      case .invalidUnit: break
      case .outOfMemory, .blobUnavailable, .failed:
        try transaction.noteFailure(of: worker, leased: replica.issuedAt, now: now)
      }
    }
  }

  func noteInvalidResult(of worker: String, now: Timestamp) async throws {
    try await write { try $0.noteFailure(of: worker, leased: now, now: now) }
  }

  func leaseRecord(_ lease: String, worker: String) async throws -> LeaseRecord {
    try await read { db in
      let replica = try StoredReplica.require(lease, worker: worker, db)
      let unit = try StoredUnit.require(replica.unit, db)
      let row = try db.first("SELECT specification FROM unit WHERE number = ?", [unit.number])
      guard let specification = try row?.json("specification", as: UnitSpecification.self) else {
        throw Row.damaged("unit.specification")
      }
      return LeaseRecord(
        id: lease, workerID: worker, unit: unit.digest, specification: specification,
        estimatedFlops: unit.estimatedFlops,
        submitted: replica.result.map {
          SubmittedResult(digest: $0, receipt: replica.receipt(unit: unit.unit.state))
        })
    }
  }

  func mayRead(blob: Digest, worker: String, now: Timestamp) async throws -> Bool {
    try await read { db in
      if try db.first("SELECT 1 FROM model_blob WHERE blob = ? LIMIT 1", [blob]) != nil {
        return true
      }
      return try db.first(
        """
        SELECT 1 FROM replica JOIN unit ON unit.number = replica.unit
        WHERE replica.worker = ? AND replica.state = 'running'
          AND (unit.inputs = ? OR unit.adapter = ?) LIMIT 1
        """, [worker, blob, blob]) != nil
    }
  }
}

extension Replica.State {
  /// What a heartbeat of a lease in this state is told.
  fileprivate var abandonReason: String {
    switch self {
    case .running: "the unit takes too long, or gets no further"
    case .expired: "the lease expired and another took its place"
    case .abandoned: "the lease was given back"
    case .submitted, .accepted, .rejected, .takenBack: "the lease has a result already"
    case .notNeeded: "the unit is settled or cancelled"
    case .revoked: "the worker is suspended"
    }
  }
}

extension Transaction {
  /// The new deadline of a lease whose worker is alive; nil when it has to stop.
  ///
  /// - Parameter latest: when the worker last got further.
  fileprivate func extend(
    _ replica: StoredReplica, flopsDone: Double, _ latest: Timestamp?, now: Timestamp
  ) throws -> Timestamp? {
    let old: Timestamp
    switch replica.state {
    case .running(let deadline): old = deadline
    case .expired: old = now
    default: return nil
    }
    let before = try StoredUnit.require(replica.unit, db)
    let extended = LeaseTerms.extended(
      old, idle: replica.idleDeadline ?? replica.lastDeadline, last: replica.lastDeadline,
      LeaseTerms.Progress(
        issued: replica.issuedAt, latest: latest, share: flopsDone / before.estimatedFlops),
      now: now, policy)
    guard extended > now else { return nil }
    if replica.state == .expired {
      var row = before
      guard row.unit.revive(replica.number, until: extended) else { return nil }
      try save(row, before: before, now: now)
    }
    return extended
  }

  /// A lease ends without a result, with all that this means for its unit.
  func lose(
    _ replica: Int64, of unit: Int64, as state: Replica.State, detail: String = "", now: Timestamp
  ) throws {
    let before = try StoredUnit.require(unit, db)
    var row = before
    let actions = try row.unit.lose(
      replica, as: state, detail: detail, among: parties(of: before.unit.pool, now: now),
      policy)
    try settle(row, before: before, actions, summaries: [], now: now)
  }

  /// Accounts with a worker that was there within a day and is not banned; in the trusted pool its
  /// machines.
  private func parties(of pool: WorkPool, now: Timestamp) throws -> Int {
    let counted = pool == .public ? "count(DISTINCT account)" : "count(*)"
    return try db.integer(
      """
      SELECT \(counted) FROM worker WHERE last_seen >= ? AND (trusted = 1 OR ?)
        AND banned_at IS NULL
        AND account NOT IN (SELECT id FROM account WHERE banned_at IS NOT NULL)
      """, [now.adding(seconds: -86_400), pool == .public])
  }

  /// A worker failed at a unit: it waits before it gets another, longer each time in a row. So does
  /// its account when as many failed in a row as it has workers. Leases from before the last
  /// failure are part of it: a machine that went away with several failed once.
  ///
  /// - Parameter leased: when the worker was given the unit.
  func noteFailure(of worker: String, leased: Timestamp, now: Timestamp) throws {
    guard
      let row = try db.first(
        "SELECT account, failures, failed_at FROM worker WHERE id = ?", [worker])
    else { throw Row.damaged("replica.worker") }
    if let last: Timestamp = try row.optional("failed_at"), leased < last { return }
    let failures: Int = try row.value("failures") + 1
    try db.run(
      "UPDATE worker SET failures = ?, failed_at = ?, backoff_until = ? WHERE id = ?",
      [failures, now, now.adding(seconds: policy.backoff(afterFailures: failures)), worker])
    let account: String = try row.value("account")
    try db.run("UPDATE account SET failures = failures + 1 WHERE id = ?", [account])
    let all = try db.integer("SELECT failures FROM account WHERE id = ?", [account])
    let times = try all / workers(of: account, now: now)
    guard times > 0 else { return }
    try db.run(
      "UPDATE account SET backoff_until = max(ifnull(backoff_until, 0), ?) WHERE id = ?",
      [now.adding(seconds: policy.backoff(afterFailures: times)), account])
  }

  /// A worker called a unit invalid that the trusted machine computed. That is a failure like
  /// another, and no wrong result: an old program may know no better. `refusedModels` keeps the
  /// model from it.
  func refute(_ replica: Int64, now: Timestamp) throws {
    guard
      let row = try db.first("SELECT worker, issued_at FROM replica WHERE number = ?", [replica])
    else { throw Row.damaged("replica.number") }
    try noteFailure(
      of: try row.value("worker"), leased: try row.value("issued_at"), now: now)
  }

  /// A worker gave a unit back though it could compute it: more of them than restarts explain hold
  /// its account back.
  fileprivate func noteReturn(by worker: String, now: Timestamp) throws {
    guard
      let row = try db.first(
        """
        SELECT account.id, account.returns_until FROM account
        JOIN worker ON worker.account = account.id WHERE worker.id = ?
        """, [worker])
    else { throw Row.damaged("replica.worker") }
    let account: String = try row.value("id")
    let counted = ReturnRate.adding(
      to: try row.optional("returns_until"), workers: try workers(of: account, now: now), now: now,
      policy)
    try db.run("UPDATE account SET returns_until = ? WHERE id = ?", [counted, account])
  }

  /// An account's workers that were there within a day, 1 or more.
  private func workers(of account: String, now: Timestamp) throws -> Int {
    max(
      1,
      try db.integer(
        "SELECT count(*) FROM worker WHERE account = ? AND last_seen >= ?",
        [account, now.adding(seconds: -86_400)]))
  }
}
