/// How long a lease lasts. All from the time that the unit should take on this worker.
package struct LeaseTerms: Hashable, Sendable {
  /// When the lease ends unless a heartbeat extends it.
  package let deadline: Timestamp
  /// Beyond this no heartbeat extends it.
  package let lastDeadline: Timestamp

  /// - Parameters:
  ///   - seconds: what the unit should take on this worker.
  ///   - queuedSeconds: what the worker has to do before, of the same answer.
  ///   - isAwaited: whether others wait for this very unit, as a round does for its shards: then a worker
  ///     that says nothing has its lease for twice the silence and no longer.
  package init(
    seconds: Double, after queuedSeconds: Double, isAwaited: Bool = false, now: Timestamp,
    _ policy: CoordinatorPolicy
  ) {
    let expected = min(max(0, seconds) + max(0, queuedSeconds), 1e9)
    let maximum = Double(policy.maximumLeaseSeconds)
    let silence = Double(policy.silenceSeconds)
    let first = isAwaited ? 2 * silence : max(silence, policy.deadlineFactor * expected)
    let last = max(
      Double(policy.minimumExtensionSeconds), policy.extensionFactor * expected, first)
    deadline = now.adding(seconds: min(first, maximum))
    lastDeadline = now.adding(seconds: min(last, maximum))
  }

  /// The deadline after a heartbeat at `now`.
  package static func extended(
    _ deadline: Timestamp, last: Timestamp, now: Timestamp, _ policy: CoordinatorPolicy
  ) -> Timestamp {
    min(last, max(deadline, now.adding(seconds: policy.silenceSeconds)))
  }
}

/// A worker's speed as its finished units show it: a moving average in which the newest counts a
/// quarter.
package enum MeasuredSpeed {
  /// - Parameters:
  ///   - flops: operations of the finished unit.
  ///   - claimed: seconds that the worker says it computed.
  ///   - elapsed: seconds from lease to result; computing cannot have taken longer.
  /// - Returns: operations a second; `old` when the figures show nothing.
  package static func updated(
    _ old: Double?, flops: Double, claimed: Double?, elapsed: Double
  ) -> Double? {
    var seconds = max(elapsed, 0.001)
    if let claimed, claimed.isFinite, claimed > 0 { seconds = min(seconds, claimed) }
    let speed = flops / seconds
    guard speed.isFinite, speed > 0 else { return old }
    guard let old else { return speed }
    return old * 0.75 + speed * 0.25
  }
}
