import WireProtocol

/// What a worker does next, as a value: takes an event and the time, returns actions.
///
/// It joins, leases units, has their blobs fetched, runs one unit at a time, keeps each finished
/// result until the coordinator has answered for it, sends heartbeats, renews the certificate and
/// drains on request. It does no I/O, reads no clock and draws its jitter from its seed.
///
/// Four parts move independently, each in a file of its own: leasing, the held units, the outbox of
/// results, the certificate. `advance` starts whatever is due after every event.
package struct WorkerLifecycle: Sendable {
  /// The worker as a whole.
  enum Phase: Hashable, Sendable {
    case beforeStart
    case joining(Attempt)
    case active
    /// Takes no new units; a running one may finish until then.
    case draining(until: Moment)
    /// Waits for farewells until then.
    case closing(until: Moment)
    case stopped(StopReason)
  }

  /// A request that is repeated until it succeeds.
  enum Attempt: Hashable, Sendable {
    case due(at: Moment, failures: Int)
    case underway(failures: Int)
  }

  /// Asking for work.
  enum Leasing: Hashable, Sendable {
    case due
    case requesting
    /// There was no work, for these reasons.
    case idle(reasons: [IdleReason: Int], until: Moment)
    /// Requests fail.
    case backingOff(RequestFailure, until: Moment)
    /// Units failed here, one after another.
    case pausing(until: Moment)
  }

  let settings: LifecycleSettings
  var random: SplitMix64
  var phase = Phase.beforeStart
  var leasing = Leasing.due
  /// Failed lease requests in a row.
  var leaseFailures = 0
  /// Units that ended without a result, in a row.
  var unitFailures = 0
  /// Units in the order of their leases.
  var units: [HeldUnit] = []
  var outbox: [PendingResult] = []
  var certificate: Certificate?
  /// Whether units may be computed: else none is asked for, and none is started.
  var mayCompute = true
  /// Whether blobs and results may be transferred: else none is, and no unit is asked for.
  var mayTransfer = true
  /// Which work the owner chose.
  var choices: WorkChoices
  /// Whether it ends once nothing is held any more.
  var isFinishing = false
  /// Abandonments under way.
  var farewells: Set<String> = []

  package init(
    settings: LifecycleSettings, choices: WorkChoices = WorkChoices(), seed: UInt64
  ) {
    self.settings = settings
    self.choices = choices
    self.random = SplitMix64(seed: seed)
  }

  /// Takes what happened at `now`, returns what to do. `now` never decreases from call to call.
  package mutating func handle(_ event: WorkerEvent, at now: Moment) -> [WorkerAction] {
    if case .stopped = phase { return [] }
    var actions: [WorkerAction] = []
    apply(event, at: now, &actions)
    advance(at: now, &actions)
    return actions
  }

  private mutating func apply(
    _ event: WorkerEvent, at now: Moment, _ actions: inout [WorkerAction]
  ) {
    switch event {
    case .started(let term, let results, let units): start(term, results, units, at: now, &actions)
    case .timer: break
    case .terminate: beginDraining(at: now, &actions)
    case .finish: isFinishing = true
    case .computingAllowed(let isAllowed): mayCompute = isAllowed
    case .transferAllowed(let isAllowed): mayTransfer = isAllowed
    case .memoryExceeded: stopForMemory(&actions)
    case .chosen(let choices): choose(choices, at: now, &actions)
    case .enrolled(let term): joined(term)
    case .enrolmentFailed(let failure): joiningFailed(failure, at: now, &actions)
    case .renewed(let term): certificate = Certificate(term)
    case .renewalFailed(let failure): renewalFailed(failure, at: now, &actions)
    case .leaseAnswered(let response): leaseAnswered(response, at: now, &actions)
    case .leaseFailed(let failure): leaseFailed(failure, at: now, &actions)
    case .blobsReady(let lease): blobsReady(lease, at: now)
    case .fetchFailed(let lease, let failure): fetchFailed(lease, failure, at: now, &actions)
    case .unitFinished(let lease): unitFinished(lease, at: now, &actions)
    case .unitFailed(let lease, let reason, let detail):
      unitFailed(lease, reason, detail, at: now, &actions)
    case .unitCancelled(let lease): unitCancelled(lease, at: now, &actions)
    case .heartbeatAnswered(let lease, let response):
      heartbeatAnswered(lease, response, at: now, &actions)
    case .heartbeatFailed(let lease, let failure):
      heartbeatFailed(lease, failure, at: now, &actions)
    case .uploadAnswered(let lease, let receipt):
      uploadAnswered(lease, receipt, at: now, &actions)
    case .uploadFailed(let lease, let failure): uploadFailed(lease, failure, at: now, &actions)
    case .abandonmentEnded(let lease): farewells.remove(lease)
    }
  }

  private mutating func start(
    _ term: CertificateTerm?, _ results: [StoredResult], _ stored: [StoredUnit], at now: Moment,
    _ actions: inout [WorkerAction]
  ) {
    guard case .beforeStart = phase else { return }
    outbox = results.map {
      PendingResult(lease: $0.lease, finishedAt: $0.finishedAt, attempt: .due(at: now, failures: 0))
    }
    if let term {
      certificate = Certificate(term)
      phase = .active
      resume(stored, at: now, &actions)
    } else {
      // Leases of an earlier membership are unknown to the next one.
      phase = .joining(.due(at: now, failures: 0))
    }
  }

  /// Starts everything that is due at `now`.
  private mutating func advance(at now: Moment, _ actions: inout [WorkerAction]) {
    switch phase {
    case .beforeStart, .stopped: return
    case .joining: advanceJoining(at: now, &actions)
    case .active:
      advanceCertificate(at: now, &actions)
      if case .stopped = phase { return }
      advanceUnits(at: now, &actions)
      advanceOutbox(at: now, &actions)
      advanceLeasing(at: now, &actions)
      stopIfFinished(&actions)
    case .draining, .closing:
      advanceUnits(at: now, &actions)
      advanceOutbox(at: now, &actions)
      advanceDraining(at: now, &actions)
    }
  }

  /// When to send `timer` if nothing happens before; nil when only an event can move the worker on.
  package var nextTimer: Moment? {
    var moments: [Moment] = []
    switch phase {
    case .beforeStart, .stopped: return nil
    // Results of an earlier membership wait until the worker has joined again.
    case .joining(let attempt): return attempt.timer
    case .active:
      if let certificate { moments.append(certificate.nextTimer) }
      if let wake = leasingTimer { moments.append(wake) }
    case .draining(let until), .closing(let until): moments.append(until)
    }
    moments += units.compactMap(\.heartbeatAt)
    if mayTransfer {
      // A fetch that is due waits for the one under way.
      if !units.contains(where: \.isFetching) { moments += units.compactMap(\.fetchAt) }
      moments += outbox.compactMap(\.attempt.timer)
    }
    return moments.min()
  }

  /// Ends at once for a reason that no retry cures; results stay in the data folder.
  mutating func stop(_ reason: StopReason, _ actions: inout [WorkerAction]) {
    if case .stopped = phase { return }
    for unit in units {
      switch unit.stage {
      case .running: actions.append(.cancelRun(lease: unit.lease.id))
      case .fetching: actions.append(.cancelFetch(lease: unit.lease.id))
      case .unconfirmed, .queued, .fetchDue, .ready, .cancelling, .halting, .kept: break
      }
    }
    phase = .stopped(reason)
    actions.append(.stop(reason))
  }

  /// True when the failure ends the worker, which it then has.
  mutating func stopped(by failure: RequestFailure, _ actions: inout [WorkerAction]) -> Bool {
    switch failure {
    case .upgradeRequired(let message):
      stop(.upgradeRequired(message: message), &actions)
      return true
    case .notAdmitted(let message):
      stop(.notAdmitted(message: message), &actions)
      return true
    case .unreachable, .busy, .heldBack, .refused: return false
    }
  }

  /// How long to wait after the n-th failure in a row: never less than the coordinator asked for.
  mutating func delay(
    after failure: RequestFailure, failures: Int, _ backoff: Backoff? = nil
  ) -> Duration {
    let own = (backoff ?? settings.requestBackoff).delay(failures: failures, using: &random)
    if case .busy(_, let retryAfter?) = failure {
      return max(own, min(retryAfter, .seconds(3600)))
    }
    return own
  }
}

extension WorkerLifecycle.Attempt {
  var timer: Moment? {
    if case .due(let at, _) = self { at } else { nil }
  }

  /// The failures so far, when the attempt is due at `now`.
  func failuresIfDue(at now: Moment) -> Int? {
    if case .due(let at, let failures) = self, at <= now { failures } else { nil }
  }
}
