/// The time that a coordinator goes by: the calendar's, except for a while after the calendar
/// jumped.
///
/// A calendar that moves otherwise than a monotonic clock was set by somebody, rightly or wrongly.
/// For `holdSeconds` the time goes on as the monotonic clock says, so that nothing ends because of
/// a mistake that is corrected meanwhile. Then `adopt` makes the calendar's time this one's.
///
/// A process that starts goes on from the time that another one kept (`KeptClock`). A calendar that
/// is behind it, or ahead by more than an outage lasts, has jumped.
package struct SteadyTime: Sendable {
  /// Seconds between both clocks that are no jump: time servers correct by less.
  package static let toleranceSeconds = 2.0
  /// Seconds that a jump has to last before it is believed.
  package static let holdSeconds = 600
  /// Seconds by which a calendar may be ahead of the time that was kept and be right, because
  /// nobody kept any meanwhile: a long weekend. After a longer outage it is believed like any jump.
  package static let outageSeconds = 3 * 86_400

  /// A calendar that does not go with the monotonic clock.
  package struct Jump: Hashable, Sendable {
    /// What the calendar is ahead of this time; negative when it is behind.
    package var seconds: Double
    /// When it was noticed, by the monotonic clock.
    fileprivate var since: Duration
  }

  /// The jump that is not believed yet.
  package private(set) var jump: Jump?
  /// The time when the monotonic clock was at `elapsed`.
  private var time: Timestamp
  private var elapsed: Duration
  /// Whether the time is the one that was kept, by a process of which nobody knows how long ago it
  /// ended. The first calendar that may be right ends that.
  private var isResuming = false

  /// - Parameters:
  ///   - elapsed: the monotonic clock's reading, from any beginning.
  ///   - kept: what another process kept last; nil: the calendar is believed.
  package init(calendar: Timestamp, elapsed: Duration, kept: KeptClock? = nil) {
    self.elapsed = elapsed
    time = calendar
    guard let kept else { return }
    let jumped = kept.calendar.seconds(since: kept.time)
    let passed = calendar.seconds(since: kept.calendar)
    // Of two explanations the one by which less time passed, since less ends by it.
    let isRight = jumped < 0 && Self.isOutage(calendar.seconds(since: kept.time))
    if abs(jumped) > Self.toleranceSeconds, Self.isOutage(passed), !isRight {
      // It had jumped before and is as wrong as it was then.
      time = kept.time.adding(seconds: max(0, passed))
    } else {
      time = kept.time
      isResuming = true
    }
    _ = read(calendar: calendar, elapsed: elapsed)
  }

  /// Whether a process may have been away for so many seconds.
  private static func isOutage(_ seconds: Double) -> Bool {
    (-toleranceSeconds...Double(outageSeconds)).contains(seconds)
  }

  /// The time at a reading of both clocks.
  package mutating func read(calendar now: Timestamp, elapsed: Duration) -> Timestamp {
    let steady = time.adding(seconds: (elapsed - self.elapsed) / .seconds(1))
    let ahead = now.seconds(since: steady)
    if abs(ahead) <= Self.toleranceSeconds || (isResuming && Self.isOutage(ahead)) {
      follow(now, elapsed)
      return now
    }
    if let jump, abs(jump.seconds - ahead) <= Self.toleranceSeconds { return steady }
    jump = Jump(seconds: ahead, since: elapsed)
    return steady
  }

  /// Whether the present jump lasts so long that the calendar is to be believed.
  package func isDue(elapsed: Duration) -> Bool {
    jump.map { elapsed - $0.since >= .seconds(Self.holdSeconds) } ?? false
  }

  /// Believes the calendar.
  package mutating func adopt(calendar now: Timestamp, elapsed: Duration) {
    follow(now, elapsed)
  }

  private mutating func follow(_ now: Timestamp, _ elapsed: Duration) {
    time = now
    self.elapsed = elapsed
    jump = nil
    isResuming = false
  }
}
