import Foundation

/// What this process asks of the system's scheduler.
enum ProcessPriority {
  /// SCHED_IDLE (sched(7)), which Swift's Glibc does not import.
  private static let idlePolicy: Int32 = 5

  /// Lowers the priority of the whole process, never raises it. Linux keeps one for each thread,
  /// and new threads have that of the one which starts them.
  static func lower(to niceness: Int) {
    let which = __priority_which_t(PRIO_PROCESS.rawValue)
    guard niceness > Int(getpriority(which, 0)) else { return }
    // libdispatch wants its threads' priority back, and would complain of each that stays as it is.
    setenv("LIBDISPATCH_LOG", "NO", 0)
    for thread in threads { setpriority(which, thread, Int32(niceness)) }
    giveWayIfNice()
  }

  private static var threads: [id_t] {
    let names = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")
    return (names ?? []).compactMap { id_t($0) }
  }

  private static func giveWay(_ thread: id_t) {
    var parameter = sched_param()
    parameter.sched_priority = 0
    _ = sched_setscheduler(pid_t(thread), idlePolicy, &parameter)
  }

  /// At `nice 19`, the lowest, says the same in the words that Linux heeds.
  ///
  /// Threads that sleep and wake thousands of times a second, as threads that share out small tasks
  /// do, get up to a quarter of a busy core at `nice 19` (measured on Linux 6.18): each waking
  /// counts as new. Under SCHED_IDLE they get what is left over. And where the system groups
  /// processes by session (sched_autogroup), niceness counts within a session only: one that leads
  /// its session lowers the session too. What the system refuses stays as it is: all this is a
  /// courtesy.
  static func giveWayIfNice() {
    guard getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0) == 19 else { return }
    for thread in threads { giveWay(thread) }
    if getsid(0) == getpid() {
      try? Data("19".utf8).write(to: URL(fileURLWithPath: "/proc/self/autogroup"))
    }
  }
}
