/// What processors did since the machine's start, in clock ticks: proc_stat(5) and
/// proc_pid_stat(5).
package struct ProcessorTimes: Sendable {
  package var processors: Double
  package var total: Double
  package var busy: Double
  /// Of `busy`, for this process.
  package var own: Double { process.user + process.system }
  /// Other processes that give way; nil where nobody looked.
  package var yielding: YieldingProcesses?
  /// This process.
  package let process: ProcessTimes
  /// Of `busy`, in user mode for niced programs.
  private var niced: Double
  /// Of `own`, the part that belongs to `niced`.
  private var ownNiced: Double { process.isNiced ? process.user : 0 }

  /// - Parameters:
  ///   - machine: the text of `/proc/stat`.
  ///   - process: that of `/proc/self/stat`.
  package init?(machine: String, process: String) {
    let lines = machine.split(separator: "\n").filter { $0.hasPrefix("cpu") }
    guard let line = lines.first, line.hasPrefix("cpu ") else { return nil }
    let ticks = line.split(separator: " ").dropFirst().prefix(8).map { Double($0) ?? 0 }
    guard ticks.count >= 5, let process = ProcessTimes(Array(process.utf8)) else { return nil }
    // Not busy: idle, waiting for a disk, and what another virtual machine took.
    let idle = ticks[3] + ticks[4] + (ticks.count > 7 ? ticks[7] : 0)
    processors = Double(max(1, lines.count - 1))
    total = ticks.reduce(0, +)
    busy = total - idle
    niced = ticks[1]
    self.process = process
  }

  /// Time since `before` for other programs of normal priority, 0 or more. What gives way, as other
  /// volunteers' programs and other workers do, takes nothing from people.
  package func others(since before: ProcessorTimes) -> Double {
    let ownNiced = ownNiced - before.ownNiced
    var (nicedUser, rest) = (0.0, 0.0)
    if let yielding, let earlier = before.yielding {
      (nicedUser, rest) = yielding.ticks(since: earlier)
    }
    // Some containers show niced time as any other: that of each process is known nevertheless.
    let niced = max(niced - before.niced, ownNiced + nicedUser)
    let own = own - before.own - ownNiced
    return max(0, busy - before.busy - niced - own - rest)
  }
}
