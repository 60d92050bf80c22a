/// Decides how many threads of a pool work, from what their lateness costs.
///
/// A thread whose core another program holds may have claimed a task just before: then all wait for
/// it. While `n` threads lose a share `L` of the time to such waits they do the work of `n (1 -
/// L)`, so that the last one costs more than it gives once `L > 1/n`. It is then left out for a
/// pause, which doubles with each attempt that fails, and tried again. Times are nanoseconds of any
/// steady clock. Speed alone depends on it, never a result.
package struct ThreadBudget: Sendable {
  /// Threads when nothing disturbs them.
  package let limit: Int
  /// Threads that work now.
  package private(set) var active: Int
  private var windowStart: UInt64 = 0
  private var lost: UInt64 = 0
  private var pause = Self.shortestPause
  private var attemptAt = UInt64.max
  private var isAttempt = false

  /// Over so much time waits are compared with what a thread gives.
  static let window: UInt64 = 20_000_000
  static let shortestPause: UInt64 = 50_000_000
  static let longestPause: UInt64 = 2_000_000_000

  /// All `limit` threads work at first.
  package init(limit: Int) {
    self.limit = limit
    active = limit
  }

  /// The threads of a job that begins.
  package mutating func threads(at now: UInt64) -> Int {
    if active < limit, now >= attemptAt {
      active += 1
      isAttempt = true
      restart(at: now)
    }
    return active
  }

  /// After a job of more than one thread, of which `late` was spent waiting for tasks that took
  /// longer than they should.
  package mutating func jobEnded(at now: UInt64, late: UInt64) {
    lost += late
    let elapsed = now - min(now, windowStart)
    if lost * UInt64(active) > max(elapsed, Self.window) {
      leaveOneOut(at: now)
    } else if elapsed >= Self.window {
      if isAttempt {
        pause = Self.shortestPause
        attemptAt = now + pause
        isAttempt = false
      }
      restart(at: now)
    }
  }

  private mutating func leaveOneOut(at now: UInt64) {
    active = max(1, active - 1)
    isAttempt = false
    attemptAt = now + pause
    pause = min(2 * pause, Self.longestPause)
    restart(at: now)
  }

  private mutating func restart(at now: UInt64) {
    windowStart = now
    lost = 0
  }
}
