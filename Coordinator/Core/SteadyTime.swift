/// The time that a coordinator goes by: the calendar's, except for a while after the calendar
/// jumped.
///
/// A calendar that moves otherwise than a monotonic clock was set by somebody, rightly or wrongly.
/// For `holdSeconds` the time goes on as the monotonic clock says, so that nothing ends because of
/// a mistake that is corrected meanwhile. Then `adopt` makes the calendar's time this one's.
package struct SteadyTime: Sendable {
  /// Seconds between both clocks that are no jump: time servers correct by less.
  package static let toleranceSeconds = 2.0
  /// Seconds that a jump has to last before it is believed.
  package static let holdSeconds = 600

  /// A calendar that does not go with the monotonic clock.
  package struct Jump: Hashable, Sendable {
    /// What the calendar is ahead of this time; negative when it is behind.
    package var seconds: Double
    /// When it was noticed, by the monotonic clock.
    fileprivate var since: Duration
  }

  /// The jump that is not believed yet.
  package private(set) var jump: Jump?
  private var calendar: Timestamp
  private var elapsed: Duration

  /// - Parameter elapsed: the monotonic clock's reading, from any beginning.
  package init(calendar: Timestamp, elapsed: Duration) {
    self.calendar = calendar
    self.elapsed = elapsed
  }

  /// The time at a reading of both clocks.
  package mutating func read(calendar now: Timestamp, elapsed: Duration) -> Timestamp {
    let steady = calendar.adding(seconds: (elapsed - self.elapsed) / .seconds(1))
    let ahead = now.seconds(since: steady)
    if abs(ahead) <= Self.toleranceSeconds {
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
    calendar = now
    self.elapsed = elapsed
    jump = nil
  }
}
