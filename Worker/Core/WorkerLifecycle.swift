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
    case pausing(detail: String, until: Moment)
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
  /// Set while the coordinator turns this worker away.
  var turnedAway: TurnedAway?
  /// Set while the coordinator is about to move.
  var relocation: Relocation?
  /// Whether the coordinator has not answered this member yet since it joined in this run.
  var isNewcomer = false
  /// When the life cycle began.
  var startedAt = Moment.origin
  /// Why the last attempt that failed did, by what it was for.
  var lastFailures: [FailingRequest.Purpose: RequestFailure] = [:]
  /// Why the last unit failed here; nil once one succeeds.
  package internal(set) var unitFailure: String?
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
    noteFailure(event)
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
    case .enrolled(let term): enrolled(term, at: now)
    case .enrolmentFailed(let failure): enrolmentFailed(failure, at: now, &actions)
    case .renewed(let term): renewed(term, at: now)
    case .renewalFailed(let failure): renewalFailed(failure, at: now, &actions)
    case .calendarRead(let term, let results): calendarRead(term, results)
    case .addressAnnounced(let url): announce(url, at: now)
    case .moved(let term): moved(term, at: now)
    case .movingFailed: movingFailed(at: now)
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
    startedAt = now
    outbox = results.map {
      PendingResult(lease: $0.lease, finishedAt: $0.finishedAt, attempt: .due(at: now, failures: 0))
    }
    if let term {
      certificate = Certificate(term)
      phase = .active
      resume(stored, at: now, &actions)
    } else {
      // Leases of an earlier membership are unknown to the next one.
      isNewcomer = true
      phase = .joining(.due(at: now, failures: 0))
    }
  }

  /// The calendar may have been set since it was last read.
  private mutating func calendarRead(_ term: CertificateTerm?, _ results: [StoredResult]) {
    if let term { certificate?.take(term) }
    for result in results {
      guard let index = outbox.firstIndex(where: { $0.lease == result.lease }) else { continue }
      outbox[index].finishedAt = result.finishedAt
    }
  }

  /// Starts everything that is due at `now`.
  private mutating func advance(at now: Moment, _ actions: inout [WorkerAction]) {
    switch phase {
    case .beforeStart, .stopped: return
    case .joining: advanceJoining(at: now, &actions)
    case .active:
      advanceCertificate(at: now, &actions)
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
      moments += [certificate?.renewal, turnedAway?.readmission, relocation?.attempt]
        .compactMap { $0?.timer }
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

  /// How long to wait after the n-th failure in a row: never less than the coordinator asked for.
  mutating func delay(
    after failure: RequestFailure, failures: Int, _ backoff: Backoff? = nil, at now: Moment
  ) -> Duration {
    if failure.isTurningAway, let turnedAway {
      return settings.turnedAwayBackoff.delay(
        elapsed: turnedAway.since.duration(to: now), using: &random)
    }
    let own = (backoff ?? settings.requestBackoff).delay(failures: failures, using: &random)
    if case .busy(_, let retryAfter?) = failure {
      return max(own, min(retryAfter, .seconds(3600)))
    }
    return own
  }
}

extension WorkerLifecycle.Attempt {
  /// Failed attempts so far.
  var failures: Int {
    switch self {
    case .due(_, let failures), .underway(let failures): failures
    }
  }

  var timer: Moment? {
    if case .due(let at, _) = self { at } else { nil }
  }

  /// The failures so far, when the attempt is due at `now`.
  func failuresIfDue(at now: Moment) -> Int? {
    if case .due(let at, let failures) = self, at <= now { failures } else { nil }
  }
}
