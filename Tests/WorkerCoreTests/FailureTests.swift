import Testing
import WireProtocol
import WorkerCore

/// Which requests to the coordinator a worker tells of as failing.
@Suite struct FailureTests {
  let first = lease(1)
  let proxy = RequestFailure.refused(status: 404, code: nil, message: "not found")

  private func purposes(_ worker: LifecycleDriver) -> [FailingRequest.Purpose] {
    worker.lifecycle.failing.map(\.purpose)
  }

  @Test func joiningSaysWhyItFails() throws {
    var worker = LifecycleDriver(unstarted: LifecycleSettings())
    _ = worker.send(.started(certificate: nil, results: []))
    #expect(worker.lifecycle.failing == [])
    _ = worker.send(.enrolmentFailed(.down))
    let failing = try #require(worker.lifecycle.failing.first)
    #expect(failing.purpose == .joining && failing.failure == .down)
    #expect(failing.until != nil && failing.until == worker.lifecycle.nextTimer)
    #expect(try worker.waitForTimer() == [.enrol])
    #expect(worker.lifecycle.failing.first?.until == nil)
    _ = worker.send(.enrolled(.year))
    #expect(worker.lifecycle.failing == [])
  }

  @Test func askingForWorkSaysWhyItFails() throws {
    var worker = LifecycleDriver()
    _ = worker.send(.leaseFailed(.down))
    #expect(purposes(worker) == [.leasing])
    _ = try worker.waitForTimer()
    #expect(purposes(worker) == [.leasing])
    _ = worker.send(.leaseAnswered(.nothing))
    #expect(worker.lifecycle.failing == [])
  }

  @Test func aResultSaysWhyItIsNotTakenWhateverElseSucceeds() throws {
    var worker = LifecycleDriver()
    worker.runUnit()
    _ = worker.send(.unitFinished(lease: first.id))
    _ = worker.send(.uploadFailed(lease: first.id, proxy))
    // The request for work is answered, and the result refused again.
    #expect(worker.send(.leaseAnswered(.nothing)) == [.upload(lease: first.id)])
    #expect(worker.lifecycle.failing.map(\.failure) == [proxy])
    _ = worker.send(.uploadFailed(lease: first.id, proxy))
    #expect(purposes(worker) == [.sending])
    // The owner's own limit is another reason, which is told elsewhere.
    _ = worker.send(.transferAllowed(false))
    #expect(worker.lifecycle.failing == [])
    _ = worker.send(.transferAllowed(true))
    _ = try worker.waitForTimer()
    _ = worker.send(.uploadAnswered(lease: first.id, .taken))
    #expect(worker.lifecycle.failing == [])
  }

  @Test func stuckResultsAreWhatTheWorkerWaitsFor() throws {
    var settings = LifecycleSettings()
    settings.maximumWaitingResults = 3
    var worker = LifecycleDriver(settings)
    for number in 1...3 {
      worker.runUnit(number)
      _ = worker.send(.unitFinished(lease: lease(number).id))
    }
    for number in 1...3 { _ = worker.send(.uploadFailed(lease: lease(number).id, .down)) }
    #expect(worker.lifecycle.activity == .awaitingDelivery(results: 3))
    #expect(purposes(worker) == [.sending])
    while !(try worker.waitForTimer()).contains(.upload(lease: first.id)) {}
    let actions = worker.send(.uploadAnswered(lease: first.id, .taken))
    #expect(actions.contains(.requestLease(maximumUnits: 1)))
    #expect(worker.lifecycle.activity != .awaitingDelivery(results: 2))
  }

  @Test func fetchingAndResumingSayWhyTheyFail() throws {
    var worker = LifecycleDriver()
    _ = worker.send(.leaseAnswered(.units([first])))
    _ = worker.send(.fetchFailed(lease: first.id, .request(.down)))
    #expect(purposes(worker) == [.fetching])
    #expect(try worker.waitForTimer() == [.fetch(first)])
    _ = worker.send(.blobsReady(lease: first.id))
    #expect(worker.lifecycle.failing == [])

    var resumed = LifecycleDriver(unstarted: LifecycleSettings())
    let unit = StoredUnit(lease: first, fruitlessStarts: 0)
    _ = resumed.send(.started(certificate: .year, results: [], units: [unit]))
    _ = resumed.send(.heartbeatFailed(lease: first.id, .down))
    #expect(resumed.lifecycle.activity == .resuming(lease: first.id))
    #expect(purposes(resumed) == [.heartbeat])
    let proceed = HeartbeatResponse(verdict: .proceed, deadlineSeconds: 60)
    _ = resumed.send(.heartbeatAnswered(lease: first.id, proceed))
    #expect(resumed.lifecycle.failing == [])
  }

  @Test func renewalAndAnnouncedAddressAreToldThoughWorkGoesOn() throws {
    var worker = LifecycleDriver(unstarted: LifecycleSettings())
    _ = worker.send(.started(certificate: CertificateTerm(renewAt: .origin), results: []))
    _ = worker.send(.renewalFailed(.busy(status: 503, retryAfter: nil)))
    var answer = LeaseResponse.nothing
    answer.nextAddress = "https://new.example"
    #expect(worker.send(.leaseAnswered(answer)) == [.move(url: "https://new.example")])
    _ = worker.send(.movingFailed(.down))
    #expect(purposes(worker) == [.renewal, .moving])
    #expect(worker.lifecycle.failing.last?.failure == .down)
    _ = worker.send(.addressAnnounced(nil))
    #expect(purposes(worker) == [.renewal])
    _ = worker.send(.renewed(.year))
    #expect(worker.lifecycle.failing == [])
  }

  @Test func whatEndsTellsOnlyOfWhatItStillSends() {
    var worker = LifecycleDriver()
    worker.runUnit()
    _ = worker.send(.unitFinished(lease: first.id))
    _ = worker.send(.leaseFailed(.down))
    _ = worker.send(.uploadFailed(lease: first.id, .down))
    #expect(purposes(worker) == [.leasing, .sending])
    _ = worker.send(.terminate)
    #expect(purposes(worker) == [.sending])
    _ = worker.send(.uploadFailed(lease: first.id, .down))
    #expect(worker.lifecycle.failing == [])
  }
}
