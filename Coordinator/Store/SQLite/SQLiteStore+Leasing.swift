import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  func lease(
    worker: String, request: LeaseRequest, now: Timestamp
  ) async throws -> LeaseResponse {
    try await write { transaction in
      var call = try LeaseCall(worker: worker, request: request, transaction, now: now)
      return try call.run()
    }
  }
}

/// One worker's request for work, within its transaction.
private struct LeaseCall {
  let transaction: Transaction
  let worker: WorkerRecord
  let profile: WorkerProfile
  let request: LeaseRequest
  let now: Timestamp
  let administration: Administration
  let ban: Ban?
  /// Whether it gets no work for what another worker of its account did.
  let isHeldWithAccount: Bool
  let activeWorkers: Int
  var queues: [QueueRow]
  var present: Double
  var leases: [Lease] = []
  /// Seconds of work given so far.
  var seconds = 0.0

  private var db: Database { transaction.db }
  private var policy: CoordinatorPolicy { transaction.policy }

  init(
    worker id: String, request: LeaseRequest, _ transaction: Transaction, now: Timestamp
  ) throws {
    let db = transaction.db
    guard
      let row = try db.first(
        """
        SELECT worker.speed, worker.machine, worker.last_seen, worker.backoff_until, worker.banned_at,
          worker.ban_reason, account.banned_at AS account_banned_at,
          account.ban_reason AS account_ban_reason, account.suspended_until AS account_suspended
        FROM worker JOIN account ON account.id = worker.account WHERE worker.id = ?
        """, [id])
    else { throw StoreError(.notFound, "There is no worker \(id).") }
    administration = try Administration(db)
    ban = try Ban(worker: row)
    if let reason = request.versions.mismatch(minimumVersion: administration.minimumWorkerVersion) {
      throw StoreError(.upgradeRequired, reason)
    }
    try transaction.touch(worker: id, lastSeen: try row.optional("last_seen"), now: now)
    try transaction.note(
      request.machine?.cleaned, ofWorker: id, stored: try row.optional("machine"))
    worker = try WorkerRecord.require(id, db)
    let backoff: Timestamp? = try row.optional("backoff_until")
    let held: Timestamp? = try row.optional("account_suspended")
    isHeldWithAccount = (held ?? now) > max(worker.suspendedUntil ?? now, now)
    profile = WorkerProfile(
      trusted: worker.trusted,
      suspendedUntil: [worker.suspendedUntil, held, backoff].compactMap(\.self).max(),
      threads: request.threads, memoryLimitBytes: request.memoryLimitBytes,
      cacheFreeBytes: request.cacheFreeBytes, cachedModels: Set(request.cachedModels),
      flopsPerSecond: try row.optional("speed"), choices: request.choices)
    self.transaction = transaction
    self.request = request
    self.now = now
    activeWorkers = try db.integer(
      "SELECT count(*) FROM worker WHERE last_seen >= ?",
      [now.adding(seconds: -transaction.policy.activeSeconds)])
    queues = try transaction.activeQueues()
    present = try transaction.virtualTime()
  }

  mutating func run() throws -> LeaseResponse {
    if case .refused(let reason, let message, let retry) = LeaseAdmission.decide(
      administration, ban: ban, retryAfterSeconds: policy.retryAfterSeconds)
    {
      return LeaseResponse(
        leases: [], reasons: [reason: 1], retryAfterSeconds: retry, message: message)
    }
    let limit = try unitLimit()
    var reasons: [IdleReason: Int] = limit > 0 ? [:] : [.paused: 1]
    while leases.count < limit, leases.isEmpty || seconds < Double(request.secondsWanted) {
      let order = Scheduler.order(queues.map(\.queue), for: profile, present: present, now: now)
      reasons = order.passedOver
      guard let (unit, queue) = try nextUnit(order.queues, &reasons) else { break }
      try lease(unit, queue)
    }
    let isIdle = leases.isEmpty
    return LeaseResponse(
      leases: leases, reasons: isIdle ? reasons : [:],
      retryAfterSeconds: retryAfter(isSuspended: reasons[.suspended] != nil),
      message: isHeldWithAccount ? AccountPenalty.message : administration.message)
  }

