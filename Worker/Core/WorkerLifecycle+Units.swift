import WireProtocol

// The held units: blobs first, one fetch and one run at a time, heartbeats for all.
extension WorkerLifecycle {
  /// Takes up what an earlier run held, unless it has a result already or keeps ending the worker.
  mutating func resume(
    _ stored: [StoredUnit], at now: Moment, _ actions: inout [WorkerAction]
  ) {
    for unit in stored where !holds(unit.lease.id) {
      if !choices.takes(unit.lease) {
        abandon(unit.lease.id, .shuttingDown, Self.notChosen, &actions)
      } else if unit.fruitlessStarts < settings.fruitlessStarts {
        units.append(HeldUnit(resuming: unit.lease, at: now))
      } else {
        let detail = "interrupted \(unit.fruitlessStarts) times without progress"
        abandon(unit.lease.id, .failed, detail, &actions)
      }
    }
  }

  mutating func advanceUnits(at now: Moment, _ actions: inout [WorkerAction]) {
    for index in units.indices {
      if let due = units[index].heartbeatAt, due <= now {
        units[index].heartbeatAt = nil
        units[index].lastBeat = now
        actions.append(.heartbeat(lease: units[index].lease.id))
      }
    }
    guard case .active = phase else { return }
    if mayCompute, !units.contains(where: \.isOnProcessor),
      let next = units.firstIndex(where: { $0.stage == .ready })
    {
      units[next].stage = .running
      actions.append(.run(units[next].lease))
    }
    if mayTransfer, !units.contains(where: \.isFetching),
      let next = units.firstIndex(where: { $0.fetchFailuresIfDue(at: now) != nil }),
      let failures = units[next].fetchFailuresIfDue(at: now)
    {
      units[next].stage = .fetching(failures: failures)
      actions.append(.fetch(units[next].lease))
    }
  }

  private func index(of lease: String) -> Int? { units.firstIndex { $0.lease.id == lease } }

  // MARK: Blobs

  mutating func blobsReady(_ lease: String, at now: Moment) {
    guard let index = index(of: lease), units[index].isFetching else { return }
    units[index].stage = .ready
    contact(at: now)
  }

  mutating func fetchFailed(
    _ lease: String, _ failure: FetchFailure, at now: Moment, _ actions: inout [WorkerAction]
  ) {
    guard let index = index(of: lease), case .fetching(let before) = units[index].stage else {
      return
    }
    switch failure {
    case .permanent(let reason, let detail):
      units.remove(at: index)
      failed(lease, reason, detail, at: now, &actions)
    case .request(let failure):
      if ended(by: failure, at: now, &actions) { return }
      guard mayTransfer else {
        // The limit ended it. What arrived is kept, and the fetch goes on once it may.
        units[index].stage = .fetchDue(at: now, failures: before)
        return
      }
      let failures = before + 1
      guard failures < settings.fetchAttempts else {
        units.remove(at: index)
        let detail = "\(failures) attempts failed: \(failure)"
        failed(lease, .blobUnavailable, detail, at: now, &actions)
        return
      }
      let wait = delay(after: failure, failures: failures, at: now)
      units[index].stage = .fetchDue(at: now + wait, failures: failures)
    }
  }

  // MARK: Running

  mutating func unitFinished(
    _ lease: String, at now: Moment, _ actions: inout [WorkerAction]
  ) {
    guard let index = index(of: lease) else { return }
    let stage = units.remove(at: index).stage
    if stage == .cancelling(tell: nil) {
      // It finished while it was told to stop; the coordinator wants it no more.
      actions.append(.discardResult(lease: lease, .abandoned))
      return
    }
    unitFailures = 0
    unitFailure = nil
    outbox.append(
      PendingResult(lease: lease, finishedAt: now, attempt: .due(at: now, failures: 0)))
  }

  mutating func unitFailed(
    _ lease: String, _ reason: Abandonment.Reason, _ detail: String, at now: Moment,
    _ actions: inout [WorkerAction]
  ) {
    guard let index = index(of: lease) else { return }
    if units.remove(at: index).stage == .cancelling(tell: nil) { return }
    failed(lease, reason, detail, at: now, &actions)
  }

  /// Gives back a unit that failed here. What keeps failing must not spin: asking for the next one
  /// waits, longer each time, until a unit succeeds.
  private mutating func failed(
    _ lease: String, _ reason: Abandonment.Reason, _ detail: String, at now: Moment,
    _ actions: inout [WorkerAction]
  ) {
    abandon(lease, reason, detail, &actions)
    unitFailures += 1
    unitFailure = detail
    guard leasing != .requesting else { return }
    let pause = settings.requestBackoff.delay(failures: unitFailures, using: &random)
    leasing = .pausing(detail: detail, until: now + pause)
  }

