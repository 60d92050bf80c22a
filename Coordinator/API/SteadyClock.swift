import CoordinatorCore
import Synchronization

/// A coordinator's clock: `SteadyTime` over the calendar and a monotonic clock, which a test
/// passes.
package final class SteadyClock: Sendable {
  private let calendar: @Sendable () -> Timestamp
  private let elapsed: @Sendable () -> Duration
  private let time: Mutex<SteadyTime>

  /// - Parameters:
  ///   - calendar: the system's clock, which may be set.
  ///   - elapsed: the time since a fixed moment, which nobody sets.
  ///   - kept: what the database kept of the clock before this process; nil: nothing.
  package init(
    calendar: @escaping @Sendable () -> Timestamp = APIEnvironment.systemTime,
    elapsed: @escaping @Sendable () -> Duration = SteadyClock.sinceStart(),
    kept: KeptClock? = nil
  ) {
    self.calendar = calendar
    self.elapsed = elapsed
    time = Mutex(SteadyTime(calendar: calendar(), elapsed: elapsed(), kept: kept))
  }

  /// The time since this call; a machine's sleep counts.
  package static func sinceStart() -> @Sendable () -> Duration {
    let start = ContinuousClock.now
    return { ContinuousClock.now - start }
  }

  /// The time that everything in the coordinator goes by.
  package func now() -> Timestamp {
    time.withLock { $0.read(calendar: calendar(), elapsed: elapsed()) }
  }

  /// What the calendar says, which may be wrong.
  package func calendarNow() -> Timestamp { calendar() }

  /// What the calendar is ahead by and not believed; nil when both clocks go together.
  package var jumpSeconds: Double? {
    time.withLock {
      _ = $0.read(calendar: calendar(), elapsed: elapsed())
      return $0.jump?.seconds
    }
  }

  /// The same once it has lasted so long that `adopt` is due.
  package var dueJumpSeconds: Double? {
    time.withLock {
      let now = elapsed()
      _ = $0.read(calendar: calendar(), elapsed: now)
      return $0.isDue(elapsed: now) ? $0.jump?.seconds : nil
    }
  }

  /// Goes by the calendar from now on.
  package func adopt() {
    time.withLock { $0.adopt(calendar: calendar(), elapsed: elapsed()) }
  }
}
