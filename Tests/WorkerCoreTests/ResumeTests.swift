import Testing
import WireProtocol
import WorkerCore

/// Units that a worker held when it ended.
@Suite struct ResumeTests {
  let first = lease(1)
  let proceed = HeartbeatResponse(verdict: .proceed, deadlineSeconds: 60)

  func started(
    _ units: [StoredUnit], settings: LifecycleSettings = LifecycleSettings()
  ) -> (LifecycleDriver, [WorkerAction]) {
    var worker = LifecycleDriver(unstarted: settings)
    let actions = worker.send(.started(certificate: .year, results: [], units: units))
    return (worker, actions)
  }

  @Test func goesOnOnceTheCoordinatorSaysSo() {
    var (worker, actions) = started([StoredUnit(lease: first, fruitlessStarts: 0)])
    // No further unit is asked for, and nothing is fetched for one that may be gone.
    #expect(actions == [.heartbeat(lease: first.id)])
    #expect(worker.lifecycle.activity == .resuming(lease: first.id))
    #expect(worker.send(.heartbeatAnswered(lease: first.id, proceed)) == [.fetch(first)])
    #expect(worker.send(.blobsReady(lease: first.id)) == [.run(first)])
  }

  @Test(arguments: [true, false]) func isLetGoWhenNobodyWantsIt(isKnown: Bool) {
    var (worker, _) = started([StoredUnit(lease: first, fruitlessStarts: 0)])
    let answer: WorkerEvent =
      isKnown
      ? .heartbeatAnswered(
        lease: first.id, HeartbeatResponse(verdict: .abandon, deadlineSeconds: 0))
      : .heartbeatFailed(
        lease: first.id,
        .refused(status: 404, code: WorkerErrorCode.leaseUnknown, message: "no such lease"))
    #expect(worker.send(answer) == [.requestLease(maximumUnits: 1)])
    #expect(worker.lifecycle.heldLeases == [])
  }

  @Test func waitsForACoordinatorThatIsAway() throws {
    var (worker, _) = started([StoredUnit(lease: first, fruitlessStarts: 0)])
    for _ in 0..<50 {
      let proxy = RequestFailure.refused(status: 404, code: nil, message: "not found")
      #expect(worker.send(.heartbeatFailed(lease: first.id, proxy)) == [])
      #expect(try worker.waitForTimer() == [.heartbeat(lease: first.id)])
    }
    #expect(worker.send(.heartbeatAnswered(lease: first.id, proceed)) == [.fetch(first)])
  }

  /// A unit that ends the worker each time must not be all that it ever does.
  @Test func whatKeepsEndingTheWorkerIsGivenBack() {
    let (worker, actions) = started([StoredUnit(lease: first, fruitlessStarts: 3)])
    #expect(
      actions == [
        .abandon(lease: first.id, .failed, detail: "interrupted 3 times without progress"),
        .requestLease(maximumUnits: 1),
      ])
    #expect(worker.lifecycle.heldLeases == [])
  }

  @Test func aUnitWithAResultIsNotComputedAgain() {
    var worker = LifecycleDriver(unstarted: LifecycleSettings())
    let result = StoredResult(lease: first.id, finishedAt: .origin)
    let unit = StoredUnit(lease: first, fruitlessStarts: 0)
    #expect(
      worker.send(.started(certificate: .year, results: [result], units: [unit]))
        == [.upload(lease: first.id), .requestLease(maximumUnits: 1)])
  }

  @Test func aNewMembershipKnowsNoOldLeases() {
    var worker = LifecycleDriver(unstarted: LifecycleSettings())
    let unit = StoredUnit(lease: first, fruitlessStarts: 0)
    #expect(worker.send(.started(certificate: nil, results: [], units: [unit])) == [.enrol])
    #expect(worker.lifecycle.heldLeases == [])
  }

  // MARK: Stops that keep the unit

  var keeping: LifecycleSettings {
    var settings = LifecycleSettings()
    settings.keepsUnits = true
    return settings
  }

  @Test func aStopKeepsTheRunningUnitAndWaitsForNothing() {
    var worker = LifecycleDriver(keeping)
    worker.runUnit()
    #expect(worker.send(.terminate) == [.cancelRun(lease: first.id)])
    #expect(worker.send(.unitCancelled(lease: first.id)) == [.stop(.drained)])
    #expect(worker.lifecycle.heldLeases == [first.id])
  }

  @Test func aStopKeepsAUnitThatIsBeingFetched() {
    var worker = LifecycleDriver(keeping)
    #expect(worker.send(.leaseAnswered(.units([first]))) == [.fetch(first)])
    #expect(worker.send(.terminate) == [.cancelFetch(lease: first.id), .stop(.drained)])
    #expect(worker.lifecycle.heldLeases == [first.id])
  }

  @Test func aUnitThatEndsDuringTheStopIsDelivered() {
    var worker = LifecycleDriver(keeping)
    worker.runUnit()
    _ = worker.send(.terminate)
    #expect(worker.send(.unitFinished(lease: first.id)) == [.upload(lease: first.id)])
    #expect(worker.lifecycle.heldLeases == [])
  }

  /// One that was asked to finish will not start again.
  @Test func afterFinishAStopGivesTheUnitBack() throws {
    var worker = LifecycleDriver(keeping)
    worker.runUnit()
    #expect(worker.send(.finish) == [])
    #expect(worker.send(.terminate) == [])
    #expect(worker.wait(.seconds(30)).contains(.cancelRun(lease: first.id)))
    #expect(
      worker.send(.unitCancelled(lease: first.id))
        == [.abandon(lease: first.id, .shuttingDown, detail: "stopped before its end")])
  }
}
