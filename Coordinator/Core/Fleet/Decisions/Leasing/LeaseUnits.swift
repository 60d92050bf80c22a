import WireProtocol

/// A worker asks for work.
package struct LeaseUnits: FleetEvent {
  package let worker: String
  package let request: LeaseRequest

  package init(worker: String, request: LeaseRequest) {
    self.worker = worker
    self.request = request
  }

  /// - Throws: `Lack`; `StoreError.notFound`, `.upgradeRequired`.
  package func decide(in fleet: inout Fleet) throws -> LeaseResponse {
    let old = try fleet.requireWorker(worker)
    _ = try fleet.requireAccount(old.account)
    let administration = fleet.setting.administration
    if let reason = request.versions.mismatch(
      minimumVersion: administration.minimumWorkerVersion)
    {
      throw StoreError(.upgradeRequired, reason)
    }
    fleet.note(request, of: old)
    var call = try LeaseCall(worker: worker, request: request, in: fleet)
    if fleet.setting.drawSecret == nil {
      let secret = fleet.newID("")
      fleet.changeSettings { $0.drawSecret = secret }
    }
    fleet.refreshPresence()
    let response = try call.run(in: &fleet)
    var profile = call.profile
    profile.cachedModels = Set(request.cachedModels.prefix(RecentRequests.cachedModels))
    fleet.recentRequests.note(
      worker,
      RecentRequests.Entry(
        profile: profile, passedOver: response.leases.isEmpty ? response.reasons : [:],
        at: fleet.now), keptSeconds: fleet.policy.activeSeconds)
    return response
  }
}

extension Fleet {
  /// Keeps that a worker asked, what it says of its machine and which process it is.
  fileprivate mutating func note(_ request: LeaseRequest, of old: WorkerRow) {
    var row = old
    _ = note(seen: &row)
    row.machine = request.machine?.cleaned
    if let run = request.run { row.runs.note(run, at: now) }
    guard row != old else { return }
    put(row)
    keepPresence(of: old, row)
  }

  /// Manifests of which a worker called several units invalid of late, or one that the trusted
  /// machine computed: it gets no more of them for a while.
  func refusedModels(of worker: WorkerRow) -> Set<Digest> {
    let since = now.adding(seconds: -max(3600, policy.refutedSeconds))
    let lately = now.adding(seconds: -3600)
    let counted = Dictionary(
      grouping: worker.refusals.filter { $0.issuedAt >= since }, by: \.model)
    return Set(
      counted.filter { _, refusals in
        refusals.contains(where: \.isRefuted)
          || refusals.count { $0.issuedAt >= lately } >= policy.maximumRefusals
      }.keys)
  }
}

/// One worker's request for work.
struct LeaseCall {
  let worker: WorkerRow
  let profile: WorkerProfile
  let request: LeaseRequest
  let administration: Administration
  private let ban: Ban?
  /// Whether units ended here without a result since the last accepted one.
  private let isProbing: Bool
  private let hasClones: Bool
  /// Whether it gets no work for what another worker of its account did.
  private let isHeldWithAccount: Bool
  var held: HeldWork
  var leases: [Lease] = []
  /// Seconds of work given so far.
  var seconds = 0.0

  init(worker id: String, request: LeaseRequest, in fleet: Fleet) throws {
    let (now, policy) = (fleet.now, fleet.policy)
    worker = try fleet.requireWorker(id)
    self.request = request
    let account = try fleet.requireAccount(worker.account)
    administration = fleet.setting.administration
    ban = fleet.ban(of: worker)
    hasClones = request.run != nil && worker.runs.areSeveral(at: now)
    let backoffs: [Timestamp?] = [
      worker.backoffUntil, account.backoffUntil,
      account.returnsUntil.map { ReturnRate.heldBackUntil($0, policy) },
    ]
    isProbing = worker.failures > 0
    isHeldWithAccount =
      (account.suspendedUntil ?? now) > max(worker.suspendedUntil ?? now, now)
    profile = WorkerProfile(
      trusted: worker.trusted,
      suspendedUntil: [worker.suspendedUntil, account.suspendedUntil].compactMap(\.self).max(),
      threads: request.threads, memoryLimitBytes: request.memoryLimitBytes,
      cacheFreeBytes: request.cacheFreeBytes, cachedModels: Set(request.cachedModels),
      flopsPerSecond: worker.speed, choices: request.choices,
      heldBackUntil: backoffs.compactMap(\.self).max(),
      refusedModels: fleet.refusedModels(of: worker))
    held = HeldWork(of: worker, in: fleet)
  }

