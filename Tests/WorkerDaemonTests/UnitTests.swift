import enum Crypto.P256
import Foundation
import Synchronization
import Testing
import TestSupport
import WirePayloads
import WireProtocol
import WorkerCore
import WorkerDaemon
import WorkerEngine

@Suite(.timeLimit(.minutes(5))) struct UnitTests {
  let place: TemporaryFolder
  let authority: TestAuthority

  init() throws {
    place = try TemporaryFolder()
    authority = try TestAuthority()
  }

  func configuration(_ url: String, _ state: StubState) async throws -> WorkerConfiguration {
    var configuration = WorkerConfiguration(dataFolder: place.path("worker"))
    configuration.invitation = try await state.invitation(url, authority)
    configuration.graceSeconds = 5
    return configuration
  }

  @Test func unitsRunAndTheirResultsArriveSigned() async throws {
    let authority = authority
    try await StubCoordinator.run(authority: authority) { url, state in
      var random = SeededRandom(seed: 7)
      let chunks = (0..<12).map { _ in Data(random.bytes(Int.random(in: 1...5000, using: &random)))
      }
      let model = try await state.addModel(chunks: chunks)
      var leases: [Lease] = []
      for number in 1...3 {
        leases.append(
          try await state.addUnit(number, model: model, inputs: Data(random.bytes(1000))))
      }
      let runner = FakeRunner()
      try await withWorker(try await configuration(url, state), runner: runner) { reports in
        let report = try await reports.wait { $0.unitsDone == 3 }
        #expect(report.tokensDone == 9)
      }
      let uploads = await state.uploads
      #expect(uploads.map(\.lease) == leases.map(\.id))
      for (upload, lease) in zip(uploads, leases) {
        let inputs = try #require(await state.blobs[lease.specification.inputs])
        #expect(upload.result == Data(inputs.reversed()))
        #expect(upload.digest == BlobDigest.sha256(upload.result).hex)
        let statement = ResultStatement(
          unit: lease.unit, result: BlobDigest.sha256(upload.result))
        let key = try P256.Signing.PublicKey(x963Representation: upload.publicKey)
        let signature = try P256.Signing.ECDSASignature(derRepresentation: upload.signature)
        #expect(key.isValidSignature(signature, for: statement.bytes))
      }
      // The model was fetched once and offered from then on.
      let requests = await state.leaseRequests
      #expect(requests.first?.cachedModels == [])
      #expect(requests.first?.measuredFlopsPerSecond == nil)
      #expect(requests.last?.cachedModels == [model])
      #expect((requests.last?.measuredFlopsPerSecond ?? 0) > 0)
      #expect(await state.ranges.count == 1 + 12 + 3)
    }
  }

  @Test func aLostAnswerIsAskedForAgainWithTheSameBytes() async throws {
    let authority = authority
    try await StubCoordinator.run(authority: authority) { url, state in
      let model = try await state.addModel(chunks: [Data("chunk".utf8)])
      try await state.addUnit(1, model: model, inputs: Data("inputs".utf8))
      await state.update { $0.answersToLose = 3 }
      try await withWorker(try await configuration(url, state)) { reports in
        try await reports.wait { $0.unitsDone == 1 && $0.waitingResults == 0 }
      }
      let uploads = await state.uploads
      #expect(uploads.count == 4)
      #expect(Set(uploads.map(\.signature)).count == 1)
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: place.path("worker/results")) == [])
    }
  }

  @Test func aFinishedResultSurvivesTheWorkersRestart() async throws {
    let (authority, place) = (authority, place)
    try await StubCoordinator.run(authority: authority) { url, state in
      let model = try await state.addModel(chunks: [Data("chunk".utf8)])
      let lease = try await state.addUnit(1, model: model, inputs: Data("inputs".utf8))
      let down = StubState.Refusal(status: .serviceUnavailable, code: nil, message: "down")
      await state.update { $0.refusals["result"] = Array(repeating: down, count: 1000) }
      try await withWorker(try await configuration(url, state)) { reports in
        try await reports.wait { $0.waitingResults == 1 }
      }
      #expect(await state.uploads.isEmpty)
      let files = try FileManager.default.contentsOfDirectory(atPath: place.path("worker/results"))
      #expect(files == ["\(lease.id).result"])
      await state.update { $0.refusals = [:] }
      let runner = FakeRunner()
      try await withWorker(try await configuration(url, state), runner: runner) { reports in
        try await reports.wait { $0.unitsDone == 1 }
      }
      #expect(await state.uploads.map(\.lease) == [lease.id])
      #expect(runner.ran.withLock { $0 } == [])
    }
  }

  @Test func aResultThatTheDiskRefusesIsSentFromMemory() async throws {
    let (authority, place) = (authority, place)
    try await StubCoordinator.run(authority: authority) { url, state in
      let model = try await state.addModel(chunks: [Data("chunk".utf8)])
      let lease = try await state.addUnit(1, model: model, inputs: Data("inputs".utf8))
      let results = place.path("worker/results")
      let runner = FakeRunner { _ in
        // No file can be made in what is no folder.
        try FileManager.default.removeItem(atPath: results)
        try Data().write(to: URL(fileURLWithPath: results))
      }
      try await withWorker(try await configuration(url, state), runner: runner) { reports in
        try await reports.wait { $0.unitsDone == 1 && $0.waitingResults == 0 }
      }
      #expect(await state.uploads.map(\.lease) == [lease.id])
      #expect(await state.abandonments.isEmpty)
    }
  }

  @Test func theCacheMayBeClearedWhileItRuns() async throws {
    let (authority, place) = (authority, place)
    try await StubCoordinator.run(authority: authority) { url, state in
      let model = try await state.addModel(chunks: [Data("chunk".utf8)])
      try await state.addUnit(1, model: model, inputs: Data("one".utf8))
      try await withWorker(try await configuration(url, state)) { reports in
        try await reports.wait { $0.unitsDone == 1 }
        for name in try FileManager.default.contentsOfDirectory(atPath: place.path("worker/cache"))
        {
          try FileManager.default.removeItem(atPath: place.path("worker/cache/\(name)"))
        }
        try await state.addUnit(2, model: model, inputs: Data("two".utf8))
        let report = try await reports.wait { $0.unitsDone == 2 }
        #expect(report.unitProblem == nil)
      }
      #expect(await state.abandonments.isEmpty)
    }
  }

  @Test func theReasonOfAFailureIsShown() async throws {
    let authority = authority
    try await StubCoordinator.run(authority: authority) { url, state in
      let model = try await state.addModel(chunks: [Data("chunk".utf8)])
      let lease = try await state.addUnit(1, model: model, inputs: Data("inputs".utf8))
      let reason = "writing /data/cache/x: No space left on device"
      let runner = FakeRunner { _ in throw UnitFailure.failed(reason) }
      try await withWorker(try await configuration(url, state), runner: runner) { reports in
        let report = try await reports.wait { $0.unitProblem != nil }
        #expect(report.unitProblem == "the last unit failed here: \(reason)")
        while await state.abandonments[lease.id] == nil { try await reports.wait { _ in true } }
      }
      #expect(await state.abandonments[lease.id]?.reason == .failed)
    }
  }

  @Test func heartbeatsComeWhileAUnitComputes() async throws {
    let authority = authority
    try await StubCoordinator.run(authority: authority) { url, state in
      let model = try await state.addModel(chunks: [Data("chunk".utf8)])
      let lease = try await state.addUnit(1, model: model, inputs: Data("inputs".utf8))
      let gate = Mutex(false)
      let runner = FakeRunner { task in
        task.progress(5e5)
        // Busy, as a computation is, until the second heartbeat has come.
        while !gate.withLock({ $0 }) {}
      }
      try await withWorker(try await configuration(url, state), runner: runner) { reports in
        let report = try await reports.wait { ($0.unit?.share ?? 0) > 0 }
        #expect(report.unit?.share == 0.25)
        while await state.heartbeats[lease.id, default: 0] < 2 {
          try await reports.wait { _ in true }
        }
        gate.withLock { $0 = true }
        try await reports.wait { $0.unitsDone == 1 }
      }
    }
  }

  @Test func anAbandonVerdictStopsTheUnitAndTheNextOneRuns() async throws {
    let authority = authority
    try await StubCoordinator.run(authority: authority) { url, state in
      let model = try await state.addModel(chunks: [Data("chunk".utf8)])
      let first = try await state.addUnit(1, model: model, inputs: Data("first".utf8))
      let second = try await state.addUnit(2, model: model, inputs: Data("second".utf8))
      await state.update { $0.verdicts[first.id] = .abandon }
      let firstInputs = first.specification.inputs
      let runner = FakeRunner { task in
        while task.specification.inputs == firstInputs {
          if task.isCancelled() { throw UnitFailure.cancelled }
        }
      }
      try await withWorker(try await configuration(url, state), runner: runner) { reports in
        try await reports.wait { $0.unitsDone == 1 }
      }
      #expect(await state.uploads.map(\.lease) == [second.id])
      #expect(await state.abandonments.isEmpty)
    }
  }

  @Test(arguments: [true, false]) func terminationFinishesOrGivesBack(finishes: Bool) async throws {
    let authority = authority
    try await StubCoordinator.run(authority: authority) { url, state in
      let model = try await state.addModel(chunks: [Data("chunk".utf8)])
      let lease = try await state.addUnit(1, model: model, inputs: Data("inputs".utf8))
      let draining = Atomic(false)
      let runner = FakeRunner { task in
        while !(finishes && draining.load(ordering: .relaxed)) {
          if task.isCancelled() { throw UnitFailure.cancelled }
        }
      }
      var configuration = try await configuration(url, state)
      configuration.graceSeconds = finishes ? 30 : 0
      let watch: @Sendable (WorkerReport) -> Void = { report in
        if case .draining = report.activity { draining.store(true, ordering: .relaxed) }
      }
      try await withWorker(configuration, runner: runner, watch: watch) { reports in
        try await reports.wait { if case .running = $0.activity { true } else { false } }
      }
      if finishes {
        #expect(await state.uploads.map(\.lease) == [lease.id])
        #expect(await state.abandonments.isEmpty)
      } else {
        #expect(await state.uploads.isEmpty)
        #expect(await state.abandonments[lease.id]?.reason == .shuttingDown)
      }
    }
  }

  @Test func unitsThatAreWrongAreGivenBack() async throws {
    let authority = authority
    try await StubCoordinator.run(authority: authority) { url, state in
      let model = try await state.addModel(chunks: [Data("chunk".utf8)])
      let notAManifest = await state.add(Data("no manifest".utf8))
      let bad = try await state.addUnit(1, model: notAManifest, inputs: Data("inputs".utf8))
      var lying = try await state.addUnit(2, model: model, inputs: Data("others".utf8))
      lying.unit = bad.unit
      let changed = lying
      let failing = try await state.addUnit(3, model: model, inputs: Data("boom".utf8))
      let good = try await state.addUnit(4, model: model, inputs: Data("good".utf8))
      await state.update { $0.leases[1] = changed }
      let boom = failing.specification.inputs
      let runner = FakeRunner { task in
        if task.specification.inputs == boom { throw UnitFailure.outOfMemory("too large") }
      }
      try await withWorker(try await configuration(url, state), runner: runner) { reports in
        try await reports.wait { $0.unitsDone == 1 }
      }
      let reasons = await state.abandonments.mapValues(\.reason)
      #expect(
        reasons == [bad.id: .invalidUnit, lying.id: .invalidUnit, failing.id: .outOfMemory])
      #expect(await state.uploads.map(\.lease) == [good.id])
    }
  }

  @Test func aTransformerMakesAWorkerWrongOnPurpose() async throws {
    let authority = authority
    try await StubCoordinator.run(authority: authority) { url, state in
      let model = try await state.addModel(chunks: [Data("chunk".utf8)])
      try await state.addUnit(1, model: model, inputs: Data("inputs".utf8))
      var configuration = try await configuration(url, state)
      configuration.resultTransformer = ResultTransformer { _, inputs, result in inputs + result }
      try await withWorker(configuration) { reports in
        try await reports.wait { $0.unitsDone == 1 }
      }
      #expect(await state.uploads.first?.result == Data("inputsstupni".utf8))
    }
  }

  @Test func theCacheStaysWithinItsLimit() async throws {
    let (authority, place) = (authority, place)
    try await StubCoordinator.run(authority: authority) { url, state in
      var random = SeededRandom(seed: 3)
      for number in 1...4 {
        let chunks = (0..<4).map { _ in Data(random.bytes(10_000)) }
        let model = try await state.addModel(chunks: chunks)
        try await state.addUnit(number, model: model, inputs: Data(random.bytes(100)))
      }
      var configuration = try await configuration(url, state)
      configuration.cacheLimitBytes = 90_000
      try await withWorker(configuration) { reports in
        try await reports.wait { $0.unitsDone == 4 }
      }
      let blobs = try FileManager.default.subpathsOfDirectory(
        atPath: place.path("worker/cache/blobs"))
      let bytes = blobs.filter { $0.contains("/") }.reduce(0) { sum, name in
        let path = place.path("worker/cache/blobs/\(name)")
        let size = try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
        return sum + (size ?? 0)
      }
      #expect(bytes > 40_000 && bytes <= 90_000)
    }
  }
}
