import Foundation

/// How much of the machine this process may use: all of it, or what its affinity and the control
/// groups around it leave. Whatever asks for threads or memory of "the machine" means this.
package struct MachineLimits: Hashable, Sendable {
  /// What limits a process to less than the machine has.
  package enum Origin: String, Hashable, Sendable {
    case affinity = "processors allowed to this process"
    case groupProcessors = "control group's processors"
    case groupQuota = "control group's quota"
    case groupMemory = "control group's limit"
  }

  /// Threads that can run at one time; a part of a processor counts as one. At least 1.
  package var threads: Int
  /// Nil: the machine has no more.
  package var threadsOrigin: Origin?
  /// In bytes.
  package var memoryBytes: Int
  /// Nil: the machine has no more.
  package var memoryOrigin: Origin?

  /// What holds now: containers' limits can be changed while programs run in them.
  ///
  /// - Parameter root: before the path of every system file; empty but in tests.
  package init(root: String = "") {
    let files = SystemFiles(root: root)
    let groups = ControlGroups(files)
    let online = files.text("/sys/devices/system/cpu/online").flatMap(ProcessorList.processors)
    threads = online?.count ?? ProcessInfo.processInfo.activeProcessorCount
    // Processors that are not there, as virtual machines may get them later, can be allowed too.
    func present(_ processors: Set<Int>?) -> Int? {
      processors.map { $0.intersection(online ?? $0).count }
    }
    // Whole threads: half a processor is one, which has to wait half of the time.
    let quota = groups.processorQuota.map { Int(min($0, 1e6).rounded(.up)) }
    let counts: [(Int?, Origin)] =
      groups.processorSets.map { (present($0), .groupProcessors) }
      + [(present(Self.affinity(files)), .affinity), (quota, .groupQuota)]
    for case (let count?, let origin) in counts where max(1, count) < threads {
      (threads, threadsOrigin) = (max(1, count), origin)
    }
    memoryBytes = files.memory("MemTotal") ?? Int(clamping: ProcessInfo.processInfo.physicalMemory)
    if let limit = groups.memoryBytes, limit < memoryBytes {
      (memoryBytes, memoryOrigin) = (limit, .groupMemory)
    }
  }

  /// Processors on which this process may run, as sched_getaffinity(2) says: proc_pid_status(5).
  private static func affinity(_ files: SystemFiles) -> Set<Int>? {
    let name = "Cpus_allowed_list:"
    let line = files.text("/proc/self/status")?.split(separator: "\n").first { $0.hasPrefix(name) }
    return line.flatMap { ProcessorList.processors(String($0.dropFirst(name.count))) }
  }
}
