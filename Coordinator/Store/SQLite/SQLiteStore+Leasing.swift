import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  func lease(
    worker: String, request: LeaseRequest, now: Timestamp
  ) async throws -> LeaseResponse {
    let (response, profile) = try await write { transaction in
      var call = try LeaseCall(worker: worker, request: request, transaction, now: now)
      return (try call.run(), call.profile)
    }
    requests.note(worker, profile, response, keptSeconds: policy.activeSeconds, now: now)
    return response
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
  let fleet: FleetPresence
  let draw: Sortition
  /// Whether units ended here without a result since the last accepted one.
  let isProbing: Bool
  var held: HeldWork
  let hasClones: Bool
  /// Whether it gets no work for what another worker of its account did.
  let isHeldWithAccount: Bool
  var queues: [StoredQueue]
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
        SELECT worker.speed, worker.machine, worker.last_seen, worker.failures, \
        worker.backoff_until,
          worker.banned_at, worker.ban_reason, account.banned_at AS account_banned_at,
          account.ban_reason AS account_ban_reason, account.backoff_until AS account_backoff_until,
          account.returns_until, account.suspended_until AS account_suspended
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
    hasClones = try transaction.noteRun(request.run, ofWorker: id, now: now)
    worker = try WorkerRecord.require(id, db)
    let policy = transaction.policy
    let backoffs: [Timestamp?] = [
      try row.optional("backoff_until"), try row.optional("account_backoff_until"),
      try row.optional("returns_until").map { ReturnRate.heldBackUntil($0, policy) },
    ]
    isProbing = try row.value("failures", as: Int.self) > 0
    let suspended: Timestamp? = try row.optional("account_suspended")
    isHeldWithAccount = (suspended ?? now) > max(worker.suspendedUntil ?? now, now)
    profile = WorkerProfile(
      trusted: worker.trusted,
      suspendedUntil: [worker.suspendedUntil, suspended].compactMap(\.self).max(),
      threads: request.threads, memoryLimitBytes: request.memoryLimitBytes,
      cacheFreeBytes: request.cacheFreeBytes, cachedModels: Set(request.cachedModels),
      flopsPerSecond: try row.optional("speed"), choices: request.choices,
      heldBackUntil: backoffs.compactMap(\.self).max(),
      refusedModels: try transaction.refusedModels(of: id, now: now))
    self.transaction = transaction
    self.request = request
    self.now = now
    fleet = try FleetPresence(now: now, policy, db)
    draw = try transaction.draw()
    held = try HeldWork(of: worker, db)
    queues = try StoredQueue.active(db)
    present = try transaction.virtualTime()
  }

  mutating func run() throws -> LeaseResponse {
    if case .refused(let reason, let message, let retry) = LeaseAdmission.decide(
      administration, ban: ban, retryAfterSeconds: policy.retryAfterSeconds)
    {
      return LeaseResponse(
        leases: [], reasons: [reason: 1], retryAfterSeconds: retry, message: message,
        nextAddress: administration.nextAddress)
    }
    let limit = unitLimit()
    var reasons: [IdleReason: Int] = limit > 0 ? [:] : [.holdsEnough: 1]
    while leases.count < limit, leases.isEmpty || seconds < Double(request.secondsWanted) {
      let order = Scheduler.order(queues.map(\.queue), for: profile, present: present, now: now)
      reasons = order.passedOver
      guard let (unit, queue) = try nextUnit(order.queues, &reasons) else { break }
      try lease(unit, queue)
    }
    let isIdle = leases.isEmpty
    return LeaseResponse(
      leases: leases, reasons: isIdle ? reasons : [:],
      retryAfterSeconds: retryAfter(isIdle: isIdle),
      message: hasClones
        ? WorkerRuns.message : isHeldWithAccount ? AccountPenalty.message : administration.message,
      nextAddress: administration.nextAddress)
  }

  /// Units that this call may give. A worker without a measured speed gets one small unit first;
  /// one that failed has one at a time until a result of it is accepted.
  private func unitLimit() -> Int {
    let wanted =
      profile.flopsPerSecond == nil
      ? 1 : max(1, min(request.maximumUnits, policy.maximumUnitsPerLease))
    let limit = isProbing ? 1 : policy.maximumRunningLeases
    return max(0, min(wanted, limit - held.leases))
  }

  /// Workers that are held back need not ask every few seconds.
  private func retryAfter(isIdle: Bool) -> Int {
    guard isIdle,
      let until = [profile.suspendedUntil, profile.heldBackUntil].compactMap(\.self).max()
    else { return policy.retryAfterSeconds }
    return max(policy.retryAfterSeconds, min(600, Int(until.seconds(since: now).rounded(.up))))
  }

  /// The unit to lease next: a replica that a unit of the fairest queue waits for, else a fresh
  /// unit of it, else the same of the next queue; when no queue has anything of a fitting size, the
  /// smallest replica of the fairest; and last what was given up here, when nobody else is there.
  private mutating func nextUnit(
    _ order: [WorkQueue], _ reasons: inout [IdleReason: Int]
  ) throws -> (StoredUnit, Int)? {
    // What is only assumed of a worker is not stretched.
    let stretch = profile.flopsPerSecond == nil ? 1 : policy.replicaStretch
    let fitting = profile.speed(policy) * Double(policy.targetUnitSeconds) * stretch
    for (rank, queue) in order.enumerated() {
      guard let index = queues.firstIndex(where: { $0.queue.id == queue.id }) else { continue }
      if queue.missingReplicas > 0, let unit = try waitingUnit(queue, atMost: fitting) {
        return (unit, index)
      }
      if queue.waitingRequests > 0 {
        let room = held.room(for: .requests, in: queue, fleet)
        if room > 0, let unit = try freshUnit(queue, order[rank...], room: room) {
          return (unit, index)
        }
        reasons[room > 0 ? .needsMoreMemory : .holdsEnough, default: 0] += queue.waitingRequests
      }
    }
    for isReturning in [false, true] {
      for queue in order where queue.missingReplicas > 0 {
        guard let index = queues.firstIndex(where: { $0.queue.id == queue.id }) else { continue }
        if let unit = try waitingUnit(queue, atMost: nil, isReturning: isReturning) {
          return (unit, index)
        }
        guard isReturning else { continue }
        let mayTake = held.room(for: .replicas, in: queue, fleet) > 0
        reasons[mayTake ? .sameAccount : .holdsEnough, default: 0] += queue.missingReplicas
      }
    }
    return nil
  }

  /// An open unit that wants a replica, which this account takes no part in and this worker has the
  /// memory for: the largest of at most so many operations, or for nil the smallest.
  ///
  /// Units are looked up by the account that alone takes part in them ('' for none or several), so
  /// that those of one's own account are passed over in one step, however many there are.
  ///
  /// - Parameter isReturning: whether to look among those that were given up here, instead of among
  ///   the others.
  private func waitingUnit(
    _ queue: WorkQueue, atMost flops: Double?, isReturning: Bool = false
  ) throws -> StoredUnit? {
    guard held.room(for: .replicas, in: queue, fleet) > 0 else { return nil }
    var account: String? = try db.first(
      "SELECT min(sole_account) AS account FROM unit WHERE queue = ? AND missing > 0", [queue.id]
    )?.optional("account")
    while let present = account {
      if present != worker.accountID,
        let unit = try waitingUnit(
          queue, runBy: present, atMost: flops, isReturning: isReturning)
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
    _ queue: WorkQueue, runBy account: String, atMost flops: Double?, isReturning: Bool
  ) throws -> StoredUnit? {
    let rows =
      if let flops {
        try db.all(
          """
          SELECT number, digest, missing, wanted_since, parties FROM unit
          WHERE queue = ? AND missing > 0 AND sole_account = ?
            AND estimated_flops <= ? AND memory_bytes <= ? ORDER BY estimated_flops DESC LIMIT 64
          """, [queue.id, account, flops, profile.memoryLimitBytes])
      } else {
        try db.all(
          """
          SELECT number, digest, missing, wanted_since, parties FROM unit
          WHERE queue = ? AND missing > 0 AND sole_account = ?
            AND memory_bytes <= ? ORDER BY estimated_flops LIMIT 64
          """, [queue.id, account, profile.memoryLimitBytes])
      }
    for row in rows where try isReturning || isDrawn(row, queue) {
      let unit = try StoredUnit.require(try row.value("number"), db)
      guard unit.unit.mayLease(account: worker.accountID),
        unit.unit.wasGivenUp(by: worker.id, of: worker.accountID) == isReturning
      else { continue }
      if try !isReturning || mayReturn(unit) { return unit }
    }
    return nil
  }

  /// Whether this account was drawn for what a unit lacks. What nobody had yet is for whoever asks,
  /// and so is everything in the trusted pool.
  private func isDrawn(_ row: Row, _ queue: WorkQueue) throws -> Bool {
    guard queue.pool == .public, let since: Timestamp = try row.optional("wanted_since") else {
      return true
    }
    return draw.isDrawn(
      worker.accountID, unit: try row.value("digest"), since: since, now: now,
      places: try row.value("missing"),
      candidates: fleet.accounts(.public) - (try row.value("parties", as: Int.self)),
      epochSeconds: policy.drawSeconds(isBusy: queue.waitingRequests > 0))
  }

  /// Whether a unit that was given up here may come back: when nobody else is there, or has taken
  /// it for long.
  private func mayReturn(_ unit: StoredUnit) throws -> Bool {
    if let since = unit.wantedSince, now.seconds(since: since) >= Double(policy.activeSeconds) {
      return true
    }
    if unit.unit.wasRefused(by: worker.id, of: worker.accountID) { return false }
    let isTrusted = unit.unit.pool == .trusted
    return try db.first(
      """
      SELECT 1 FROM worker WHERE \(FleetPresence.condition) AND (trusted = 1 OR NOT :trusted)
        AND CASE WHEN :trusted THEN id ELSE account END NOT IN (
          SELECT CASE WHEN :trusted THEN worker ELSE account END FROM replica WHERE unit = :unit)
      LIMIT 1
      """,
      FleetPresence.arguments(now: now, policy, ["trusted": isTrusted, "unit": unit.number])) == nil
  }

  private mutating func freshUnit(
    _ queue: WorkQueue, _ order: ArraySlice<WorkQueue>, room: Int
  ) throws -> StoredUnit? {
    let sharing = order.filter { $0.sharesUnits(with: queue) && $0.waitingRequests > 0 }
    var whole = queue
    whole.waitingRequests = sharing.reduce(0) { $0 + $1.waitingRequests }
    let sizing = UnitSizing(
      queue: whole, worker: profile, secondsLeft: Double(request.secondsWanted) - seconds,
      activeWorkers: fleet.workers(queue.pool), room: room, policy)
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

  private mutating func lease(_ row: StoredUnit, _ index: Int) throws {
    let expected = row.estimatedFlops / profile.speed(policy)
    let queue = queues[index].queue
    let isAwaited = row.kind == .train || row.kind == .validate
    // A batch's units are cut by time, those that learn by the plan of their job.
    let usual =
      isAwaited
      ? row.estimatedFlops / (try transaction.meanSpeed(now: now) ?? policy.assumedFlopsPerCore)
      : policy.usualUnitSeconds
    let terms = LeaseTerms(
      LeaseTerms.Expectation(
        own: expected, queued: held.flops / profile.speed(policy), usual: usual,
        slowest: row.estimatedFlops / policy.assumedFlopsPerCore),
      downloadBytes: profile.cachedModels.contains(queue.model) ? 0 : queue.cost.diskBytes,
      isAwaited: isAwaited, now: now, policy)
    let id = transaction.identifiers.make("lease_")
    try db.run(
      """
      INSERT INTO replica (lease, unit, worker, account, state, issued_at, deadline, idle_deadline,
        late_at, last_deadline)
      VALUES (?, ?, ?, ?, 'running', ?, ?, ?, ?, ?)
      """,
      [
        id, row.number, worker.id, worker.accountID, now, terms.deadline, terms.idleDeadline,
        terms.late, terms.lastDeadline,
      ])
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
        heartbeatSeconds: policy.heartbeatSeconds, work: queue.work))
    seconds += expected
    held.add(row, in: queue)
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