  /// Units that this call may give. A worker without a measured speed gets one small unit first.
  private func unitLimit() throws -> Int {
    let running = try db.integer(
      "SELECT count(*) FROM replica WHERE worker = ? AND state = 'running'", [worker.id])
    let wanted =
      profile.flopsPerSecond == nil
      ? 1 : max(1, min(request.maximumUnits, policy.maximumUnitsPerLease))
    return max(0, min(wanted, policy.maximumRunningLeases - running))
  }

  /// Suspended workers need not ask every few seconds.
  private func retryAfter(isSuspended: Bool) -> Int {
    guard isSuspended, let until = profile.suspendedUntil else { return policy.retryAfterSeconds }
    return max(policy.retryAfterSeconds, min(600, Int(until.seconds(since: now).rounded(.up))))
  }

  /// The unit to lease next: a replica that a unit of the fairest queue waits for, else a fresh
  /// unit of it, else the same of the next queue; when no queue has anything of a fitting size, the
  /// smallest replica of the fairest.
  private mutating func nextUnit(
    _ order: [WorkQueue], _ reasons: inout [IdleReason: Int]
  ) throws -> (UnitRow, Int)? {
    let fitting = profile.speed(policy) * Double(policy.targetUnitSeconds) * policy.replicaStretch
    for (rank, queue) in order.enumerated() {
      guard let index = queues.firstIndex(where: { $0.queue.id == queue.id }) else { continue }
      if queue.missingReplicas > 0, let unit = try waitingUnit(queue, atMost: fitting) {
        return (unit, index)
      }
      if queue.waitingRequests > 0 {
        if let unit = try freshUnit(queue, order[rank...]) { return (unit, index) }
        reasons[.needsMoreMemory, default: 0] += queue.waitingRequests
      }
    }
    for queue in order where queue.missingReplicas > 0 {
      guard let index = queues.firstIndex(where: { $0.queue.id == queue.id }) else { continue }
      if let unit = try waitingUnit(queue, atMost: nil) { return (unit, index) }
      reasons[.sameAccount, default: 0] += queue.missingReplicas
    }
    return nil
  }

  /// An open unit that wants a replica, which this account takes no part in and this worker has the
  /// memory for: the largest of at most so many operations, or for nil the smallest.
  ///
  /// Units are looked up by the account that alone takes part in them ('' for none or several), so
  /// that those of one's own account are passed over in one step, however many there are.
  private func waitingUnit(_ queue: WorkQueue, atMost flops: Double?) throws -> UnitRow? {
    var account: String? = try db.first(
      "SELECT min(sole_account) AS account FROM unit WHERE queue = ? AND missing > 0", [queue.id]
    )?.optional("account")
    while let present = account {
      if present != worker.accountID,
        let unit = try waitingUnit(queue, runBy: present, atMost: flops)
      {
        return unit
      }
      account = try db.first(
        """
        SELECT min(sole_account) AS account FROM unit
        WHERE queue = ? AND missing > 0 AND sole_account > ?
        """, [queue.id, present]
      )?.optional("account")
    }
    return nil
  }

  private func waitingUnit(
    _ queue: WorkQueue, runBy account: String, atMost flops: Double?
  ) throws -> UnitRow? {
    let rows =
      if let flops {
        try db.all(
          """
          SELECT * FROM unit WHERE queue = ? AND missing > 0 AND sole_account = ?
            AND estimated_flops <= ? AND memory_bytes <= ? ORDER BY estimated_flops DESC LIMIT 8
          """, [queue.id, account, flops, profile.memoryLimitBytes])
      } else {
        try db.all(
          """
          SELECT * FROM unit WHERE queue = ? AND missing > 0 AND sole_account = ?
            AND memory_bytes <= ? ORDER BY estimated_flops LIMIT 8
          """, [queue.id, account, profile.memoryLimitBytes])
      }
    for row in rows {
      let unit = try UnitRow(row: row, db)
      if unit.unit.mayLease(account: worker.accountID) { return unit }
    }
    return nil
  }

  private mutating func freshUnit(
    _ queue: WorkQueue, _ order: ArraySlice<WorkQueue>
  ) throws -> UnitRow? {
    let sharing = order.filter { $0.sharesUnits(with: queue) && $0.waitingRequests > 0 }
    var whole = queue
    whole.waitingRequests = sharing.reduce(0) { $0 + $1.waitingRequests }
    let sizing = UnitSizing(
      queue: whole, worker: profile, secondsLeft: Double(request.secondsWanted) - seconds,
      activeWorkers: activeWorkers, policy)
    let sources = sharing.compactMap { one in queues.first { $0.queue.id == one.id } }
    let unit = try transaction.cutUnit(from: sources, sizing: sizing, now: now)
    if unit != nil { try refreshCounts(Set(sharing.map(\.id))) }
    return unit
  }

