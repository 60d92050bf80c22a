/// What a coordinator's database keeps of its clock, for the next start and for other processes.
package struct KeptClock: Hashable, Sendable, Codable {
  /// Seconds after which it is kept anew. One that is as old as that serves as well.
  private static let renewalSeconds = 60.0

  /// The time that the coordinator went by.
  package var time: Timestamp
  /// What the calendar said then.
  package var calendar: Timestamp
  /// When deadlines were last moved with the calendar, by the time from then on; nil: never. What
  /// carries an earlier time may be younger than that says.
  package var setAt: Timestamp?

  package init(time: Timestamp, calendar: Timestamp, setAt: Timestamp? = nil) {
    self.time = time
    self.calendar = calendar
    self.setAt = setAt
  }

  /// Whether these readings are to be kept in the place of this: a while later, or after the clocks
  /// moved against each other.
  package func isDue(time: Timestamp, calendar: Timestamp) -> Bool {
    let passed = time.seconds(since: self.time)
    return !(0..<Self.renewalSeconds).contains(passed)
      || abs(calendar.seconds(since: self.calendar) - passed) > SteadyTime.toleranceSeconds
  }

  /// The time that another process goes by: the calendar's, unless that is in a jump.
  package func now(calendar: Timestamp) -> Timestamp {
    var time = SteadyTime(calendar: calendar, elapsed: .zero, kept: self)
    return time.read(calendar: calendar, elapsed: .zero)
  }
}
