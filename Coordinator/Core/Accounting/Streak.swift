/// Days in a row on which an account had a result accepted.
package struct Streak: Hashable, Sendable {
  /// The run that ended on `lastDay`, in days.
  package private(set) var run: Int
  /// The longest run so far, in days.
  package private(set) var longest: Int
  package private(set) var lastDay: Day?

  package init(run: Int = 0, longest: Int = 0, lastDay: Day? = nil) {
    self.run = run
    self.longest = longest
    self.lastDay = lastDay
  }

  /// Counts an accepted result. A day before the last one, as after a clock was set back, counts
  /// for nothing.
  package mutating func add(_ day: Day) {
    if let lastDay {
      guard day > lastDay else { return }
      run = day == lastDay.adding(days: 1) ? run + 1 : 1
    } else {
      run = 1
    }
    lastDay = day
    longest = max(longest, run)
  }

  /// Moves the last day with a clock that was set.
  package mutating func move(days: Int) { lastDay = lastDay?.adding(days: days) }

  /// Days in a row up to `today`, which itself need not have a result yet.
  package func current(on today: Day) -> Int {
    guard let lastDay, lastDay >= today.adding(days: -1) else { return 0 }
    return run
  }
}
