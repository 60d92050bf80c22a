import WireProtocol

/// What a worker does at the moment, for people.
package enum WorkerActivity: Hashable, Sendable {
  case starting
  case joining
  /// Asks for work.
  case leasing
  /// There is no work for this worker, for these reasons.
  case idle(reasons: [IdleReason: Int], until: Moment)
  /// Requests fail; the next attempt comes then.
  case backingOff(RequestFailure, until: Moment)
  /// Units failed here; the next one is asked for then.
  case pausing(detail: String, until: Moment)
  /// Asks whether a unit of its last run is still wanted.
  case resuming(lease: String)
  case fetching(lease: String)
  case running(lease: String)
  /// Nothing left to compute; results are being sent.
  case uploading
  /// So many finished results wait to be sent that no further work is asked for.
  case awaitingDelivery(results: Int)
  /// Ends; a unit that still runs may finish until then.
  case draining(until: Moment)
  case stopped(StopReason)
}

/// The coordinator wants nothing of this worker at the moment.
package struct TurningAway: Hashable, Sendable {
  /// The coordinator's last refusal.
  package var failure: RequestFailure
  /// When it is asked again; nil while it is being asked.
  package var until: Moment?
}

extension WorkerLifecycle {
  /// What the worker does at the moment.
  package var activity: WorkerActivity {
    switch phase {
    case .beforeStart: .starting
    case .joining: .joining
    case .draining(let until), .closing(let until): .draining(until: until)
    case .stopped(let reason): .stopped(reason)
    case .active: activityWhileActive
    }
  }

  private var activityWhileActive: WorkerActivity {
    if let unit = units.first(where: \.isOnProcessor) { return .running(lease: unit.lease.id) }
    if let unit = units.first(where: { $0.stage == .unconfirmed }) {
      return .resuming(lease: unit.lease.id)
    }
    if let unit = units.first { return .fetching(lease: unit.lease.id) }
    let sending = outbox.contains { result in
      if case .underway = result.attempt { true } else { false }
    }
    if sending { return .uploading }
    if leasing != .requesting, outbox.count >= settings.maximumWaitingResults {
      return .awaitingDelivery(results: outbox.count)
    }
    switch leasing {
    case .due, .requesting: return .leasing
    case .idle(let reasons, let until): return .idle(reasons: reasons, until: until)
    case .backingOff(let failure, let until): return .backingOff(failure, until: until)
    case .pausing(let detail, let until): return .pausing(detail: detail, until: until)
    }
  }

  /// Finished results that the coordinator has not answered for.
  package var waitingResults: Int { outbox.count }

  /// When a held lease ends unless the coordinator extends it; nil when it has not said.
  package func deadline(ofLease id: String) -> Moment? {
    units.first { $0.lease.id == id }?.deadline
  }

  /// The ids of the leases that the worker holds, in order.
  package var heldLeases: [String] { units.map(\.lease.id) }
}
