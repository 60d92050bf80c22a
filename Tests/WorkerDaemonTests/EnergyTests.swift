import Foundation
import Logging
import Synchronization
import TestSupport
import Testing
import WirePayloads
import WireProtocol
import WorkerCore
import WorkerDaemon
import WorkerEngine

/// Energy, on a machine that is a folder of files.
@Suite(.timeLimit(.minutes(5))) struct EnergyTests {
  let place: TemporaryFolder
  let machine: FakeMachine

  init() throws {
    place = try TemporaryFolder()
    machine = try FakeMachine(place.path("machine"))
  }

  /// Time that the test sets.
  private final class TestTime: Sendable {
    let seconds = Mutex(0)

    var clock: WorkerClock {
      WorkerClock(
        now: { Moment(.seconds(self.seconds.withLock { $0 })) },
        sleep: { _ in throw CancellationError() },
        unixSeconds: { 1_800_000_000 + self.seconds.withLock { $0 } })
    }
  }

  private func counters(_ package: UInt64, core: UInt64 = 1) throws {
    for (zone, name, energy) in [
      ("intel-rapl:0", "package-0", package), ("intel-rapl:0:0", "core", core),
    ] {
      try machine.write("sys/class/powercap/\(zone)/name", name)
      try machine.write("sys/class/powercap/\(zone)/energy_uj", "\(energy)")
      try machine.write("sys/class/powercap/\(zone)/max_energy_range_uj", "262143328850")
    }
  }

  /// Seconds of processor time since the start, of all programs and of the worker.
  private func processors(busy: Int, own: Int) throws {
    try machine.write("proc/stat", FakeMachine.processors(busy: busy * 100, idle: 0))
    try machine.write("proc/self/stat", FakeMachine.process(user: own * 100, system: 0))
  }

  private func recorder(_ time: TestTime) throws -> EnergyRecorder {
    var logger = Logger(label: "energy")
    logger.logLevel = .critical
    return EnergyRecorder(
      folder: try WorkerFolder(place.path("w")), sensors: EnergySensors(root: machine.root),
      clock: time.clock, logger: logger)
  }

  @Test func aUnitHasItsShareOfWhatTheCountersShow() throws {
    let time = TestTime()
    let recorder = try recorder(time)
    try counters(5_000_000)
    // Before a unit runs nothing is counted.
    try processors(busy: 100, own: 10)
    recorder.tick(wattsPerCore: 6)
    #expect(recorder.state.total == EnergyUse() && recorder.state.watts == nil)
    recorder.begin(lease: "a")
    try counters(45_000_000)
    try processors(busy: 104, own: 13)
    time.seconds.withLock { $0 = 2 }
    recorder.tick(wattsPerCore: 6)
    #expect(recorder.state.unit == EnergyUse(joules: 30))
    #expect(recorder.state.watts == 15 && recorder.state.isEstimating == false)
    #expect(recorder.end(lease: "a") == EnergyUse(joules: 30))
    #expect(recorder.state.unit == nil && recorder.state.watts == nil)
    // Nor what lies between two units.
    try counters(95_000_000)
    try processors(busy: 200, own: 20)
    recorder.begin(lease: "b")
    #expect(recorder.end(lease: "b") == EnergyUse())
    #expect(recorder.state.today == EnergyUse(joules: 30))
  }

  @Test func withoutCountersItIsAnEstimateThatOutlastsRestarts() throws {
    let time = TestTime()
    for run in 1...2 {
      let recorder = try recorder(time)
      recorder.begin(lease: "a")
      try processors(busy: 200 * run, own: 2 * run)
      time.seconds.withLock { $0 += 30 }
      recorder.tick(wattsPerCore: 10)
      // A run that is killed here has lost nothing; the unit goes on where it was.
      let joules = Double(20 * run)
      #expect(recorder.state.unit == EnergyUse(joules: joules, estimatedJoules: joules))
      #expect(recorder.state.total.joules == joules && recorder.state.isEstimating == true)
    }
    time.seconds.withLock { $0 += 86_400 }
    var later = try recorder(time)
    #expect(later.state.total.joules == 40 && later.state.today == EnergyUse())
    // What cannot be read costs the count and nothing else.
    try Data("{".utf8).write(to: URL(fileURLWithPath: place.path("w/energy.json")))
    later = try recorder(time)
    #expect(later.state.total == EnergyUse())
  }

  @Test func theDoctorTellsWhatCanBeRead() throws {
    let sensors = EnergySensors(root: machine.root)
    #expect(sensors.access == .absent)
    try counters(1)
    let path = machine.root + "/sys/class/powercap/intel-rapl:0/energy_uj"
    try FileManager.default.setAttributes([.posixPermissions: 0o444], ofItemAtPath: path)
    #expect(sensors.access == .readable(["package-0"]))
    try FileManager.default.setAttributes([.posixPermissions: 0o400], ofItemAtPath: path)
    let names = ["package-0"]
    let asked: EnergySensors.Access =
      geteuid() == 0 ? .readableByRootAlone(names) : .denied
    #expect(sensors.access == asked)
    for zone in ["intel-rapl:0", "intel-rapl:0:0"] {
      try FileManager.default.removeItem(
        atPath: machine.root + "/sys/class/powercap/\(zone)/energy_uj")
    }
    #expect(sensors.access == .denied)
  }

  @Test func theOwnerSeesItAndTheResultCarriesIt() async throws {
    let (place, machine, authority) = (place, machine, try TestAuthority())
    try await StubCoordinator.run(authority: authority) { url, state in
      let model = try await state.addModel(chunks: [Data("chunk".utf8)])
      try await state.addUnit(1, model: model, inputs: Data("inputs".utf8))
      var configuration = WorkerConfiguration(dataFolder: place.path("w"))
      configuration.invitation = try await state.invitation(url, authority)
      let runner = FakeRunner { _ in
        // Its own time last, and all at once: a look between finds nothing of the worker's.
        try machine.write("proc/self/stat", FakeMachine.process(user: 150, system: 50))
      }
      try await withWorker(configuration, runner: runner, sensorRoot: machine.root) { reports in
        try await reports.wait { $0.unitsDone == 1 }
        let socket = ControlSocket(dataFolder: place.path("w"))
        let status = try await StatusTests.status(socket) { $0.unit == nil }
        let energy = try #require(status.energy)
        #expect(energy.method == .estimated && energy.watts_per_core == 6)
        #expect(energy.total_joules == 12)
        #expect(energy.total_estimated_joules == 12)
        #expect(energy.today_joules == 12)
        #expect(energy.watts == nil)
        #expect(energy.unit_joules == nil)
        let upload = try #require(await state.uploads.first)
        #expect(upload.energy == "12.000" && upload.energyMethod == "estimated")
      }
      let text = try String(
        contentsOf: URL(fileURLWithPath: place.path("w/energy.json")), encoding: .utf8)
      #expect(text.contains("12"))
    }
  }
}
