import WireProtocol

extension Fleet {
  /// What keeps a fine-tuning job's units from being computed; nil when it does not run.
  ///
  /// - Throws: `Lack`; `StoreError.notFound`.
  package func waitReasons(
    ofTuningJob id: String, key: String?, at time: Timestamp
  ) throws -> WaitReasons? {
    let job = try requireJob(id, key: key)
    guard job.record.state == .running else { return nil }
    let open = index.work.queuesOfOwner[.tuningJob(job.number)].reduce(0) {
      $0 + (queues[$1]?.tally.units["open"] ?? 0)
    }
    var reasons = try waitReasons(
      of: .tuningJob(job.number), pool: job.record.job.pool, open: open, at: time)
    reasons.work = .training
    reasons.model = "model \(job.record.job.model)"
    return reasons
  }

  /// Why the units of a batch or job wait.
  ///
  /// - Parameter open: units that are open, and requests in none.
  package func waitReasons(
    of owner: WorkOwner, pool: WorkPool, open: Int, at time: Timestamp
  ) throws -> WaitReasons {
    let own = index.work.queuesOfOwner[owner].sorted().compactMap { queues[$0] }
    var reasons = WaitReasons(
      pool: pool, activeMinutes: policy.activeSeconds / 60,
      workers: presentWorkers(of: pool, at: time),
      queues: try own.filter(\.isActive).map { try workQueue($0) }, pending: open)
    reasons.leasing = setting.administration.leasing
    let silent = time.adding(seconds: -policy.silenceSeconds - policy.heartbeatSeconds)
    var alone: [String: Int] = [:]
    let presence = presence(at: time)
    for queue in own {
      reasons.awaitingReplay += queue.tally.units["awaiting_replay"] ?? 0
      reasons.runningReplicas += queue.tally.replicas["running"] ?? 0
      for (account, places) in index.work.lacking[queue.number] ?? [:] where !account.isEmpty {
        alone[account, default: 0] += places.count
      }
      for number in index.work.openUnits[queue.number] {
        guard let unit = units[number] else { continue }
        if case .awaitingReplay(.calledInvalid) = unit.unit.state { reasons.calledInvalid += 1 }
        for replica in unit.unit.replicas {
          guard case .running = replica.state else { continue }
          if workers[replica.worker]?.lastSeen.map({ $0 < silent }) ?? false {
            reasons.silentReplicas += 1
          }
        }
        if pool == .public, unit.unit.missing > 0, unit.unit.everyParty > 1 {
          let parties = Set(unit.unit.replicas.map(\.account))
          if presence.presentAccounts.subtracting(parties).isEmpty { reasons.exhaustedUnits += 1 }
        }
      }
    }
    if !own.contains(where: { $0.tally.units["accepted"] ?? 0 > 0 }) {
      reasons.refusedUnits = own.reduce(0) { $0 + $1.tally.refused }
    }
    reasons.alone = alone.compactMap { id, units in
      accounts[id].map { account in
        (account.name, WaitReasons.Alone(
          account: id, name: account.isNamed ? account.name : nil, units: units))
      }
    }.sorted { $0.0 < $1.0 }.map(\.1)
    return reasons
  }

  /// Workers that serve a pool and asked for something lately, in the order of their ids.
  private func presentWorkers(of pool: WorkPool, at time: Timestamp) -> [PresentWorker] {
    let since = time.adding(seconds: -policy.activeSeconds)
    return workers.rows.values.filter { worker in
      worker.lastSeen.map { $0 >= since } ?? false && (worker.trusted || pool == .public)
    }.sorted { $0.id < $1.id }.map { worker in
      let asked = lastRequest(of: worker.id)
      return PresentWorker(
        account: worker.account, standing: standing(of: worker, at: time),
        isBusy: index.work.running.contains(worker.id), profile: asked?.profile,
        passedOver: asked?.passedOver ?? [:])
    }
  }

  /// What the scheduler makes of a worker and its account.
  private func standing(of worker: WorkerRow, at time: Timestamp) -> PresentWorker.Standing {
    let account = accounts[worker.account]
    func lasts(_ ends: Timestamp?...) -> Bool { ends.contains { $0.map { $0 > time } ?? false } }
    if worker.bannedAt != nil || account?.bannedAt != nil { return .banned }
    if lasts(worker.suspendedUntil, account?.suspendedUntil) { return .suspended }
    let returns = account?.returnsUntil.map { ReturnRate.heldBackUntil($0, policy) }
    return lasts(worker.backoffUntil, account?.backoffUntil, returns) ? .heldOff : .free
  }
}
