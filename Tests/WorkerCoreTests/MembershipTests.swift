import Testing
import TestSupport
import WireProtocol
import WorkerCore

@Suite struct MembershipTests {
  let day = Duration.seconds(86400)

  @Test func renewsAtTwoThirdsOfTheCertificatesLife() throws {
    var worker = LifecycleDriver(unstarted: LifecycleSettings())
    let term = CertificateTerm(startedAt: .origin, endsAt: .origin + day * 30)
    #expect(term.renewAt == .origin + day * 20)
    _ = worker.send(.started(certificate: term, results: []))
    _ = worker.send(.leaseFailed(.busy(status: 503, retryAfter: nil)))
    #expect(!worker.wait(day * 19).contains(.renewCertificate))
    #expect(worker.wait(day).contains(.renewCertificate))
    // One request at a time.
    #expect(!worker.wait(.seconds(60)).contains(.renewCertificate))
    let next = CertificateTerm(startedAt: worker.now, endsAt: worker.now + day * 30)
    #expect(!worker.send(.renewed(next)).contains(.renewCertificate))
    #expect(!worker.wait(day * 19).contains(.renewCertificate))
    #expect(worker.wait(day).contains(.renewCertificate))
  }

  @Test func failedRenewalsAreRepeatedUntilTheCertificateEnds() throws {
    var worker = LifecycleDriver(unstarted: LifecycleSettings())
    let term = CertificateTerm(startedAt: .origin, endsAt: .origin + day * 3)
    _ = worker.send(.started(certificate: term, results: []))
    worker.now = term.renewAt
    var actions = worker.send(.timer)
    var attempts = 0
    while !actions.contains(.stop(.certificateExpired)) {
      if actions.contains(.renewCertificate) {
        attempts += 1
        _ = worker.send(.renewalFailed(.down))
      }
      actions = try worker.waitForTimer()
      if actions.contains(.requestLease(maximumUnits: 1)) { _ = worker.send(.leaseFailed(.down)) }
    }
    #expect(worker.now == term.endsAt)
    #expect(attempts > 24 && attempts < 100)
  }

  @Test func aCertificateThatTheCoordinatorDoesNotKnowEndsTheWorker() {
    var worker = LifecycleDriver()
    #expect(
      worker.send(.leaseFailed(.notAdmitted(message: "revoked")))
        == [.stop(.notAdmitted(message: "revoked"))])
  }
}

@Suite struct DrainingTests {
  let first = lease(1)

  @Test func anIdleWorkerEndsAtOnce() {
    var worker = LifecycleDriver()
    _ = worker.send(.leaseAnswered(.nothing))
    #expect(worker.send(.terminate) == [.stop(.drained)])
  }

  @Test func aLeaseThatArrivesLateIsGivenBack() {
    var worker = LifecycleDriver()
    #expect(worker.send(.terminate) == [])
    #expect(
      worker.send(.leaseAnswered(.units([first])))
        == [
          .abandon(lease: first.id, .shuttingDown, detail: "the worker is shutting down")
        ])
    #expect(worker.send(.abandonmentEnded(lease: first.id)) == [.stop(.drained)])
  }

  @Test func aRunningUnitFinishesWithinTheGracePeriod() {
    var worker = LifecycleDriver()
    worker.runUnit()
    #expect(worker.send(.terminate) == [])
    _ = worker.wait(.seconds(20))
    #expect(worker.send(.unitFinished(lease: first.id)) == [.upload(lease: first.id)])
    #expect(
      worker.send(.uploadAnswered(lease: first.id, .taken))
        == [
          .discardResult(lease: first.id, .delivered(.awaitingReplica)), .stop(.drained),
        ])
  }

  @Test func aRunningUnitIsGivenBackAfterTheGracePeriod() throws {
    var worker = LifecycleDriver()
    worker.runUnit()
    _ = worker.send(.terminate)
    var actions: [WorkerAction] = []
    while !actions.contains(.cancelRun(lease: first.id)) {
      actions = try worker.waitForTimer()
      if actions.contains(.heartbeat(lease: first.id)) {
        _ = worker.send(
          .heartbeatAnswered(
            lease: first.id, HeartbeatResponse(verdict: .proceed, deadlineSeconds: 60)))
      }
    }
    #expect(worker.now == .origin + LifecycleSettings().grace)
    #expect(
      worker.send(.unitCancelled(lease: first.id))
        == [.abandon(lease: first.id, .shuttingDown, detail: "stopped before its end")])
    #expect(worker.send(.abandonmentEnded(lease: first.id)) == [.stop(.drained)])
  }

  @Test func nothingHoldsTheWorkerLongerThanGraceAndFarewell() throws {
    var worker = LifecycleDriver()
    worker.runUnit()
    _ = worker.send(.terminate)
    var actions: [WorkerAction] = []
    while !actions.contains(.stop(.drained)) { actions = try worker.waitForTimer() }
    let settings = LifecycleSettings()
    #expect(worker.now == .origin + settings.grace + settings.farewell)
  }

  @Test func aSecondRequestSkipsTheGracePeriodAThirdTheFarewell() {
    var worker = LifecycleDriver()
    worker.runUnit()
    #expect(worker.send(.terminate) == [])
    #expect(worker.send(.terminate) == [.cancelRun(lease: first.id)])
    #expect(
      worker.send(.terminate) == [.cancelRun(lease: first.id), .stop(.drained)]
        || worker.lifecycle.activity == .stopped(.drained))
  }

  @Test func whatHasNotStartedIsGivenBackAtOnce() {
    var settings = LifecycleSettings()
    settings.maximumUnits = 3
    var worker = LifecycleDriver(settings)
    _ = worker.send(.leaseAnswered(.units([first, lease(2), lease(3)])))
    _ = worker.send(.blobsReady(lease: first.id))
    let detail = "the worker is shutting down"
    #expect(
      worker.send(.terminate)
        == [
          .cancelFetch(lease: lease(2).id),
          .abandon(lease: lease(2).id, .shuttingDown, detail: detail),
          .abandon(lease: lease(3).id, .shuttingDown, detail: detail),
        ])
    #expect(worker.lifecycle.heldLeases == [first.id])
  }

  @Test func unsentResultsStayForTheNextStart() {
    var worker = LifecycleDriver()
    worker.runUnit()
    _ = worker.send(.unitFinished(lease: first.id))
    _ = worker.send(.leaseFailed(.down))
    #expect(worker.send(.uploadFailed(lease: first.id, .down)) == [])
    #expect(worker.send(.terminate) == [.upload(lease: first.id)])
    #expect(worker.send(.uploadFailed(lease: first.id, .down)) == [.stop(.drained)])
    #expect(worker.lifecycle.waitingResults == 1)
  }
}
