import Foundation
import Synchronization

/// Sends a service manager's keep-alive from a thread of its own, as long as the coordinator's
/// parts respond: a machine that is busy delays no keep-alive, and a coordinator that hangs sends
/// none.
package final class KeepAlive: Sendable {
  private let interval: Duration
  private let patience: Duration
  private let now: @Sendable () -> ContinuousClock.Instant
  private let beat: @Sendable () -> Void
  private let lastResponse: Mutex<ContinuousClock.Instant>

  /// - Parameters:
  ///   - interval: between two keep-alives.
  ///   - patience: how long after the last response keep-alives go on.
  package init(
    every interval: Duration, patience: Duration,
    now: @escaping @Sendable () -> ContinuousClock.Instant = { ContinuousClock.now },
    beat: @escaping @Sendable () -> Void
  ) {
    (self.interval, self.patience, self.now, self.beat) = (interval, patience, now, beat)
    lastResponse = Mutex(now())
  }

  /// A part responded: the store answered, on the threads that answer everyone.
  package func noteResponse() {
    lastResponse.withLock { $0 = now() }
  }

  /// Sends a keep-alive if the last response is recent.
  package func look() {
    if lastResponse.withLock({ now() - $0 }) <= patience { beat() }
  }

  /// Looks again and again, as long as the process runs.
  package func start() {
    let seconds = interval / .seconds(1)
    Thread.detachNewThread {
      while true {
        self.look()
        Thread.sleep(forTimeInterval: seconds)
      }
    }
  }
}
