import WireProtocol

extension Fleet {
  /// What a worker computes now, the oldest lease first.
  package func runningReplicas(of worker: String) -> [RunningReplica] {
    index.work.running[worker].sorted { $0.replica < $1.replica }.compactMap { place in
      guard let unit = units[place.unit], let at = unit.index(ofReplica: place.replica),
        let owner = queues[unit.queue]?.owner
      else { return nil }
      let lease = unit.leases[at]
      let (job, model) = name(of: owner)
      return RunningReplica(
        job: job, unit: unit.digest, model: model, issuedAt: lease.issuedAt,
        deadline: lease.deadline, flopsDone: lease.flopsDone, flopsEstimated: unit.estimatedFlops)
    }
  }

  /// The id of a batch or job, and the model as it calls it.
  private func name(of owner: WorkOwner) -> (id: String, model: String?) {
    switch owner {
    case .batch(let number):
      let record = batches[number]?.record
      return (record?.id ?? "", record?.model)
    case .tuningJob(let number):
      let record = tuningJobs[number]?.record
      return (record?.id ?? "", record?.job.model)
    }
  }

  /// What the fleet does, for everyone to see.
  ///
  /// - Parameter limit: workers that are listed at most.
  package func overview(
    for audience: Audience, listedWorkers limit: Int, at time: Timestamp
  ) -> FleetNow {
    let since = time.adding(seconds: -policy.activeSeconds)
    let there = workers.rows.values.filter { $0.deletedAt == nil }
    let active = there.filter { $0.lastSeen.map { $0 > since } ?? false }
    let computing = index.work.running.keys.sorted().compactMap { workers[$0] }
    let handing = queues.rows.values.filter(\.isActive)
    let all = accounts.rows.values
    let energy = Energy(
      millijoules: all.reduce(0) { $0 + $1.tally.energy.millijoules },
      estimatedMillijoules: all.reduce(0) { $0 + $1.tally.energy.estimatedMillijoules })
    let listed = active.filter { audience == .operator || accounts[$0.account]?.isNamed == true }
      .sorted(by: Self.seenLast).prefix(limit)
    return FleetNow(
      activeWorkers: active.count, activeAccounts: Set(active.map(\.account)).count,
      workers: there.count, accounts: all.count { $0.deletedAt == nil },
      computingWorkers: computing.count,
      flopsPerSecond: computing.reduce(0) { $0 + ($1.speed ?? 0) },
      runningReplicas: index.work.runningCount,
      openJobs: index.work.openBatches.count + index.work.openJobs.count,
      waitingRequests: handing.reduce(0) { $0 + $1.waiting },
      missingReplicas: handing.reduce(0) { $0 + $1.missing },
      tokens: all.reduce(0) { $0 + $1.tally.tokens },
      acceptedResults: all.reduce(0) { $0 + $1.tally.accepted },
      credit: Credit(micro: all.reduce(0) { $0 + $1.tally.credit.micro }),
      energyJoules: energy.joules, estimatedEnergyJoules: energy.estimatedJoules,
      listedWorkers: listed.map { row in
        FleetNow.Worker(
          id: row.id, name: row.name, accountName: accounts[row.account]?.name ?? "",
          lastSeen: row.lastSeen ?? time, running: runningReplicas(of: row.id))
      })
  }

  /// The worker that was seen last comes first; of equals, the one with the lower id.
  private static func seenLast(_ left: WorkerRow, _ right: WorkerRow) -> Bool {
    if left.lastSeen != right.lastSeen {
      return (left.lastSeen?.milliseconds ?? .min) > (right.lastSeen?.milliseconds ?? .min)
    }
    return left.id < right.id
  }

  /// The same among equals by the time of their creation first.
  private static func seenLastThenOldest(_ left: WorkerRow, _ right: WorkerRow) -> Bool {
    if left.lastSeen != right.lastSeen { return seenLast(left, right) }
    return (left.createdAt, left.id) < (right.createdAt, right.id)
  }

  /// Nil when there is none, or its account was deleted.
  package func overview(ofWorker id: String, at time: Timestamp) -> WorkerOverview? {
    workers[id].flatMap { $0.deletedAt == nil ? overview(of: $0, at: time) : nil }
  }

