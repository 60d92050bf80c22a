import WireProtocol

// The way out: what has not started is given back at once, what runs may finish within the grace
// period, results are sent or stay in the data folder for the next start. A worker that keeps its
// units stops them at once instead and tells nobody: their leases last until their deadlines.
extension WorkerLifecycle {
  mutating func beginDraining(at now: Moment, _ actions: inout [WorkerAction]) {
    switch phase {
    case .stopped: return
    case .beforeStart, .joining: stop(.drained, &actions)
    case .closing: stop(.drained, &actions)
    case .draining: close(at: now, &actions)
    case .active where settings.keepsUnits && !isFinishing:
      phase = .closing(until: now + settings.farewell)
      for index in units.indices { keep(index, &actions) }
      contact(at: now)
    case .active:
      phase = .draining(until: now + settings.grace)
      for unit in units where !unit.isOnProcessor {
        if unit.isFetching { actions.append(.cancelFetch(lease: unit.lease.id)) }
        abandon(unit.lease.id, .shuttingDown, "the worker is shutting down", &actions)
      }
      units.removeAll { !$0.isOnProcessor }
      // One more attempt for each waiting result; what fails stays for the next start.
      contact(at: now)
    }
  }

  /// Ends a worker that was asked to finish and holds nothing any more. A result that nobody takes
  /// at the moment stays in the data folder for the next start.
  mutating func stopIfFinished(_ actions: inout [WorkerAction]) {
    guard isFinishing, units.isEmpty, farewells.isEmpty, leasing != .requesting else { return }
    let isSending = outbox.contains { result in
      switch result.attempt {
      case .underway: true
      case .due(_, let failures): mayTransfer && failures == 0
      }
    }
    if !isSending { stop(.drained, &actions) }
  }

  mutating func advanceDraining(at now: Moment, _ actions: inout [WorkerAction]) {
    // What is held by the owner's limits makes no progress that would be worth the wait.
    if case .draining(let until) = phase, until <= now || !mayCompute { close(at: now, &actions) }
    if case .closing(let until) = phase, until <= now {
      stop(.drained, &actions)
      return
    }
    let sending = outbox.contains { result in
      if case .underway = result.attempt { true } else { false }
    }
    if units.allSatisfy({ $0.stage == .kept }) && !sending && farewells.isEmpty
      && leasing != .requesting
    {
      stop(.drained, &actions)
    }
  }

  /// Leaves a unit to the next start.
  private mutating func keep(_ index: Int, _ actions: inout [WorkerAction]) {
    let id = units[index].lease.id
    switch units[index].stage {
    case .running:
      units[index].stage = .halting
      actions.append(.cancelRun(lease: id))
    case .cancelling, .halting: return
    case .unconfirmed, .queued, .fetching, .fetchDue, .ready, .kept:
      if units[index].isFetching { actions.append(.cancelFetch(lease: id)) }
      units[index].stage = .kept
    }
    units[index].heartbeatAt = nil
  }

  /// The grace period is over: stops what still runs.
  private mutating func close(at now: Moment, _ actions: inout [WorkerAction]) {
    phase = .closing(until: now + settings.farewell)
    for index in units.indices where units[index].stage == .running {
      units[index].stage = .cancelling(tell: .shuttingDown)
      actions.append(.cancelRun(lease: units[index].lease.id))
    }
  }
}
