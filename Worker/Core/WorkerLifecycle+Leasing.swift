import WireProtocol

// Asking for units: one request at a time, none while the worker holds what it may hold, has
// something to start, or has too many results that nobody took.
extension WorkerLifecycle {
  mutating func advanceLeasing(at now: Moment, _ actions: inout [WorkerAction]) {
    guard wantsUnits else { return }
    if let wake = leasingWake, wake > now { return }
    guard leasing != .requesting else { return }
    leasing = .requesting
    actions.append(.requestLease(maximumUnits: settings.maximumUnits - units.count))
  }

  /// Whether a further unit would be taken now.
  var wantsUnits: Bool {
    let waiting = units.contains { unit in
      switch unit.stage {
      case .unconfirmed, .queued, .fetching, .fetchDue, .ready: true
      case .running, .cancelling, .halting, .kept: false
      }
    }
    return mayCompute && mayTransfer && !isFinishing && !waiting
      && units.count < settings.maximumUnits && outbox.count < settings.maximumWaitingResults
  }

  private var leasingWake: Moment? {
    switch leasing {
    case .due, .requesting: nil
    case .idle(_, let until), .backingOff(_, let until), .pausing(_, let until): until
    }
  }

  /// When leasing moves by itself.
  var leasingTimer: Moment? { wantsUnits ? leasingWake : nil }

  mutating func leaseAnswered(
    _ response: LeaseResponse, at now: Moment, _ actions: inout [WorkerAction]
  ) {
    guard leasing == .requesting else { return }
    leaseFailures = 0
    leasing = .due
    contact(at: now)
    announce(response.nextAddress, at: now)
    var (taken, refused) = (0, 0)
    for lease in response.leases where !holds(lease.id) {
      guard case .active = phase else {
        abandon(lease.id, .shuttingDown, "the worker is shutting down", &actions)
        continue
      }
      guard units.count < settings.maximumUnits else {
        abandon(lease.id, .failed, "more units than the worker asked for", &actions)
        continue
      }
      guard choices.takes(lease) else {
        abandon(lease.id, .shuttingDown, Self.notChosen, &actions)
        refused += 1
        continue
      }
      units.append(HeldUnit(lease: lease, at: now))
      taken += 1
    }
    if taken == 0, refused > 0 {
      // A coordinator that does not know the choices would go on giving what is given back.
      leasing = .idle(reasons: [.notChosen: refused], until: now + .seconds(60))
    } else if taken == 0 {
      // Spread by up to a tenth, so that idle workers do not ask in step.
      let seconds = Double(max(1, min(response.retryAfterSeconds, 3600)))
      let wait = Duration.seconds(seconds * (1 + 0.1 * random.nextShare()))
      leasing = .idle(reasons: response.reasons, until: now + wait)
    }
  }

  mutating func leaseFailed(
    _ failure: RequestFailure, at now: Moment, _ actions: inout [WorkerAction]
  ) {
    guard leasing == .requesting, !ended(by: failure, at: now, &actions) else { return }
    leaseFailures += 1
    let wait = delay(after: failure, failures: leaseFailures, at: now)
    leasing = .backingOff(failure, until: now + wait)
  }

  func holds(_ lease: String) -> Bool {
    units.contains { $0.lease.id == lease } || outbox.contains { $0.lease == lease }
  }

  /// Gives a lease back.
  mutating func abandon(
    _ lease: String, _ reason: Abandonment.Reason, _ detail: String,
    _ actions: inout [WorkerAction]
  ) {
    farewells.insert(lease)
    actions.append(.abandon(lease: lease, reason, detail: detail))
  }
}

// What the owner chose: the coordinator is told and obeys, and what comes otherwise is given back.
extension WorkerLifecycle {
  static let notChosen = "not what this machine's owner chose"

  /// Takes up a choice: asks anew at once, and gives back what is held and not chosen any more.
  mutating func choose(
    _ choices: WorkChoices, at now: Moment, _ actions: inout [WorkerAction]
  ) {
    self.choices = choices
    if case .idle = leasing { leasing = .due }
    for unit in units where !choices.takes(unit.lease) { giveBack(unit.lease.id, &actions) }
  }
}

extension WorkChoices {
  /// Whether a lease's unit is taken.
  func takes(_ lease: Lease) -> Bool { takes(lease.specification.kind, lease.work) }
}
