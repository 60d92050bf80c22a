/// How long a lease lasts. From the time that the unit should take on this worker, within bounds
/// that do not depend on what the worker has shown: who seems slow on purpose must not hold a unit
/// for a day.
package struct LeaseTerms: Hashable, Sendable {
  /// When the lease ends unless a heartbeat extends it.
  package let deadline: Timestamp
  /// Beyond this, heartbeats extend it only as far as the worker has got with the unit.
  package let idleDeadline: Timestamp
  /// When the replica is late.
  package let late: Timestamp
  /// Beyond this no heartbeat extends it.
  package let lastDeadline: Timestamp

  /// What a unit should take, in seconds.
  package struct Expectation: Hashable, Sendable {
    /// On this worker, at the speed that it has shown or that is assumed of it.
    package var own: Double
    /// What the worker has to do before, at the same speed.
    package var queued: Double
    /// Where units like it take long, whatever this worker has shown.
    package var usual: Double
    /// On one core of the assumed speed: hardly a machine is slower.
    package var slowest: Double

    package init(own: Double, queued: Double = 0, usual: Double, slowest: Double) {
      func bounded(_ seconds: Double) -> Double { min(max(0, seconds), 1e9) }
      self.own = bounded(own)
      self.queued = bounded(queued)
      self.usual = bounded(usual)
      self.slowest = bounded(slowest)
    }
  }

  /// - Parameters:
  ///   - downloadBytes: what the worker has to fetch of the model.
  ///   - isAwaited: whether others wait for this very unit, as a round does for its shards: then a
  ///     worker that says nothing has its lease for twice the silence and no longer, and what it
  ///     has to do before counts for its patience alone.
  package init(
    _ expectation: Expectation, downloadBytes: Int = 0, isAwaited: Bool = false, now: Timestamp,
    _ policy: CoordinatorPolicy
  ) {
    let expected = expectation.own + (isAwaited ? 0 : expectation.queued)
    let maximum = Double(policy.maximumLeaseSeconds)
    let extensionSeconds = Double(policy.minimumExtensionSeconds)
    let silence = Double(policy.silenceSeconds)
    let patience = policy.patienceFactor * silence
    let first =
      isAwaited ? 2 * silence : max(silence, min(policy.deadlineFactor * expected, patience))
    let download = min(
      Double(max(0, downloadBytes)) / policy.assumedDownloadBytesPerSecond, extensionSeconds)
    let idle =
      isAwaited
      ? first + min(expectation.queued, patience)
      : max(first, patience, min(policy.deadlineFactor * expected, extensionSeconds))
    let least = isAwaited ? 2 * idle : max(idle, extensionSeconds)
    let most = max(
      extensionSeconds, policy.deadlineFactor * expectation.slowest,
      policy.extensionFactor * expectation.usual)
    let last = max(least, min(policy.extensionFactor * expected, most))
    let lateAtMost = max(patience, policy.lateFactor * expectation.usual)
    let late = max(silence, min(policy.lateFactor * expected, lateAtMost))
    deadline = now.adding(seconds: min(first, maximum))
    idleDeadline = now.adding(seconds: min(idle + download, maximum))
    self.late = now.adding(seconds: min(late + download, maximum))
    lastDeadline = now.adding(seconds: min(last + download, maximum))
  }

  /// What is known of how far a lease's worker has got.
  package struct Progress: Hashable, Sendable {
    /// When the unit was leased.
    package var issued: Timestamp
    /// When the worker last said that it got further; nil when that is not known.
    package var latest: Timestamp?
    /// Of the unit's operations, 0 to 1, as the worker says.
    package var share: Double

    package init(issued: Timestamp, latest: Timestamp?, share: Double) {
      self.issued = issued
      self.latest = latest
      self.share = share.isFinite ? min(1, max(0, share)) : 0
    }
  }

  /// The deadline after a heartbeat at `now`: a worker that has done a share of the unit has that
  /// share of the time between the idle and the last deadline; but since anybody can claim a share,
  /// no longer after the latest progress than it took to get there, and the patience.
  package static func extended(
    _ deadline: Timestamp, idle: Timestamp, last: Timestamp, _ progress: Progress, now: Timestamp,
    _ policy: CoordinatorPolicy
  ) -> Timestamp {
    var reach = idle.adding(seconds: progress.share * max(0, last.seconds(since: idle)))
    if let latest = progress.latest {
      let patience = policy.patienceFactor * Double(policy.silenceSeconds)
      let took = max(0, latest.seconds(since: progress.issued))
      reach = max(idle, min(reach, latest.adding(seconds: took + patience)))
    }
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