  mutating func run(in fleet: inout Fleet) throws -> LeaseResponse {
    let policy = fleet.policy
    if case .refused(let reason, let message, let retry) = LeaseAdmission.decide(
      administration, ban: ban, retryAfterSeconds: policy.retryAfterSeconds)
    {
      return LeaseResponse(
        leases: [], reasons: [reason: 1], retryAfterSeconds: retry, message: message,
        nextAddress: administration.nextAddress)
    }
    let limit = unitLimit(policy)
    var reasons: [IdleReason: Int] = limit > 0 ? [:] : [.holdsEnough: 1]
    if limit > 0, let reason = waitReason(now: fleet.now) {
      reasons = [reason: 1]
    } else {
      while leases.count < limit, leases.isEmpty || seconds < Double(request.secondsWanted) {
        var search = UnitSearch(
          call: self, presence: fleet.presence(at: fleet.now), in: fleet)
        guard let (unit, queue) = try search.next(in: &fleet) else {
          reasons = search.reasons
          break
        }
        try lease(unit, queue, in: &fleet)
      }
    }
    let isIdle = leases.isEmpty
    return LeaseResponse(
      leases: leases, reasons: isIdle ? reasons : [:],
      retryAfterSeconds: retryAfter(isIdle: isIdle, now: fleet.now, policy),
      message: hasClones
        ? WorkerRuns.message : isHeldWithAccount ? AccountPenalty.message : administration.message,
      nextAddress: administration.nextAddress)
  }

  /// Why the worker gets nothing, whatever waits; nil when it may.
  private func waitReason(now: Timestamp) -> IdleReason? {
    if let until = profile.suspendedUntil, until > now { return .suspended }
    if let until = profile.heldBackUntil, until > now { return .failedLately }
    return nil
  }

  /// Units that this call may give. A worker without a measured speed gets one small unit first;
  /// one that failed has one at a time until a result of it is accepted.
  private func unitLimit(_ policy: CoordinatorPolicy) -> Int {
    let wanted =
      profile.flopsPerSecond == nil
      ? 1 : max(1, min(request.maximumUnits, policy.maximumUnitsPerLease))
    let limit = isProbing ? 1 : policy.maximumRunningLeases
    return max(0, min(wanted, limit - held.leases))
  }

  /// Workers that are held back need not ask every few seconds.
  private func retryAfter(isIdle: Bool, now: Timestamp, _ policy: CoordinatorPolicy) -> Int {
    guard isIdle,
      let until = [profile.suspendedUntil, profile.heldBackUntil].compactMap(\.self).max()
    else { return policy.retryAfterSeconds }
    return max(policy.retryAfterSeconds, min(600, Int(until.seconds(since: now).rounded(.up))))
  }

  private mutating func lease(
    _ before: UnitRow, _ queue: WorkQueue, in fleet: inout Fleet
  ) throws {
    let (now, policy) = (fleet.now, fleet.policy)
    let speed = profile.speed(policy)
    let expected = before.estimatedFlops / speed
    let isAwaited = before.kind == .train || before.kind == .validate
    // A batch's units are cut by time, those that learn by the plan of their job.
    let usual =
      isAwaited
      ? before.estimatedFlops
        / (fleet.presence(at: now).meanSpeed ?? policy.assumedFlopsPerCore)
      : policy.usualUnitSeconds
    let terms = LeaseTerms(
      LeaseTerms.Expectation(
        own: expected, queued: held.flops / speed, usual: usual,
        slowest: before.estimatedFlops / policy.assumedFlopsPerCore),
      downloadBytes: profile.cachedModels.contains(queue.model) ? 0 : queue.cost.diskBytes,
      isAwaited: isAwaited, now: now, policy)
    let id = fleet.newID("lease_")
    var row = before
    row.unit.lease(
      fleet.nextNumber("replica"), worker: worker.id, account: worker.account,
      until: terms.deadline)
    row.leases.append(LeaseRow(lease: id, terms: terms, now: now))
    fleet.save(row, before: before)
    if let job = row.tuning?.job { fleet.noteBegun(job: job) }
    fleet.charge(queue, flops: row.estimatedFlops)
    leases.append(
      Lease(
        id: id, unit: row.digest, specification: row.specification,
        estimatedFlops: row.estimatedFlops,
        deadlineSeconds: Int(terms.deadline.seconds(since: now)),
        heartbeatSeconds: policy.heartbeatSeconds, work: queue.work))
    seconds += expected
    held.add(row)
  }
}

extension Fleet {
  /// Books work on the key's and the queue's virtual time.
  fileprivate mutating func charge(_ queue: WorkQueue, flops: Double) {
    let present = setting.virtualTime
    let start = FairShare.start(own: keys[queue.keyID]?.virtualTime ?? 0, present: present)
    change(KeyRow.self, queue.keyID) { key in
      key.virtualTime = FairShare.finish(start: start, flops: flops, weight: key.weight)
    }
    change(QueueRow.self, queue.id) { $0.virtualTime += flops }
    if start > present { changeSettings { $0.virtualTime = start } }
  }
}
