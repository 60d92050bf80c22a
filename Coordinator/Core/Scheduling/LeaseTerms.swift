/// How long a lease lasts. All from the time that the unit should take on this worker.
package struct LeaseTerms: Hashable, Sendable {
  /// When the lease ends unless a heartbeat extends it.
  package let deadline: Timestamp
  /// Beyond this, heartbeats extend it only as far as the worker has got with the unit.
  package let idleDeadline: Timestamp
  /// When the replica is late.
  package let late: Timestamp
  /// Beyond this no heartbeat extends it.
  package let lastDeadline: Timestamp

  /// - Parameters:
  ///   - seconds: what the unit should take on this worker.
  ///   - queuedSeconds: what the worker has to do before.
  ///   - downloadBytes: what the worker has to fetch of the model.
  ///   - isAwaited: whether others wait for this very unit, as a round does for its shards: then a worker
  ///     that says nothing has its lease for twice the silence and no longer.
  package init(
    seconds: Double, after queuedSeconds: Double, downloadBytes: Int = 0, isAwaited: Bool = false,
    now: Timestamp, _ policy: CoordinatorPolicy
  ) {
    let expected = min(max(0, seconds) + max(0, queuedSeconds), 1e9)
    let maximum = Double(policy.maximumLeaseSeconds)
    let silence = Double(policy.silenceSeconds)
    let first = isAwaited ? 2 * silence : max(silence, policy.deadlineFactor * expected)
    let download = min(
      Double(max(0, downloadBytes)) / policy.assumedDownloadBytesPerSecond,
      Double(policy.minimumExtensionSeconds))
    let idle =
      isAwaited
      ? first + min(max(0, queuedSeconds), maximum)
      : max(first, policy.patienceFactor * silence)
    let least = isAwaited ? 2 * idle : max(idle, Double(policy.minimumExtensionSeconds))
    let last = max(least, policy.extensionFactor * expected)
    deadline = now.adding(seconds: min(first, maximum))
    idleDeadline = now.adding(seconds: min(idle + download, maximum))
    late = now.adding(
      seconds: min(max(silence, policy.lateFactor * expected) + download, maximum))
    lastDeadline = now.adding(seconds: min(last + download, maximum))
  }

  /// The deadline after a heartbeat at `now`: a worker that has done a share of the unit has that
  /// share of the time between the idle and the last deadline.
  ///
  /// - Parameter share: of the unit's operations, 0 to 1.
  package static func extended(
    _ deadline: Timestamp, idle: Timestamp, last: Timestamp, share: Double, now: Timestamp,
    _ policy: CoordinatorPolicy
  ) -> Timestamp {
    let done = share.isFinite ? min(1, max(0, share)) : 0
    let reach = idle.adding(seconds: done * max(0, last.seconds(since: idle)))
    return max(deadline, min(reach, now.adding(seconds: policy.silenceSeconds)))
  }
}

/// A worker's speed as its accepted units show it: a moving average in which the newest counts a
/// quarter, and which grows at most twofold with a unit.
package enum MeasuredSpeed {
  /// Seconds that count for a unit: what the worker claims, but never less than has passed since it
  /// had nothing else to do, nor more than since the lease.
  ///
  /// - Parameters:
  ///   - claimed: seconds that the worker says it computed.
  ///   - issued: when the unit was leased.
  ///   - before: when the worker's result before this one came.
  package static func seconds(
    claimed: Double?, issued: Timestamp, before: Timestamp?, now: Timestamp
  ) -> Double {
    let longest = max(0.001, now.seconds(since: issued))
    let shortest = max(0.001, now.seconds(since: max(issued, before ?? issued)))
    guard let claimed, claimed.isFinite else { return longest }
    return min(longest, max(shortest, claimed))
  }

  /// - Parameters:
  ///   - flops: operations of the accepted unit.
  ///   - seconds: those that count for it.
  ///   - first: at most so much is believed of the first unit.
  /// - Returns: operations a second; `old` when the figures show nothing.
  package static func updated(
    _ old: Double?, flops: Double, seconds: Double, first: Double = .infinity
  ) -> Double? {
    let speed = flops / seconds
    guard speed.isFinite, speed > 0 else { return old }
    guard let old else { return min(speed, first) }
    return min(2 * old, old * 0.75 + speed * 0.25)
  }
}
