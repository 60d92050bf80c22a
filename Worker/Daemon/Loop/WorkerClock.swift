import Foundation
import WorkerCore

/// Time as the daemon sees it, so that tests can bring their own.
package struct WorkerClock: Sendable {
  /// The moment now; never goes back, and goes on while the machine sleeps.
  package var now: @Sendable () -> Moment
  /// Sleeps until a moment; throws when the task is cancelled.
  package var sleep: @Sendable (Moment) async throws -> Void
  /// The calendar's time, in seconds since 1970.
  package var unixSeconds: @Sendable () -> Int

  package init(
    now: @escaping @Sendable () -> Moment, sleep: @escaping @Sendable (Moment) async throws -> Void,
    unixSeconds: @escaping @Sendable () -> Int
  ) {
    self.now = now
    self.sleep = sleep
    self.unixSeconds = unixSeconds
  }

  /// The machine's clocks, the origin at the call.
  package static func system() -> WorkerClock {
    let clock = ContinuousClock()
    let origin = clock.now
    return WorkerClock(
      now: { Moment(origin.duration(to: clock.now)) },
      sleep: { try await clock.sleep(until: origin.advanced(by: $0.sinceOrigin)) },
      unixSeconds: { Int(Date().timeIntervalSince1970) })
  }

  /// The moment at which the calendar reads `unixSeconds`.
  func moment(unixSeconds seconds: Int) -> Moment {
    let ahead = seconds.subtractingReportingOverflow(unixSeconds())
    let bounded = ahead.overflow ? 0 : max(-1 << 40, min(1 << 40, ahead.partialValue))
    return now() + .seconds(bounded)
  }
}
