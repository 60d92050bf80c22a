import Foundation
import Testing
import TestSupport
import WireProtocol
import WorkerCore
import WorkerDaemon
import WorkerEngine

/// What the machine's owner is told.
@Suite(.timeLimit(.minutes(5))) struct StatusTests {
  let place: TemporaryFolder
  let authority: TestAuthority

  init() throws {
    place = try TemporaryFolder()
    authority = try TestAuthority()
  }

  static func status(
    _ socket: ControlSocket, once condition: (StatusDocument) -> Bool
  ) async throws -> StatusDocument {
    while true {
      if let status = try? await socket.status(), condition(status) { return status }
      try await Task.sleep(for: .milliseconds(20))
    }
  }

  @Test func theStandingIsShownAlsoWhileTheCoordinatorIsAway() async throws {
    let (place, authority) = (place, authority)
    try await StubCoordinator.run(authority: authority) { url, state in
      var configuration = WorkerConfiguration(dataFolder: place.path("w"))
      configuration.invitation = try await state.invitation(url, authority)
      let socket = ControlSocket(dataFolder: place.path("w"))
      for isAway in [false, true] {
        if isAway {
          let down = StubState.Refusal(status: .serviceUnavailable, code: nil, message: "down")
          await state.update { $0.refusals["standing"] = Array(repeating: down, count: 1000) }
        }
        try await withWorker(configuration) { _ in
          let status = try await Self.status(socket) { $0.standing != nil }
          let standing = try #require(status.standing)
          #expect(standing.worker.credit == 1.5 && standing.account.units == 9)
          #expect(standing.account.recent_average_credit == 0.75)
          #expect(standing.rank == 2 && standing.accounts == 7 && standing.age_seconds < 300)
        }
        configuration.invitation = nil
      }
    }
  }

  @Test func aRunningUnitHasASpeedAndADeadline() async throws {
    let (place, authority) = (place, authority)
    try await StubCoordinator.run(authority: authority) { url, state in
      let model = try await state.addModel(chunks: [Data("chunk".utf8)])
      try await state.addUnit(1, model: model, inputs: Data("inputs".utf8))
      var configuration = WorkerConfiguration(dataFolder: place.path("w"))
      configuration.invitation = try await state.invitation(url, authority)
      configuration.graceSeconds = 0
      let socket = ControlSocket(dataFolder: place.path("w"))
      let runner = FakeRunner { task in
        while !task.isCancelled() {
          task.tokensGenerated(1)
          task.progress(1)
          usleep(1000)
        }
        throw UnitFailure.cancelled
      }
      try await withWorker(configuration, runner: runner) { _ in
        let status = try await Self.status(socket) { $0.unit?.tokens_per_second != nil }
        let unit = try #require(status.unit)
        #expect((unit.tokens_per_second ?? 0) > 0)
        #expect((1...60).contains(unit.due_in_seconds ?? 0))
      }
    }
  }

  @Test func whatFailsIsSaidWithItsReasonAndTheNextAttempt() {
    let refusal = RequestFailure.refused(status: 404, code: nil, message: "no\u{1b}[2J\nsuch route")
    let request = FailingRequest(
      purpose: .sending, failure: refusal, until: .origin + .seconds(30))
    let reason = "the coordinator refused: no [2J such route (status 404); trying again in 30 s"
    #expect(request.sentence(at: .origin) == "sending results fails: " + reason)
    let stuck = WorkerActivity.awaitingDelivery(results: 16)
    #expect(
      stuck.summary(at: .origin, failing: [request])
        == "16 finished results wait to be sent, and no further work is asked for: " + reason)
    // Of another request the activity says nothing.
    #expect(
      WorkerActivity.resuming(lease: "a").summary(at: .origin, failing: [request])
        == "asking whether the unit of the last run is still wanted")
    let pause = WorkerActivity.pausing(detail: "blob\u{1b}[2J\ngone", until: .origin)
    #expect(
      pause.summary(at: .origin) == "the last unit failed here (blob [2J gone); going on in 0 s")
  }

  @Test func reasonsToIdleAccuseNobodyWhoWasRight() {
    func words(_ reason: IdleReason) -> String {
      WorkerActivity.idle(reasons: [reason: 1], until: .origin).summary(at: .origin)
    }
    #expect(words(.suspended).contains("this worker or its account is suspended"))
    #expect(words(.failedLately).contains("on this worker or on another of its account"))
    #expect(words(.holdsEnough).contains("holds as many units"))
    #expect(!words(.holdsEnough).contains("paused"))
  }

  @Test func joiningAnUnreachableCoordinatorIsTold() async throws {
    var configuration = WorkerConfiguration(dataFolder: place.path("w"))
    configuration.invitation = Invitation(
      url: "https://127.0.0.1:1", secret: "s", authority: try authority.fingerprint)
    try await withWorker(configuration) { reports in
      let report = try await reports.wait { $0.coordinatorProblem != nil }
      #expect(
        report.summary.hasPrefix("joining the coordinator: the coordinator cannot be reached"))
      #expect(report.summary.contains("Connection refused"))
      let problem = try #require(report.coordinatorProblem)
      #expect(problem.hasPrefix("joining the coordinator fails: "))
      #expect(problem.contains("trying again in"))
    }
  }

  @Test func whatTheWorkerToldIsKeptAndBounded() async throws {
    let (place, authority) = (place, authority)
    try await StubCoordinator.run(authority: authority) { url, state in
      var configuration = WorkerConfiguration(dataFolder: place.path("w"))
      configuration.invitation = try await state.invitation(url, authority)
      let socket = ControlSocket(dataFolder: place.path("w"))
      try await withWorker(configuration) { reports in
        try await reports.wait { $0.workerID != nil }
        _ = try await Self.status(socket) { _ in true }
        let all = try await socket.logs(after: 0, limit: 100).lines
        #expect(all.contains { $0.text.contains("info joined account=ada") })
        let last = try #require(all.last)
        #expect(try await socket.logs(after: 0, limit: 1).lines.first?.number ?? 0 >= last.number)
        #expect(try await socket.logs(after: last.number + 1000, limit: 100).lines == [])
      }
      let file = URL(fileURLWithPath: place.path("w/log/worker.log"))
      let text = try String(contentsOf: file, encoding: .utf8)
      #expect(text.contains("worker started") && !text.contains(state.secret))
      #expect(try WorkerDaemon.storedLog(in: place.path("w"), limit: 2).count == 2)
      // A full file makes room for the next.
      try Data(repeating: UInt8(ascii: "x"), count: 1 << 20).write(to: file)
      configuration.invitation = nil
      try await withWorker(configuration) { reports in
        try await reports.wait { $0.workerID != nil }
      }
      let names = try FileManager.default.contentsOfDirectory(atPath: place.path("w/log")).sorted()
      #expect(names == ["worker.log", "worker.log.1"])
      #expect(try Data(contentsOf: file).count < 10_000)
    }
  }
}
