import Foundation
import Glibc

/// One process in proc_pid_stat(5): how long it computed, and how it is scheduled.
package struct ProcessTimes: Hashable, Sendable {
  /// A process's number is given again to another one; with the time of the start it is unique.
  package struct Identity: Hashable, Sendable {
    package var number: Int
    /// In clock ticks since the machine's start; 0 where the kernel does not say.
    package var started: Int
  }

  package var identity: Identity
  /// Its command's name as the kernel keeps it: up to 15 bytes, which may be anything.
  package var name: [UInt8]
  /// In clock ticks, of all its threads, as `system` is.
  package var user: Double
  package var system: Double
  /// Whether it has a niceness above 0, so that the kernel counts its user time as niced.
  package var isNiced: Bool
  /// Whether it is scheduled as SCHED_IDLE: sched(7).
  package var isIdle: Bool

  private static let idlePolicy = 5

  /// - Parameter text: of `/proc/PID/stat`. Nil for what is none.
  package init?(_ text: [UInt8]) {
    // The command's name may hold anything, parentheses too; then come fields 3 and on.
    guard let open = text.firstIndex(of: UInt8(ascii: "(")),
      let close = text.lastIndex(of: UInt8(ascii: ")")), open < close
    else { return nil }
    func word(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }
    let fields = text[(close + 1)...].split(maxSplits: 40, omittingEmptySubsequences: true) {
      $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\n")
    }
    func number(_ index: Int) -> Int? { index < fields.count ? Int(word(fields[index])) : nil }
    guard fields.count > 12, let user = Double(word(fields[11])),
      let system = Double(word(fields[12]))
    else { return nil }
    identity = Identity(
      number: Int(word(text[..<open]).trimmingCharacters(in: .whitespaces)) ?? 0,
      started: number(19) ?? 0)
    name = Array(text[(open + 1)..<close])
    (self.user, self.system) = (user, system)
    isNiced = (number(16) ?? 0) > 0
    isIdle = number(38) == Self.idlePolicy
  }
}

/// Other processes that take nothing from people: those that give way by their scheduling, and
/// other workers of this program, whatever their priority.
package struct YieldingProcesses: Sendable {
  /// As they are now.
  package private(set) var now: [ProcessTimes.Identity: ProcessTimes] = [:]
  /// Every process that could be read, also those that take from people.
  private var all: [ProcessTimes.Identity: ProcessTimes] = [:]

  /// On a machine with more processes nobody looks at them: it would take too long each second.
  private static let mostProcesses = 4096

  /// Reads all of `/proc` once. What cannot be read, as it belongs to others or has just ended, is
  /// left out.
  ///
  /// - Parameters:
  ///   - root: before the path of every system file; empty but in tests.
  ///   - own: this process, which is left out.
  package init?(root: String, own: ProcessTimes) {
    let folder = root + "/proc"
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    let numbers = names.compactMap { Int($0) }
    guard !numbers.isEmpty, numbers.count <= Self.mostProcesses else { return nil }
    for number in numbers where number != own.identity.number {
      guard let text = Self.bytes("\(folder)/\(number)/stat"), let process = ProcessTimes(text)
      else { continue }
      all[process.identity] = process
      let isWorker =
        process.name == own.name && Self.isWorker(Self.bytes("\(folder)/\(number)/cmdline") ?? [])
      if process.isNiced || process.isIdle || isWorker { now[process.identity] = process }
    }
  }

  /// Whether a command line is `PROGRAM worker run …`: proc_pid_cmdline(5).
  private static func isWorker(_ commandLine: [UInt8]) -> Bool {
    let words = commandLine.split(separator: 0, maxSplits: 3, omittingEmptySubsequences: false)
    return words.count > 2 && words[1].elementsEqual("worker".utf8)
      && words[2].elementsEqual("run".utf8)
  }

  /// Clock ticks since `before`, of the processes that there are now: of niced ones in user mode,
  /// which the kernel also counts together, and of all the rest. A process that began after
  /// `before` counts from its start; one that ended is not known any more.
  package func ticks(since before: YieldingProcesses) -> (nicedUser: Double, rest: Double) {
    var (nicedUser, rest) = (0.0, 0.0)
    for (identity, process) in now {
      let earlier = before.all[identity]
      let user = max(0, process.user - (earlier?.user ?? 0))
      let system = max(0, process.system - (earlier?.system ?? 0))
      if process.isNiced {
        (nicedUser, rest) = (nicedUser + user, rest + system)
      } else {
        rest += user + system
      }
    }
    return (nicedUser, rest)
  }

  /// The beginning of a small file; plain calls, since there are hundreds a second.
  private static func bytes(_ path: String) -> [UInt8]? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    let bytes = [UInt8](unsafeUninitializedCapacity: 2048) { buffer, count in
      count = max(0, read(file, buffer.baseAddress, buffer.count))
    }
    return bytes.isEmpty ? nil : bytes
  }
}
