import Foundation

/// What this process asks of the system's scheduler.
enum ProcessPriority {
  /// SCHED_IDLE (sched(7)), which Swift's Glibc does not import.
  private static let idlePolicy: Int32 = 5

  /// At `nice 19`, the lowest, says the same in the words that Linux heeds.
  ///
  /// Threads that sleep and wake thousands of times a second, as threads that share out small tasks
  /// do, get up to a quarter of a busy core at `nice 19` (measured on Linux 6.18): each waking counts
  /// as new. Under SCHED_IDLE they get what is left over. And where the system groups processes by
  /// session (sched_autogroup), niceness counts within a session only: one that leads its session
  /// lowers the session too. What the system refuses stays as it is: all this is a courtesy.
  static func giveWayIfNice() {
    guard getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0) == 19 else { return }
    var parameter = sched_param()
    parameter.sched_priority = 0
    _ = sched_setscheduler(0, idlePolicy, &parameter)
    if getsid(0) == getpid() {
      try? Data("19".utf8).write(to: URL(fileURLWithPath: "/proc/self/autogroup"))
    }
  }
}