  private mutating func refreshCounts(_ touched: Set<Int64>) throws {
    for index in queues.indices where touched.contains(queues[index].queue.id) {
      let row = try db.first(
        "SELECT waiting, missing FROM queue WHERE number = ?", [queues[index].queue.id])
      queues[index].queue.waitingRequests = try row?.value("waiting") ?? 0
      queues[index].queue.missingReplicas = try row?.value("missing") ?? 0
    }
  }

  private mutating func lease(_ row: UnitRow, _ index: Int) throws {
    let expected = row.estimatedFlops / profile.speed(policy)
    let terms = LeaseTerms(
      seconds: expected, after: seconds, isAwaited: row.kind == .train || row.kind == .validate,
      now: now, policy)
    let id = transaction.identifiers.make("lease_")
    try db.run(
      """
      INSERT INTO replica (lease, unit, worker, account, state, issued_at, deadline, last_deadline)
      VALUES (?, ?, ?, ?, 'running', ?, ?, ?)
      """,
      [id, row.number, worker.id, worker.accountID, now, terms.deadline, terms.lastDeadline])
    var leased = row
    leased.unit.lease(
      db.lastInsertedRowID, worker: worker.id, account: worker.accountID, until: terms.deadline)
    try transaction.save(leased, before: row, now: now)
    queues[index].queue.missingReplicas -= row.missing - leased.unit.missing
    try charge(index, flops: row.estimatedFlops)
    leases.append(
      Lease(
        id: id, unit: row.digest, specification: try transaction.specification(of: row.number),
        estimatedFlops: row.estimatedFlops,
        deadlineSeconds: Int(terms.deadline.seconds(since: now)),
        heartbeatSeconds: policy.heartbeatSeconds, work: queues[index].queue.work))
    seconds += expected
  }

  /// Books the work on the key's and the queue's virtual time.
  private mutating func charge(_ index: Int, flops: Double) throws {
    let queue = queues[index].queue
    let start = FairShare.start(own: queue.keyVirtualTime, present: present)
    let finish = FairShare.finish(start: start, flops: flops, weight: queues[index].keyWeight)
    present = max(present, start)
    for other in queues.indices where queues[other].queue.keyID == queue.keyID {
      queues[other].queue.keyVirtualTime = finish
    }
    queues[index].queue.virtualTime += flops
    try db.run("UPDATE api_key SET virtual_time = ? WHERE id = ?", [finish, queue.keyID])
    try db.run(
      "UPDATE queue SET virtual_time = ? WHERE number = ?",
      [queues[index].queue.virtualTime, queue.id])
    try transaction.setVirtualTime(present)
  }
}

extension Transaction {
  /// Where the key that was served last started.
  fileprivate func virtualTime() throws -> Double {
    try db.first("SELECT value FROM setting WHERE name = 'virtual_time'")?.value("value") ?? 0
  }

  fileprivate func setVirtualTime(_ value: Double) throws {
    try db.run(
      """
      INSERT INTO setting (name, value) VALUES ('virtual_time', ?)
      ON CONFLICT DO UPDATE SET value = excluded.value
      """, [value])
  }

  /// Notes that a worker is there; not more often than needed.
  func touch(worker: String, lastSeen: Timestamp?, now: Timestamp) throws {
    if let lastSeen, lastSeen <= now, now.seconds(since: lastSeen) < 20 { return }
    try db.run("UPDATE worker SET last_seen = ? WHERE id = ?", [now, worker])
  }

  /// Keeps what a worker says of its machine; writes when that changed. Who says nothing any more is
  /// forgotten.
  fileprivate func note(
    _ machine: MachineFacts?, ofWorker id: String, stored: String?
  ) throws {
    let text = try machine.map { try jsonText($0) }
    guard text != stored else { return }
    try db.run("UPDATE worker SET machine = ? WHERE id = ?", [text, id])
  }

  func specification(of unit: Int64) throws -> UnitSpecification {
    guard let row = try db.first("SELECT specification FROM unit WHERE number = ?", [unit]) else {
      throw Row.damaged("unit.number")
    }
    return try row.json("specification")
  }
}
