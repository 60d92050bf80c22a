import Foundation
import TestSupport
import Testing
import WorkerDaemon

/// Whose processor time counts as people's, from a folder of made files.
@Suite struct ProcessorTimesTests {
  private let folder: TemporaryFolder
  private let machine: FakeMachine

  init() throws {
    folder = try TemporaryFolder()
    machine = try FakeMachine(folder.url.path)
    try process(1, "init", user: 0)
    try FileManager.default.createDirectory(
      at: folder.url.appendingPathComponent("proc/sys"), withIntermediateDirectories: true)
  }

  /// proc_pid_stat(5): fields 3 to 41.
  private func stat(
    _ number: Int, _ name: String, user: Int, system: Int = 0, niceness: Int = 0, policy: Int = 0,
    started: Int = 77
  ) -> String {
    let middle = (23...40).map { "\($0)" }.joined(separator: " ")
    return "\(number) (\(name)) S 1 2 3 4 5 6 7 8 9 10 \(user) \(system) 0 0 20 \(niceness) 3 0 "
      + "\(started) \(middle) \(policy) 0 0"
  }

  private func process(
    _ number: Int, _ name: String, _ words: [String] = [], user: Int, system: Int = 0,
    niceness: Int = 0, policy: Int = 0, started: Int = 77
  ) throws {
    try machine.write(
      "proc/\(number)/stat",
      stat(
        number, name, user: user, system: system, niceness: niceness, policy: policy,
        started: started))
    try machine.write("proc/\(number)/cmdline", words.map { $0 + "\0" }.joined())
  }

  private func times(busy: Int, niced: Int = 0, own: String? = nil) throws -> ProcessorTimes {
    let own = own ?? stat(42, "tally", user: 0)
    try machine.write("proc/42/stat", own)
    let machine = "cpu  \(1000 + busy) \(niced) 0 5000 0 0 0 0 0 0\ncpu0 1 2 3"
    var times = try #require(ProcessorTimes(machine: machine, process: own))
    times.yielding = YieldingProcesses(root: self.machine.root, own: times.process)
    return times
  }

  /// What others took since, of 100 ticks.
  private func others(
    before: (ProcessorTimesTests) throws -> Void, after: (ProcessorTimesTests) throws -> Void,
    niced: Int = 0
  ) throws -> Double {
    try before(self)
    let earlier = try times(busy: 0)
    try after(self)
    return try times(busy: 100, niced: niced).others(since: earlier)
  }

  @Test func whatPeopleRunCounts() throws {
    let ticks = try others(
      before: { try $0.process(7, "cc", user: 10, system: 5) },
      after: { try $0.process(7, "cc", user: 90, system: 25) })
    #expect(ticks == 100)
  }

  @Test func aProgramOfTheIdlePolicyGivesWayAtNiceZero() throws {
    let ticks = try others(
      before: { try $0.process(7, "x ) (y", user: 1000, system: 500, policy: 5) },
      after: { try $0.process(7, "x ) (y", user: 1050, system: 520, policy: 5) })
    #expect(ticks == 30)
  }

  /// SCHED_BATCH is people's: it means longer turns, no less of them.
  @Test func theBatchPolicyIsPeoples() throws {
    let ticks = try others(
      before: { try $0.process(7, "x", user: 1000, policy: 3) },
      after: { try $0.process(7, "x", user: 1070, policy: 3) })
    #expect(ticks == 100)
  }

  /// The kernel counts their user time as niced, their system time with everybody's.
  @Test(arguments: [0, 5])
  func systemTimeOfNicedProgramsGivesWayToo(policy: Int) throws {
    let ticks = try others(
      before: { try $0.process(7, "x", user: 100, system: 10, niceness: 10, policy: policy) },
      after: { try $0.process(7, "x", user: 140, system: 40, niceness: 10, policy: policy) },
      niced: 40)
    // 140 busy, 40 of it niced and 30 in the kernel.
    #expect(ticks == 70)
  }

  @Test func nicedTimeIsKnownWhereTheMachineDoesNotShowIt() throws {
    let ticks = try others(
      before: { try $0.process(7, "x", user: 100, system: 10, niceness: 10) },
      after: { try $0.process(7, "x", user: 140, system: 40, niceness: 10) })
    #expect(ticks == 30)
  }

  @Test func otherWorkersAreNobodyWhateverTheirPriority() throws {
    let words = ["/usr/bin/tally", "worker", "run", "--nice", "0"]
    let ticks = try others(
      before: { try $0.process(7, "tally", words, user: 100, system: 10) },
      after: { try $0.process(7, "tally", words, user: 160, system: 20) })
    #expect(ticks == 30)
    // What a person runs with the same program, and what only looks like a worker.
    for (name, words) in [
      ("tally", ["tally", "generate", "worker", "run"]), ("tally", ["tally", "worker"]),
      ("tally", []),
      ("other", words),
    ] {
      let ticks = try others(
        before: { try $0.process(7, name, words, user: 100, system: 10) },
        after: { try $0.process(7, name, words, user: 160, system: 20) })
      #expect(ticks == 100, "\(name) \(words)")
    }
  }

  @Test func processesThatEndOrBeginAreNoNegativeTime() throws {
    // The first one ends, and its number is given to another; one begins; one goes for good.
    let ticks = try others(
      before: {
        try $0.process(7, "x", user: 9000, system: 9000, policy: 5, started: 1)
        try $0.process(8, "y", user: 5000, policy: 5)
      },
      after: {
        try $0.process(7, "x", user: 20, system: 5, policy: 5, started: 2)
        try $0.process(9, "z", user: 15, policy: 5)
        try FileManager.default.removeItem(atPath: $0.machine.root + "/proc/8")
      })
    #expect(ticks == 60)
    // More than the machine was busy, as counters of other resolutions may say.
    let none = try others(
      before: { try $0.process(7, "x", user: 0, policy: 5) },
      after: { try $0.process(7, "x", user: 500, policy: 5) })
    #expect(none == 0)
  }

  @Test func whatCannotBeReadIsLeftOut() throws {
    let ticks = try others(
      before: { _ in },
      after: {
        try $0.machine.write("proc/7/stat", "7 (x")
        try $0.machine.write("proc/8/cmdline", "x")
        try $0.process(9, "z", user: 15, policy: 5)
      })
    #expect(ticks == 85)
  }

  @Test func itsOwnTimeIsTakenOnce() throws {
    let before = try times(busy: 0, own: stat(42, "tally", user: 0, policy: 5))
    let after = try times(
      busy: 100, own: stat(42, "tally", user: 30, system: 10, policy: 5))
    #expect(after.others(since: before) == 60)
  }

  @Test func withoutALookAtProcessesTheMachineAloneTells() throws {
    var before = try times(busy: 0)
    before.yielding = nil
    try process(7, "x", user: 70, policy: 5)
    #expect(try times(busy: 100).others(since: before) == 100)
  }
}
