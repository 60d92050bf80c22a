import Foundation

/// What processors did since the machine's start, in clock ticks: proc_stat(5) and proc_pid_stat(5).
struct ProcessorTimes: Sendable {
  var processors: Double
  var total: Double
  var busy: Double
  /// Of `busy`, for this process.
  var own: Double
  /// Of `busy`, in user mode for niced programs.
  private var niced: Double
  /// Of `own`, the part that belongs to `niced`.
  private var ownNiced: Double

  /// - Parameters:
  ///   - machine: the text of `/proc/stat`.
  ///   - process: that of `/proc/self/stat`.
  init?(machine: String, process: String) {
    let lines = machine.split(separator: "\n").filter { $0.hasPrefix("cpu") }
    guard let line = lines.first, line.hasPrefix("cpu ") else { return nil }
    let ticks = line.split(separator: " ").dropFirst().prefix(8).map { Double($0) ?? 0 }
    guard ticks.count >= 5 else { return nil }
    // Not busy: idle, waiting for a disk, and what another virtual machine took.
    let idle = ticks[3] + ticks[4] + (ticks.count > 7 ? ticks[7] : 0)
    // The command's name may hold anything, parentheses too; then come fields 3 and on.
    guard let close = process.lastIndex(of: ")") else { return nil }
    let fields = process[process.index(after: close)...].split(separator: " ")
    guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else {
      return nil
    }
    processors = Double(max(1, lines.count - 1))
    total = ticks.reduce(0, +)
    busy = total - idle
    own = user + system
    niced = ticks[1]
    let isNiced = fields.count > 16 && (Int(fields[16]) ?? 0) > 0
    ownNiced = isNiced ? user : 0
  }

  /// Time since `before` for other programs of normal priority. What gives way by its niceness, as
  /// other volunteers' programs and other workers do, takes nothing from people.
  func others(since before: ProcessorTimes) -> Double {
    // Some containers show niced time as any other: the own part is known nevertheless.
    let niced = max(niced - before.niced, ownNiced - before.ownNiced)
    let own = (own - ownNiced) - (before.own - before.ownNiced)
    return busy - before.busy - niced - own
  }
}
