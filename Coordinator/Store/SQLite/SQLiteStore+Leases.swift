import CoordinatorCore
import GRDB
import WireProtocol

/// A lease's row with its worker's right to it checked.
struct ReplicaRow {
  let number: Int64
  let unit: Int64
  let state: Replica.State
  let issuedAt: Timestamp
  let lastDeadline: Timestamp
  let result: Digest?
  let credit: Credit

  /// - Throws: `StoreError.leaseUnknown`, also for another worker's lease.
  static func require(_ lease: String, worker: String, _ db: Database) throws -> ReplicaRow {
    guard
      let row = try db.first(
        "SELECT * FROM replica WHERE lease = ? AND worker = ?", [lease, worker])
    else {
      throw StoreError(.leaseUnknown, "This worker has no lease \(lease).")
    }
    return ReplicaRow(
      number: try row.value("number"), unit: try row.value("unit"),
      state: try Replica.State(row: row), issuedAt: try row.value("issued_at"),
      lastDeadline: try row.value("last_deadline"), result: try row.optional("result"),
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
      let replica = try ReplicaRow.require(lease, worker: worker, db)
      let seen = try db.first("SELECT last_seen FROM worker WHERE id = ?", [worker])
      try transaction.touch(worker: worker, lastSeen: try seen?.optional("last_seen"), now: now)
      guard let deadline = try transaction.extend(replica, now: now) else {
        return HeartbeatResponse(
          verdict: .abandon, deadlineSeconds: 0, reason: replica.state.abandonReason)
      }
      try db.run(
        "UPDATE replica SET deadline = ?, flops_done = max(flops_done, ?) WHERE number = ?",
        [deadline, flopsDone.isFinite ? max(0, flopsDone) : 0, replica.number])
      return HeartbeatResponse(
        verdict: .proceed, deadlineSeconds: Int(deadline.seconds(since: now)))
    }
  }

  func abandon(
    lease: String, worker: String, reason: Abandonment.Reason, detail: String, now: Timestamp
  ) async throws {
    try await write { transaction in
      let replica = try ReplicaRow.require(lease, worker: worker, transaction.db)
      guard case .running = replica.state else { return }
      let before = try UnitRow.require(replica.unit, transaction.db)
      var row = before
      row.unit.lose(replica.number, as: .abandoned(reason), transaction.policy)
      try transaction.save(row, before: before, now: now)
      try transaction.db.run(
        "UPDATE replica SET detail = ? WHERE number = ?",
        [String(detail.prefix(1000)), replica.number])
      if reason != .shuttingDown { try transaction.noteFailure(of: worker, now: now) }
    }
  }

  func leaseRecord(_ lease: String, worker: String) async throws -> LeaseRecord {
    try await read { db in
      let replica = try ReplicaRow.require(lease, worker: worker, db)
      let unit = try UnitRow.require(replica.unit, db)
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
    case .running: "the unit takes too long"
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
  fileprivate func extend(_ replica: ReplicaRow, now: Timestamp) throws -> Timestamp? {
    let old: Timestamp
    switch replica.state {
    case .running(let deadline): old = deadline
    case .expired: old = now
    default: return nil
    }
    let extended = LeaseTerms.extended(old, last: replica.lastDeadline, now: now, policy)
    guard extended > now else { return nil }
    if replica.state == .expired {
      let before = try UnitRow.require(replica.unit, db)
      var row = before
      guard row.unit.revive(replica.number, until: extended) else { return nil }
      try save(row, before: before, now: now)
    }
    return extended
  }

  /// A worker failed at a unit: it waits before it gets another, longer each time in a row.
  func noteFailure(of worker: String, now: Timestamp) throws {
    try db.run("UPDATE worker SET failures = failures + 1 WHERE id = ?", [worker])
    let failures = try db.integer("SELECT failures FROM worker WHERE id = ?", [worker])
    try db.run(
      "UPDATE worker SET backoff_until = ? WHERE id = ?",
      [now.adding(seconds: policy.backoff(afterFailures: failures)), worker])
  }
}
