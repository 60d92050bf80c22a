import Foundation
import Synchronization
import TestSupport
import Testing
import WireProtocol
import WorkerCore
import WorkerDaemon
import WorkerEngine

/// A worker whose machine is a folder of files, driven through its control socket and its
/// preferences.
@Suite(.timeLimit(.minutes(5))) struct LimitTests {
  let place: TemporaryFolder
  let authority: TestAuthority
  let machine: FakeMachine

  init() throws {
    place = try TemporaryFolder()
    authority = try TestAuthority()
    machine = try FakeMachine(place.path("machine"))
  }

  func configuration(
    _ url: String, _ state: StubState
  ) async throws -> WorkerConfiguration {
    var configuration = WorkerConfiguration(dataFolder: place.path("w"))
    configuration.invitation = try await state.invitation(url, authority)
    configuration.graceSeconds = 5
    return configuration
  }

  /// Runs a worker without work, and waits for what its status becomes.
  func withIdleWorker(
    _ body: @escaping @Sendable (ControlSocket, StubState) async throws -> Void
  ) async throws {
    let (authority, place, machine) = (authority, place, machine)
    try await StubCoordinator.run(authority: authority) { url, state in
      try await withWorker(
        try await configuration(url, state), sensorRoot: machine.root
      ) { reports in
        try await reports.wait { $0.workerID != nil }
        try await body(ControlSocket(dataFolder: place.path("w")), state)
      }
    }
  }

  static func wait(
    _ socket: ControlSocket, until condition: (StatusDocument) -> Bool
  ) async throws -> StatusDocument {
    while true {
      if let status = try? await socket.status(), condition(status) { return status }
      try await Task.sleep(for: .milliseconds(20))
    }
  }

  @Test func theOwnerPausesAndResumes() async throws {
    try await withIdleWorker { socket, _ in
      _ = try await Self.wait(socket) { $0.mode == "preferences" && $0.paused_because.isEmpty }
      let paused = try await socket.pause(seconds: nil)
      #expect(paused.mode == "paused")
      #expect(paused.summary == "paused: by its owner, until resumed")
      let brief = try await socket.pause(seconds: 7200)
      #expect(brief.summary == "paused: by its owner, for 120 min more")
      let resumed = try await socket.resume(always: false)
      #expect(resumed.paused_because == [])
      #expect(try await socket.resume(always: true).mode == "always")
      await #expect(throws: ControlError.self) { try await socket.pause(seconds: 0) }
    }
  }

  @Test func aPauseOutlastsARestart() async throws {
    let (authority, machine, place) = (authority, machine, place)
    try await StubCoordinator.run(authority: authority) { url, state in
      let configuration = try await configuration(url, state)
      let socket = ControlSocket(dataFolder: place.path("w"))
      func started(_ body: @escaping @Sendable (StatusDocument) async throws -> Void) async throws {
        try await withWorker(configuration, sensorRoot: machine.root) { reports in
          try await reports.wait { $0.workerID != nil }
          try await body(try await Self.wait(socket) { _ in true })
        }
      }
      try await started { _ in _ = try await socket.pause(seconds: 3600) }
      try await started { status in
        #expect(status.mode == "paused")
        #expect(status.paused_because.first?.contains("60 min") == true)
        _ = try await socket.resume(always: false)
      }
      try await started { #expect($0.mode == "preferences") }
    }
  }

  /// A machine without a clock of its own begins in the past, until the network tells it the time.
  @Test func aStoredPauseEndsByTheCalendarAsItReadsNow() async throws {
    let (authority, machine, place) = (authority, machine, place)
    try await StubCoordinator.run(authority: authority) { url, state in
      let configuration = try await configuration(url, state)
      let socket = ControlSocket(dataFolder: place.path("w"))
      _ = try WorkerFolder(place.path("w"))
      let ended = Int(Date().timeIntervalSince1970) - 60
      try Data("{\"until\":\(ended)}".utf8)
        .write(to: URL(fileURLWithPath: place.path("w/paused.json")))
      let isRight = Mutex(false)
      var clock = WorkerClock.system()
      clock.unixSeconds = {
        Int(Date().timeIntervalSince1970) - (isRight.withLock { $0 } ? 0 : 400 * 86400)
      }
      try await withWorker(configuration, clock: clock, sensorRoot: machine.root) { _ in
        #expect(try await Self.wait(socket) { _ in true }.mode == "paused")
        isRight.withLock { $0 = true }
        _ = try await Self.wait(socket) { $0.mode == "preferences" }
      }
    }
  }

  @Test func editedPreferencesHoldWithinTwoSeconds() async throws {
    let place = place
    try await withIdleWorker { socket, _ in
      let before = try await Self.wait(socket) { _ in true }
      #expect(before.limits.cpu_percent == 100)
      let file = URL(fileURLWithPath: place.path("w/preferences.json"))
      try Data(#"{"cpu_percent": 30, "threads": 1, "hours": "never"}"#.utf8).write(to: file)
      let after = try await Self.wait(socket) { $0.limits.cpu_percent == 30 }
      #expect(after.limits.threads == 1)
      #expect(after.summary == "paused: outside its hours (never)")
      // A misspelt limit is named, and what held before goes on to hold.
      try Data(#"{"cpu_procent": 10}"#.utf8).write(to: file)
      let problem = try await Self.wait(socket) { $0.preferences_problem != nil }
      #expect(problem.preferences_problem?.contains("cpu_procent: no such setting") == true)
      #expect(problem.limits.cpu_percent == 30)
      var preferences = WorkerPreferences()
      preferences.cpuPercent = 70
      #expect(try await socket.replace(preferences).limits.cpu_percent == 70)
      preferences.cpuPercent = 700
      await #expect(throws: ControlError.self) { try await socket.replace(preferences) }
    }
  }

  @Test func theWeightOfItsOwnControlGroupIsHeldLive() async throws {
    let (place, machine) = (place, machine)
    let weight = machine.root + "/sys/fs/cgroup/worker.service/cpu.weight"
    @Sendable func stored() throws -> String { try String(contentsOfFile: weight, encoding: .utf8) }
    @Sendable func prefer(_ text: String) throws {
      try Data(text.utf8).write(to: URL(fileURLWithPath: place.path("w/preferences.json")))
    }
    try await withIdleWorker { socket, _ in
      try prefer(#"{"cgroup_weight": 20}"#)
      let none = try await Self.wait(socket) { $0.limits.cgroup_problem != nil }
      #expect(none.limits.cgroup_problem == "this system has no control groups of version 2")
      try machine.write("proc/self/cgroup", "0::/worker.service")
      try machine.write("sys/fs/cgroup/worker.service/cgroup.procs", "42\n43")
      try machine.write("sys/fs/cgroup/worker.service/cpu.weight", "100")
      let shared = try await Self.wait(socket) {
        $0.limits.cgroup_problem?.contains("other programs") == true
      }
      #expect(shared.limits.cgroup_weight == nil)
      #expect(try stored() == "100\n")
      try machine.write("sys/fs/cgroup/worker.service/cgroup.procs", "42")
      let held = try await Self.wait(socket) { $0.limits.cgroup_weight == 20 }
      #expect(held.limits.cgroup_problem == nil)
      #expect(try stored() == "20\n")
      try prefer(#"{"cgroup_weight": 7000}"#)
      _ = try await Self.wait(socket) { $0.limits.cgroup_weight == 7000 }
      #expect(try stored() == "7000\n")
      // What was there before comes back.
      try prefer("{}")
      _ = try await Self.wait(socket) { $0.limits.cgroup_weight == nil }
      #expect(try stored() == "100\n")
      try prefer(#"{"cgroup_weight": 0}"#)
      let wrong = try await Self.wait(socket) { $0.preferences_problem != nil }
      #expect(wrong.preferences_problem?.contains("0 is not between 1 and 10000") == true)
    }
  }

  @Test func aWorkerDoesNotStartWithPreferencesItCannotRead() async throws {
    let folder = place.path("w")
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try Data(#"{"threads": "many"}"#.utf8).write(
      to: URL(fileURLWithPath: folder + "/preferences.json"))
    await #expect { try await withIdleWorker { _, _ in } } throws: {
      "\($0)".contains("preferences.json: threads")
    }
  }

  @Test func finishingEndsTheWorker() async throws {
    let ended = Mutex(false)
    try await withIdleWorker { socket, _ in
      _ = try await Self.wait(socket) { _ in true }
      _ = try await socket.finish()
      while (try? await socket.status()) != nil { try await Task.sleep(for: .milliseconds(20)) }
      ended.withLock { $0 = true }
    }
    #expect(ended.withLock { $0 })
  }

  @Test func aUnitIsHeldWhereItIsAndGoesOn() async throws {
    let (authority, machine, place) = (authority, machine, place)
    let limits = Mutex<[ComputeLimit]>([])
    let mayEnd = Mutex(false)
    let runner = LimitedRunner(limits: { limit in limits.withLock { $0.append(limit) } }) {
      while !mayEnd.withLock({ $0 }) { usleep(1000) }
    }
    try await StubCoordinator.run(authority: authority) { url, state in
      let model = try await state.addModel(chunks: [Data("chunk".utf8)])
      try await state.addUnit(1, model: model, inputs: Data("inputs".utf8))
      try await withWorker(
        try await configuration(url, state), runner: runner, sensorRoot: machine.root
      ) { reports in
        try await reports.wait { $0.unit != nil }
        let socket = ControlSocket(dataFolder: place.path("w"))
        let paused = try await socket.pause(seconds: nil)
        #expect(paused.summary.hasSuffix("(a unit waits)"))
        #expect(limits.withLock { $0.last } == ComputeLimit(share: 0))
        _ = try await socket.resume(always: false)
        #expect(limits.withLock { $0.last } == ComputeLimit(share: 1))
        mayEnd.withLock { $0 = true }
        try await reports.wait { $0.unitsDone == 1 }
      }
      #expect(await state.uploads.count == 1)
    }
  }

  @Test func aUnitAboveTheMemoryLimitIsGivenBack() async throws {
    let (authority, machine) = (authority, machine)
    let released = Mutex(0)
    let runner = MemoryRunner(released: { released.withLock { $0 += 1 } })
    try await StubCoordinator.run(authority: authority) { url, state in
      let model = try await state.addModel(chunks: [Data("chunk".utf8)])
      let first = try await state.addUnit(1, model: model, inputs: Data("large".utf8))
      var configuration = try await configuration(url, state)
      configuration.memoryLimitBytes = 100 << 20
      try await withWorker(configuration, runner: runner, sensorRoot: machine.root) { reports in
        try await reports.wait { $0.unit != nil }
        try machine.write(
          "proc/self/status", "Name:\ttally\nRssAnon:\t  102401 kB\nRssFile:\t 9 kB")
        while await state.abandonments[first.id] == nil {
          try await Task.sleep(for: .milliseconds(20))
        }
        #expect(await state.abandonments[first.id]?.reason == .outOfMemory)
        #expect(released.withLock { $0 } > 0)
        try machine.write("proc/self/status", "RssAnon:\t  102400 kB")
        try await state.addUnit(2, model: model, inputs: Data("small".utf8))
        try await reports.wait { $0.unitsDone == 1 }
      }
    }
  }

  @Test func whoAsksAFolderWithoutWorkerIsToldSo() async throws {
    let socket = ControlSocket(dataFolder: place.path("nothing"))
    await #expect { _ = try await socket.status() } throws: {
      "\($0)".contains("no worker answers")
    }
  }
}

/// A runner that notes its limits.
private struct LimitedRunner: UnitRunning {
  let fake: FakeRunner
  let limits: @Sendable (ComputeLimit) -> Void

  init(
    limits: @escaping @Sendable (ComputeLimit) -> Void, during: @escaping @Sendable () -> Void
  ) {
    fake = FakeRunner { _ in during() }
    self.limits = limits
  }

  func chunks(ofManifest manifest: Data, part: UnitPart?) throws -> [BlobReference] {
    try fake.chunks(ofManifest: manifest, part: part)
  }

  func run(_ task: UnitTask) throws -> UnitOutcome { try fake.run(task) }

  func limit(_ limit: ComputeLimit) { limits(limit) }
}

/// A runner whose units with the inputs "large" run until they are told to stop.
private struct MemoryRunner: UnitRunning {
  let fake = FakeRunner { task in
    guard task.inputs == Data("large".utf8) else { return }
    while !task.isCancelled() { usleep(1000) }
    throw UnitFailure.cancelled
  }
  let released: @Sendable () -> Void

  func chunks(ofManifest manifest: Data, part: UnitPart?) throws -> [BlobReference] {
    try fake.chunks(ofManifest: manifest, part: part)
  }

  func run(_ task: UnitTask) throws -> UnitOutcome { try fake.run(task) }

  func releaseMemory() { released() }
}
