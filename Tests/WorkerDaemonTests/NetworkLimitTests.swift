import Foundation
import TestSupport
import Testing
import WireProtocol
import WorkerCore
import WorkerDaemon

/// What the owner allows of the network, measured on real connections.
@Suite(.serialized, .timeLimit(.minutes(5))) struct NetworkLimitTests {
  let place: TemporaryFolder
  let authority: TestAuthority

  init() throws {
    place = try TemporaryFolder()
    authority = try TestAuthority()
  }

  private var socket: ControlSocket { ControlSocket(dataFolder: place.path("w")) }

  /// Writes the preferences' file, as an owner might.
  private func prefer(_ text: String) throws {
    let file = URL(fileURLWithPath: place.path("w/preferences.json"))
    try FileManager.default.createDirectory(
      at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: file, options: .atomic)
  }

  /// Runs a worker on the folder.
  private func work(
    _ url: String, _ state: StubState,
    _ body: @escaping @Sendable (Observations) async throws -> Void
  ) async throws {
    var configuration = WorkerConfiguration(dataFolder: place.path("w"))
    configuration.invitation = try await state.invitation(url, authority)
    configuration.graceSeconds = 1
    try await withWorker(configuration, body)
  }

  private func status(
    until condition: (StatusDocument) -> Bool
  ) async throws -> StatusDocument {
    while true {
      if let status = try? await socket.status(), condition(status) { return status }
      try await Task.sleep(for: .milliseconds(20))
    }
  }

  private static func seconds(since start: ContinuousClock.Instant) -> Double {
    start.duration(to: .now).inSeconds
  }

  /// Counts by how much later than asked a task wakes, in seconds, until it is cancelled: what a
  /// busy machine adds to every wait, and by how much a test sees a beginning too late.
  private static func countStalls() -> Task<Double, Never> {
    Task {
      var late = 0.0
      while !Task.isCancelled {
        let start = ContinuousClock.now
        try? await Task.sleep(for: .milliseconds(10))
        late += max(0, seconds(since: start) - 0.012)
      }
      return late
    }
  }

  @Test func parallelDownloadsKeepToOneRate() async throws {
    let this = self
    try prefer(#"{"download_kilobytes_per_second": 400}"#)
    try await StubCoordinator.run(authority: authority) { url, state in
      var random = SeededRandom(seed: 1)
      let chunks = (0..<4).map { _ in Data(random.bytes(500_000)) }
      let model = try await state.addModel(chunks: chunks)
      try await state.addUnit(1, model: model, inputs: Data("inputs".utf8))
      try await this.work(url, state) { reports in
        let stalls = Self.countStalls()
        try await reports.wait { $0.summary.hasPrefix("fetching") }
        let start = ContinuousClock.now
        try await reports.wait { $0.summary.hasPrefix("running") || $0.unitsDone == 1 }
        let seconds = Self.seconds(since: start)
        stalls.cancel()
        let late = await stalls.value
        #expect(
          (4.5 - late...5.5 + late).contains(seconds),
          "2 MB at 400 kB/s took \(seconds) s, \(late) s late")
        let network = try await this.status { $0.network != nil }.network
        #expect(network.map { (2_000_000...2_010_000).contains($0.month_bytes) } == true)
      }
    }
  }

  @Test func aNewRateHoldsForTheDownloadUnderWay() async throws {
    let this = self
    try prefer(#"{"download_kilobytes_per_second": 50}"#)
    try await StubCoordinator.run(authority: authority) { url, state in
      var random = SeededRandom(seed: 2)
      let model = try await state.addModel(chunks: [Data(random.bytes(3_000_000))])
      try await state.addUnit(1, model: model, inputs: Data("inputs".utf8))
      try await this.work(url, state) { reports in
        _ = try await this.status { ($0.network?.month_bytes ?? 0) > 50_000 }
        try this.prefer(#"{"monthly_megabytes": 5}"#)
        let start = ContinuousClock.now
        try await reports.wait { $0.unitsDone == 1 }
        // It would have been a minute, and the machine may be busy.
        #expect(Self.seconds(since: start) < 20)
      }
    }
  }

  @Test func uploadsKeepToTheirRate() async throws {
    let this = self
    try prefer(#"{"upload_kilobytes_per_second": 200}"#)
    try await StubCoordinator.run(authority: authority) { url, state in
      var random = SeededRandom(seed: 3)
      let inputs = Data(random.bytes(600_000))
      let model = try await state.addModel(chunks: [Data("chunk".utf8)])
      try await state.addUnit(1, model: model, inputs: inputs)
      try await this.work(url, state) { reports in
        let stalls = Self.countStalls()
        try await reports.wait { $0.waitingResults == 1 }
        let start = ContinuousClock.now
        try await reports.wait { $0.unitsDone == 1 }
        let seconds = Self.seconds(since: start)
        stalls.cancel()
        let late = await stalls.value
        // Three seconds, less what an idle stream has saved up (`TokenBucket`).
        #expect(
          (2.6 - late...3.4 + late).contains(seconds),
          "0.6 MB at 200 kB/s took \(seconds) s, \(late) s late")
      }
      #expect(await state.uploads.first?.result == Data(inputs.reversed()))
    }
  }

  @Test func theMonthsVolumeHoldsOverRestartsAndLosesNothing() async throws {
    let this = self
    let words = "network volume of this month is used up: 2 of 2 MB"
    try prefer(#"{"monthly_megabytes": 2}"#)
    try await StubCoordinator.run(authority: authority) { url, state in
      var random = SeededRandom(seed: 4)
      let model = try await state.addModel(chunks: [Data("chunk".utf8)])
      // The first unit's result does not fit beside its inputs, nor do the second's inputs.
      for number in 1...2 {
        try await state.addUnit(number, model: model, inputs: Data(random.bytes(1_200_000)))
      }
      try await this.work(url, state) { _ in
        let status = try await this.status {
          $0.network?.paused_because.isEmpty == false && $0.waiting_results == 1
        }
        #expect(status.network?.paused_because == [words])
        #expect(status.summary == "no transfers: " + words)
        #expect(status.paused_because == [])
        // One piece of each connection at most beyond the limit.
        #expect((status.network?.month_bytes ?? .max) < 2_300_000)
      }
      #expect(await state.uploads.isEmpty)
      let asked = await state.leaseRequests.count
      try await this.work(url, state) { reports in
        try await reports.wait { $0.workerID != nil }
        _ = try await this.status {
          $0.network?.paused_because == [words] && $0.waiting_results == 1
        }
        #expect(await state.leaseRequests.count == asked)
        // The second unit went back at the end of the first run.
        try await state.addUnit(3, model: model, inputs: Data("more".utf8))
        try this.prefer(#"{"monthly_megabytes": 20}"#)
        try await reports.wait { $0.unitsDone == 2 }
      }
      #expect(await state.uploads.count == 2)
    }
  }

  @Test func outsideItsNetworkHoursAWorkerAsksForNothing() async throws {
    let this = self
    try prefer(#"{"network_hours": "never"}"#)
    try await StubCoordinator.run(authority: authority) { url, state in
      try await this.work(url, state) { reports in
        try await reports.wait { $0.workerID != nil }
        let status = try await this.status { $0.network?.paused_because.isEmpty == false }
        #expect(status.summary == "no transfers: outside its network hours (never)")
        #expect(await state.leaseRequests.isEmpty)
        try this.prefer(#"{"network_hours": "always"}"#)
        while await state.leaseRequests.isEmpty { try await Task.sleep(for: .milliseconds(20)) }
      }
    }
  }

  @Test func aCountThatCannotBeReadIsNoReasonToForgetIt() async throws {
    let this = self
    try prefer("{}")
    try Data(#"{"April": 5}"#.utf8).write(to: URL(fileURLWithPath: place.path("w/traffic.json")))
    await #expect {
      try await StubCoordinator.run(authority: authority) { url, state in
        try await this.work(url, state) { _ in }
      }
    } throws: { "\($0)".contains("traffic.json") }
  }
}