  mutating func unitCancelled(
    _ lease: String, at now: Moment, _ actions: inout [WorkerAction]
  ) {
    guard let index = index(of: lease) else { return }
    if units[index].stage == .halting {
      units[index].stage = .kept
      return
    }
    switch units.remove(at: index).stage {
    case .cancelling(tell: .outOfMemory?):
      let detail = "it took more memory than this machine's owner allows"
      failed(lease, .outOfMemory, detail, at: now, &actions)
    case .cancelling(let tell?): abandon(lease, tell, "stopped before its end", &actions)
    case .cancelling(tell: nil), .unconfirmed, .queued, .fetching, .fetchDue, .ready, .running,
      .halting, .kept:
      break
    }
  }

  /// Gives the running unit back: another machine may have the memory for it.
  mutating func stopForMemory(_ actions: inout [WorkerAction]) {
    for index in units.indices where units[index].stage == .running {
      units[index].stage = .cancelling(tell: .outOfMemory)
      actions.append(.cancelRun(lease: units[index].lease.id))
    }
  }

  /// Gives a held unit back that is not wanted here any more; a running one when it has stopped.
  mutating func giveBack(_ lease: String, _ actions: inout [WorkerAction]) {
    guard let index = index(of: lease) else { return }
    switch units[index].stage {
    case .unconfirmed, .queued, .fetchDue, .ready, .fetching:
      if units[index].isFetching { actions.append(.cancelFetch(lease: lease)) }
      units.remove(at: index)
      abandon(lease, .shuttingDown, Self.notChosen, &actions)
    case .running:
      units[index].stage = .cancelling(tell: .shuttingDown)
      actions.append(.cancelRun(lease: lease))
    case .cancelling, .halting, .kept: break
    }
  }

  // MARK: Heartbeats

  mutating func heartbeatAnswered(
    _ lease: String, _ response: HeartbeatResponse, at now: Moment,
    _ actions: inout [WorkerAction]
  ) {
    contact(at: now)
    guard let index = index(of: lease) else { return }
    switch response.verdict {
    case .abandon: drop(index, &actions)
    case .proceed:
      if units[index].stage == .kept { return }
      if units[index].stage == .unconfirmed { units[index].stage = .queued }
      units[index].heartbeatFailures = 0
      units[index].setDeadline(inSeconds: response.deadlineSeconds, at: now)
      units[index].heartbeatAt = max(now, units[index].lastBeat + units[index].interval)
    }
  }

  mutating func heartbeatFailed(
    _ lease: String, _ failure: RequestFailure, at now: Moment, _ actions: inout [WorkerAction]
  ) {
    guard let index = index(of: lease), !ended(by: failure, at: now, &actions) else { return }
    if case .refused(_, let code?, _) = failure,
      code == WorkerErrorCode.leaseUnknown || units[index].stage == .unconfirmed
    {
      drop(index, &actions)
      return
    }
    if units[index].stage == .kept { return }
    units[index].heartbeatFailures += 1
    let wait = delay(after: failure, failures: units[index].heartbeatFailures, at: now)
    // As long as the lease may live, its heartbeats keep their pace.
    let isAlive = units[index].deadline.map { $0 > now } ?? false
    let isSlow = failure.isTurningAway && !isAlive
    units[index].heartbeatAt = now + (isSlow ? wait : min(wait, units[index].interval))
  }

  /// Lets go of a unit that the coordinator wants no more.
  private mutating func drop(_ index: Int, _ actions: inout [WorkerAction]) {
    let id = units[index].lease.id
    switch units[index].stage {
    case .unconfirmed, .queued, .fetchDue, .ready, .kept: units.remove(at: index)
    case .fetching:
      units.remove(at: index)
      actions.append(.cancelFetch(lease: id))
    case .running:
      units[index].stage = .cancelling(tell: nil)
      units[index].heartbeatAt = nil
      actions.append(.cancelRun(lease: id))
    case .cancelling, .halting:
      units[index].stage = .cancelling(tell: nil)
      units[index].heartbeatAt = nil
    }
  }
}

extension HeldUnit {
  var isFetching: Bool {
    if case .fetching = stage { true } else { false }
  }

  /// Running, or told to stop and not yet stopped.
  var isOnProcessor: Bool {
    switch stage {
    case .running, .cancelling, .halting: true
    case .unconfirmed, .queued, .fetching, .fetchDue, .ready, .kept: false
    }
  }

  /// Failed attempts so far, when the unit's blobs are to be fetched now.
  func fetchFailuresIfDue(at now: Moment) -> Int? {
    switch stage {
    case .queued: 0
    case .fetchDue(let at, let failures): at <= now ? failures : nil
    case .unconfirmed, .fetching, .ready, .running, .cancelling, .halting, .kept: nil
    }
  }
}
