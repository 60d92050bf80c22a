import WireProtocol

/// A leased unit on its way to a result.
struct HeldUnit: Hashable, Sendable {
  enum Stage: Hashable, Sendable {
    /// Of an earlier run of the worker; a heartbeat asks whether it is still wanted.
    case unconfirmed
    case queued
    case fetching(failures: Int)
    case fetchDue(at: Moment, failures: Int)
    /// Its blobs are in the cache.
    case ready
    case running
    /// Told to stop; `tell` is what the coordinator is told once it has, nil when it knows.
    case cancelling(tell: Abandonment.Reason?)
    /// Told to stop; the worker's next start goes on with it.
    case halting
    /// For the worker's next start.
    case kept
  }

  var lease: Lease
  var stage = Stage.queued
  /// When the next heartbeat is due; nil while one is under way.
  var heartbeatAt: Moment?
  /// When the latest heartbeat was sent, or the unit leased: beats keep their distance whatever an
  /// answer takes.
  var lastBeat: Moment
  var heartbeatFailures = 0
  /// When the lease ends unless it is extended; nil while the coordinator has not said.
  var deadline: Moment?

  init(lease: Lease, at now: Moment) {
    self.lease = lease
    self.lastBeat = now
    self.heartbeatAt = now + interval
    setDeadline(inSeconds: lease.deadlineSeconds, at: now)
  }

  /// Takes what the coordinator says, within reason.
  mutating func setDeadline(inSeconds seconds: Int, at now: Moment) {
    deadline = now + .seconds(max(0, min(seconds, 365 * 86400)))
  }

  /// A unit that an earlier run held: the coordinator is asked at once.
  init(resuming lease: Lease, at now: Moment) {
    self.init(lease: lease, at: now)
    stage = .unconfirmed
    heartbeatAt = now
    deadline = nil
  }

  /// Between heartbeats: what the coordinator asks for, within reason.
  var interval: Duration { .seconds(max(1, min(lease.heartbeatSeconds, 3600))) }

  /// When its blobs are to be fetched again.
  var fetchAt: Moment? {
    if case .fetchDue(let at, _) = stage { at } else { nil }
  }
}