  private func overview(of row: WorkerRow, at time: Timestamp) -> WorkerOverview {
    let account = accounts[row.account]
    let since = time.adding(seconds: -policy.activeSeconds)
    return WorkerOverview(
      id: row.id, name: row.name, accountID: row.account, accountName: account?.name ?? "",
      isNamed: account?.isNamed ?? false, trusted: row.trusted, createdAt: row.createdAt,
      lastSeen: row.lastSeen, isActive: row.lastSeen.map { $0 > since } ?? false,
      flopsPerSecond: row.speed, consecutiveValid: row.consecutiveValid,
      suspendedUntil: suspension(of: row, at: time), ban: ban(of: row),
      running: runningReplicas(of: row.id), contribution: Contribution(row.tally, at: time))
  }

  /// An account for its owner.
  ///
  /// - Throws: `StoreError.notFound`.
  package func overview(ofAccount id: String, at time: Timestamp) throws -> AccountOverview {
    guard let account = accounts[id], account.deletedAt == nil else {
      throw StoreError(.notFound, "There is no account \(id).")
    }
    let invitations = index.people.invitationsOfAccount[id].compactMap { self.invitations[$0] }
      .filter { $0.usesLeft > 0 && $0.expiresAt > time }
    let there = accounts.rows.values.filter { $0.deletedAt == nil }
    return AccountOverview(
      profile: profile(of: account),
      rank: 1 + there.count { $0.tally.credit > account.tally.credit }, accounts: there.count,
      streakDays: account.streak.current(on: Day(containing: time)),
      longestStreakDays: account.streak.longest,
      contribution: Contribution(account.tally, at: time), ban: account.ban,
      invitationsLeft: invitations.reduce(0) { $0 + $1.usesLeft },
      invitationsEnd: invitations.map(\.expiresAt).max(),
      workers: workers(ofAccount: id).filter { $0.deletedAt == nil }
        .sorted(by: Self.seenLastThenOldest).map { overview(of: $0, at: time) })
  }

  /// Every account and worker with what an operator wants to know of them.
  package func operatorOverview(at time: Timestamp) -> FleetOverview {
    func running(_ worker: String) -> Int { index.work.running[worker].count }
    return FleetOverview(
      accounts: presentAccounts.sorted {
        Array($0.name.utf8).lexicographicallyPrecedes($1.name.utf8)
      }
      .map { row in
        let own = index.people.workersOfAccount[row.id]
        return FleetOverview.Account(
          id: row.id, name: row.name, createdAt: row.createdAt, workers: own.count,
          runningUnits: own.reduce(0) { $0 + running($1) }, accepted: row.tally.accepted,
          rejected: row.tally.rejected, credit: row.tally.credit, ban: row.ban,
          suspendedUntil: row.suspendedUntil.flatMap { $0 > time ? $0 : nil })
      },
      workers: workers.rows.values.filter { $0.deletedAt == nil }
        .sorted(by: Self.seenLastThenOldest).map { row in
          FleetOverview.Worker(
            id: row.id, name: row.name, accountID: row.account,
            accountName: accounts[row.account]?.name ?? "", trusted: row.trusted,
            lastSeen: row.lastSeen, flopsPerSecond: row.speed, runningUnits: running(row.id),
            consecutiveValid: row.consecutiveValid, rejected: row.tally.rejected,
            suspendedUntil: suspension(of: row, at: time), ban: ban(of: row),
            machine: row.machine, hasClones: row.runs.areSeveral(at: time))
        })
  }

  /// A unit with its replicas, named as far as the audience may know them.
  package func overview(of unit: UnitRow, for audience: Audience) -> UnitOverview {
    let names = unit.unit.state.names
    return UnitOverview(
      digest: unit.digest, state: UnitOverview.State(rawValue: names.state) ?? .open,
      reason: names.reason, pool: unit.unit.pool, requests: unit.members.count,
      memoryBytes: unit.memoryBytes, flopsEstimated: unit.estimatedFlops,
      missing: unit.unit.missing, verification: unit.unit.state.acceptance?.verification,
      createdAt: unit.createdAt, endedAt: unit.endedAt,
      replicas: zip(unit.unit.replicas, unit.leases).map { replica, lease in
        let (worker, account) = (workers[replica.worker], accounts[replica.account])
        let isNamed =
          worker?.deletedAt == nil && (audience == .operator || account?.isNamed == true)
        return UnitOverview.Replica(
          state: UnitOverview.Replica.State(rawValue: replica.state.names.state) ?? .notNeeded,
          worker: replica.worker,
          names: isNamed
            ? .init(worker: worker?.name ?? "", account: account?.name ?? "") : nil,
          issuedAt: lease.issuedAt, deadline: lease.deadline, flopsDone: lease.flopsDone,
          seconds: lease.seconds, energyJoules: lease.energy?.joules,
          estimatedEnergyJoules: lease.energy?.estimatedJoules)
      })
  }
}
