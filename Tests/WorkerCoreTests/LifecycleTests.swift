import Testing
import TestSupport
import WireProtocol
import WorkerCore

@Suite struct LifecycleTests {
  let first = lease(1)

  @Test func oneUnitFromLeaseToReceipt() throws {
    var worker = LifecycleDriver()
    #expect(worker.lifecycle.activity == .leasing)
    #expect(worker.send(.leaseAnswered(.units([first]))) == [.fetch(first)])
    #expect(worker.lifecycle.activity == .fetching(lease: first.id))
    #expect(worker.send(.blobsReady(lease: first.id)) == [.run(first)])
    #expect(worker.lifecycle.activity == .running(lease: first.id))
    // The next unit is asked for while the result travels.
    #expect(
      worker.send(.unitFinished(lease: first.id))
        == [.upload(lease: first.id), .requestLease(maximumUnits: 1)])
    #expect(worker.lifecycle.waitingResults == 1)
    #expect(
      worker.send(.uploadAnswered(lease: first.id, .taken))
        == [.discardResult(lease: first.id, .delivered(.awaitingReplica))])
    #expect(worker.lifecycle.waitingResults == 0)
  }

  @Test func joinsBeforeItLeases() throws {
    var worker = LifecycleDriver(unstarted: LifecycleSettings())
    #expect(worker.send(.started(certificate: nil, results: [])) == [.enrol])
    #expect(worker.lifecycle.activity == .joining)
    #expect(worker.send(.enrolmentFailed(.down)) == [])
    #expect(try worker.waitForTimer() == [.enrol])
    #expect(worker.send(.enrolled(.year)) == [.requestLease(maximumUnits: 1)])
  }

  @Test func aRefusedInvitationEndsTheWorker() {
    var worker = LifecycleDriver(unstarted: LifecycleSettings())
    _ = worker.send(.started(certificate: nil, results: []))
    let refusal = RequestFailure.refused(
      status: 403, code: WorkerErrorCode.invitationInvalid, message: "used up")
    #expect(
      worker.send(.enrolmentFailed(refusal)) == [.stop(.notAdmitted(message: "used up"))])
    #expect(worker.lifecycle.nextTimer == nil)
  }

  @Test func idlesForAsLongAsTheCoordinatorSays() throws {
    var worker = LifecycleDriver()
    #expect(worker.send(.leaseAnswered(.nothing)) == [])
    guard case .idle(let reasons, let until) = worker.lifecycle.activity else {
      Issue.record("not idle")
      return
    }
    #expect(reasons == [.noWork: 1])
    #expect(worker.lifecycle.nextTimer == until)
    let wait = worker.now.duration(to: until)
    #expect(wait >= .seconds(20) && wait <= .seconds(22))
    #expect(worker.wait(.seconds(19)) == [])
    #expect(try worker.waitForTimer() == [.requestLease(maximumUnits: 1)])
  }

  @Test func absurdWaitsAreBounded() {
    for seconds in [Int.min, -1, 0, Int.max] {
      var worker = LifecycleDriver()
      _ = worker.send(
        .leaseAnswered(LeaseResponse(leases: [], reasons: [:], retryAfterSeconds: seconds)))
      let wait = worker.now.duration(to: worker.lifecycle.nextTimer!)
      #expect(wait >= .seconds(1) && wait <= .seconds(3961))
    }
  }

  @Test func leaseRequestsBackOffWithinBounds() throws {
    for seed in testSeeds(20) {
      var worker = LifecycleDriver(seed: seed)
      let backoff = LifecycleSettings().requestBackoff
      for failures in 1...12 {
        let before = worker.now
        #expect(worker.send(.leaseFailed(.down)) == [])
        #expect(try worker.waitForTimer() == [.requestLease(maximumUnits: 1)])
        let wait = before.duration(to: worker.now)
        let bound = backoff.bound(failures: failures)
        #expect(wait <= bound && wait * 2 >= bound - .microseconds(1))
      }
    }
  }

  @Test func honoursRetryAfter() throws {
    var worker = LifecycleDriver()
    _ = worker.send(.leaseFailed(.busy(status: 429, retryAfter: .seconds(90))))
    _ = try worker.waitForTimer()
    #expect(worker.now >= .origin + .seconds(90))
  }

  @Test func heartbeatsKeepTheirDistanceWhateverAnswersTake() throws {
    var worker = LifecycleDriver()
    worker.runUnit()
    for beat in 1...5 {
      #expect(try worker.waitForTimer() == [.heartbeat(lease: first.id)])
      #expect(worker.now == .origin + .seconds(10 * beat))
      // The answer takes three seconds; the next beat comes ten seconds after this one.
      worker.now = worker.now + .seconds(3)
      let answer = HeartbeatResponse(verdict: .proceed, deadlineSeconds: 60)
      #expect(worker.send(.heartbeatAnswered(lease: first.id, answer)) == [])
    }
  }

  @Test func failedHeartbeatsAreRepeatedAndTheUnitGoesOn() throws {
    var worker = LifecycleDriver()
    worker.runUnit()
    #expect(try worker.waitForTimer() == [.heartbeat(lease: first.id)])
    for _ in 0..<80 {
      #expect(worker.send(.heartbeatFailed(lease: first.id, .down)) == [])
      let before = worker.now
      #expect(try worker.waitForTimer() == [.heartbeat(lease: first.id)])
      #expect(before.duration(to: worker.now) <= .seconds(10))
    }
    #expect(worker.lifecycle.activity == .running(lease: first.id))
  }

  @Test(arguments: [true, false]) func abandonVerdictStopsTheUnit(finishesFirst: Bool) throws {
    var worker = LifecycleDriver()
    worker.runUnit()
    _ = try worker.waitForTimer()
    let answer = HeartbeatResponse(verdict: .abandon, deadlineSeconds: 0, reason: "cancelled")
    #expect(
      worker.send(.heartbeatAnswered(lease: first.id, answer)) == [.cancelRun(lease: first.id)])
    // No other unit runs before this one has really stopped, and the coordinator is told nothing
    // that it said.
    if finishesFirst {
      #expect(
        worker.send(.unitFinished(lease: first.id))
          == [.discardResult(lease: first.id, .abandoned), .requestLease(maximumUnits: 1)])
    } else {
      #expect(
        worker.send(.unitCancelled(lease: first.id)) == [.requestLease(maximumUnits: 1)])
    }
    #expect(worker.lifecycle.waitingResults == 0)
  }

  @Test func anUnknownLeaseStopsTheUnit() throws {
    var worker = LifecycleDriver()
    worker.runUnit()
    _ = try worker.waitForTimer()
    let refusal = RequestFailure.refused(
      status: 404, code: WorkerErrorCode.leaseUnknown, message: "no such lease")
    #expect(
      worker.send(.heartbeatFailed(lease: first.id, refusal)) == [.cancelRun(lease: first.id)])
  }

  @Test func fetchesAheadWhenItMayHoldTwo() throws {
    var settings = LifecycleSettings()
    settings.maximumUnits = 2
    var worker = LifecycleDriver(settings)
    let second = lease(2)
    #expect(worker.send(.leaseAnswered(.units([first, second]))) == [.fetch(first)])
    #expect(worker.send(.blobsReady(lease: first.id)) == [.run(first), .fetch(second)])
    #expect(
      worker.send(.blobsReady(lease: second.id)) == [])
    #expect(
      worker.send(.unitFinished(lease: first.id))
        == [.run(second), .upload(lease: first.id), .requestLease(maximumUnits: 1)])
    // Units beyond what was asked for are given back.
    let actions = worker.send(.leaseAnswered(.units([lease(3), lease(4)])))
    #expect(
      actions == [
        .abandon(
          lease: lease(4).id, .failed, detail: "more units than the worker asked for"),
        .fetch(lease(3)),
      ])
  }

  @Test func failedFetchesBackOffThenGiveTheLeaseBack() throws {
    var settings = LifecycleSettings()
    settings.fetchAttempts = 3
    var worker = LifecycleDriver(settings)
    _ = worker.send(.leaseAnswered(.units([first])))
    for _ in 1...2 {
      #expect(worker.send(.fetchFailed(lease: first.id, .request(.down))) == [])
      #expect(try worker.waitForTimer() == [.fetch(first)])
    }
    let detail = "3 attempts failed: the coordinator cannot be reached (connection refused)"
    #expect(
      worker.send(.fetchFailed(lease: first.id, .request(.down)))
        == [.abandon(lease: first.id, .blobUnavailable, detail: detail)])
    #expect(worker.lifecycle.unitFailure == detail)
  }

  @Test func unitsThatFailDoNotSpin() throws {
    var worker = LifecycleDriver()
    for failures in 1...8 {
      let unit = lease(failures)
      #expect(worker.send(.leaseAnswered(.units([unit]))) == [.fetch(unit)])
      let failure = FetchFailure.permanent(.blobUnavailable, detail: "wrong bytes")
      #expect(
        worker.send(.fetchFailed(lease: unit.id, failure))
          == [.abandon(lease: unit.id, .blobUnavailable, detail: "wrong bytes")])
      _ = worker.send(.abandonmentEnded(lease: unit.id))
      let before = worker.now
      #expect(try worker.waitForTimer() == [.requestLease(maximumUnits: 1)])
      let bound = LifecycleSettings().requestBackoff.bound(failures: failures)
      #expect(before.duration(to: worker.now) * 2 >= bound - .microseconds(1))
    }
  }

  @Test func theReasonOfAFailedUnitIsKeptUntilOneSucceeds() throws {
    var worker = LifecycleDriver()
    worker.runUnit()
    let reason = "writing results/x: No space left on device"
    _ = worker.send(.unitFailed(lease: first.id, .failed, detail: reason))
    guard case .pausing(reason, _) = worker.lifecycle.activity else {
      Issue.record("the reason is not shown")
      return
    }
    _ = worker.send(.abandonmentEnded(lease: first.id))
    while !(try worker.waitForTimer()).contains(.requestLease(maximumUnits: 1)) {}
    #expect(worker.lifecycle.unitFailure == reason)
    worker.runUnit(2)
    _ = worker.send(.unitFinished(lease: lease(2).id))
    #expect(worker.lifecycle.unitFailure == nil)
  }
}
