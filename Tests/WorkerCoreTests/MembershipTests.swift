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

  /// The clock by which it has ended may be wrong.
  @Test func failedRenewalsAreRepeatedBeyondTheCertificatesEnd() throws {
    var worker = LifecycleDriver(unstarted: LifecycleSettings())
    let term = CertificateTerm(startedAt: .origin, endsAt: .origin + day * 3)
    _ = worker.send(.started(certificate: term, results: []))
    worker.now = term.renewAt
    var actions = worker.send(.timer)
    var attempts = 0
    while worker.now < .origin + day * 10 {
      if actions.contains(.renewCertificate) {
        attempts += 1
        _ = worker.send(.renewalFailed(.down))
      }
      actions = try worker.waitForTimer()
      if actions.contains(.requestLease(maximumUnits: 1)) { _ = worker.send(.leaseFailed(.down)) }
    }
    // Eight days at an hour to half an hour each.
    #expect(attempts > 8 * 24 && attempts < 8 * 60)
    #expect(worker.send(.renewed(.year)).isEmpty)
  }

  static let turnedAway: [RequestFailure] = [
    .notAdmitted(message: "The client certificate is not valid at this time."),
    .upgradeRequired(message: "Upgrade the worker."),
  ]

  @Test(arguments: turnedAway)
  func aWorkerThatIsTurnedAwayAsksAgainWithLongPauses(failure: RequestFailure) throws {
    for seed in testSeeds(20) {
      var worker = LifecycleDriver(seed: seed)
      _ = worker.send(.leaseFailed(failure))
      var pauses: [Duration] = []
      while worker.now < .origin + day {
        let before = worker.now
        #expect(worker.lifecycle.turningAway?.failure == failure)
        #expect(worker.lifecycle.turningAway?.until == worker.lifecycle.nextTimer)
        #expect(try worker.waitForTimer() == [.requestLease(maximumUnits: 1)], "seed \(seed)")
        pauses.append(before.duration(to: worker.now))
        _ = worker.send(.leaseFailed(failure))
      }
      #expect(pauses[0] >= .seconds(30) && pauses[0] <= .seconds(60), "seed \(seed)")
      #expect(pauses.allSatisfy { $0 <= .seconds(3600) }, "seed \(seed)")
      // In an hour after the beginning they are as long as they get.
      #expect(pauses.dropFirst(12).allSatisfy { $0 >= .seconds(1800) }, "seed \(seed)")
      _ = try worker.waitForTimer()
      _ = worker.send(.leaseAnswered(.nothing))
      #expect(worker.lifecycle.turningAway == nil)
    }
  }

  @Test func whatRunsGoesOnWhileTheCoordinatorTurnsTheWorkerAway() throws {
    var worker = LifecycleDriver()
    let unit = lease(1)
    worker.runUnit()
    let failure = RequestFailure.notAdmitted(message: "unknown")
    var beats = 0
    while worker.now < .origin + .seconds(59) {
      if try worker.waitForTimer() == [.heartbeat(lease: unit.id)] { beats += 1 }
      #expect(worker.send(.heartbeatFailed(lease: unit.id, failure)) == [])
    }
    // The lease may live as long as its deadline, so heartbeats keep their pace until then.
    #expect(beats >= 6)
    #expect(worker.lifecycle.activity == .running(lease: unit.id))
    _ = try worker.waitForTimer()
    _ = worker.send(.heartbeatFailed(lease: unit.id, failure))
    #expect(worker.now.duration(to: try #require(worker.lifecycle.nextTimer)) >= .seconds(30))
    // A result waits too, and everything goes out with the first answer.
    #expect(
      worker.send(.unitFinished(lease: unit.id))
        == [.upload(lease: unit.id), .requestLease(maximumUnits: 1)])
    _ = worker.send(.uploadFailed(lease: unit.id, failure))
    #expect(worker.send(.leaseAnswered(.nothing)) == [.upload(lease: unit.id)])
  }

  @Test func whoHasJustJoinedIsToldAndEnds() {
    for failure in Self.turnedAway {
      var worker = LifecycleDriver(unstarted: LifecycleSettings())
      _ = worker.send(.started(certificate: nil, results: []))
      #expect(worker.send(.enrolled(.year)) == [.requestLease(maximumUnits: 1)])
      var reason = StopReason.drained
      if case .stop(let stop)? = worker.send(.leaseFailed(failure)).last { reason = stop }
      #expect("\(reason)" == "\(failure)")
      // After its first answer it works by itself.
      var member = LifecycleDriver(unstarted: LifecycleSettings())
      _ = member.send(.started(certificate: nil, results: []))
      _ = member.send(.enrolled(.year))
      _ = member.send(.leaseAnswered(.nothing))
      _ = member.wait(.seconds(60))
      #expect(member.send(.leaseFailed(failure)) == [])
    }
  }

  @Test func withoutAPersonARefusedInvitationIsTriedAgain() throws {
    var settings = LifecycleSettings()
    settings.endsWhenTurnedAwayAtFirst = false
    var worker = LifecycleDriver(unstarted: settings)
    _ = worker.send(.started(certificate: nil, results: []))
    let refusal = RequestFailure.refused(
      status: 403, code: WorkerErrorCode.invitationInvalid, message: "used up")
    #expect(worker.send(.enrolmentFailed(refusal)) == [])
    #expect(try worker.waitForTimer() == [.enrol])
    #expect(worker.now >= .origin + .seconds(30))
  }

  @Test func anInvitationAtHandReplacesAMembershipThatIsNotAccepted() throws {
    var settings = LifecycleSettings()
    settings.hasInvitation = true
    var worker = LifecycleDriver(settings)
    let failure = RequestFailure.notAdmitted(message: "it has ended")
    _ = worker.send(.leaseFailed(failure))
    var actions: [WorkerAction] = []
    while !actions.contains(.enrol) {
      actions = try worker.waitForTimer()
      if actions.contains(.requestLease(maximumUnits: 1)) { _ = worker.send(.leaseFailed(failure)) }
    }
    // Not for what passes within seconds.
    #expect(worker.now >= .origin + .seconds(60))
    #expect(worker.send(.enrolled(.year)).contains(.requestLease(maximumUnits: 1)))
    #expect(worker.lifecycle.turningAway == nil)
  }

  @Test func theCalendarIsLookedAtAgain() {
    var worker = LifecycleDriver(unstarted: LifecycleSettings())
    let old = StoredResult(lease: lease(7).id, finishedAt: Moment(day * -40))
    _ = worker.send(.started(certificate: .year, results: [old]))
    _ = worker.send(.leaseAnswered(.nothing))
    _ = worker.send(.uploadFailed(lease: old.lease, .down))
    // The clock was wrong by weeks at the start, and is right now.
    let fresh = StoredResult(lease: old.lease, finishedAt: Moment(.zero))
    let term = CertificateTerm(renewAt: worker.now)
    #expect(worker.send(.calendarRead(term, results: [fresh])) == [.renewCertificate])
    #expect(worker.wait(day * 2).contains(.upload(lease: old.lease)))
  }

  @Test func anAnnouncedAddressIsTakenUpOnceItAnswers() throws {
    var worker = LifecycleDriver()
    var answer = LeaseResponse.nothing
    answer.nextAddress = "https://new.example"
    let move = WorkerAction.move(url: "https://new.example")
    #expect(worker.send(.leaseAnswered(answer)) == [move])
    #expect(worker.send(.movingFailed(.down)) == [])
    var attempts = 0
    while worker.now < .origin + day {
      let actions = try worker.waitForTimer()
      // The old address is gone.
      if actions.contains(.requestLease(maximumUnits: 1)) { _ = worker.send(.leaseFailed(.down)) }
      if actions.contains(move) {
        attempts += 1
        _ = worker.send(.movingFailed(.down))
      }
    }
    #expect(attempts >= 24 * 6 && attempts < 24 * 14)
    while !(try worker.waitForTimer()).contains(move) {}
    _ = worker.send(.moved(.year))
    #expect(worker.send(.leaseAnswered(.nothing)) == [])
    #expect(!worker.wait(day).contains(move))
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

  /// What the owner's limits hold makes no progress.
  @Test func aPausedUnitIsGivenBackAtOnce() {
    for pausesFirst in [true, false] {
      var worker = LifecycleDriver()
      worker.runUnit()
      let orders: [WorkerEvent] = [.computingAllowed(false), .terminate]
      let actions = (pausesFirst ? orders : orders.reversed()).flatMap { worker.send($0) }
      #expect(actions == [.cancelRun(lease: first.id)])
      #expect(
        worker.send(.unitCancelled(lease: first.id))
          == [.abandon(lease: first.id, .shuttingDown, detail: "stopped before its end")])
      #expect(worker.send(.abandonmentEnded(lease: first.id)) == [.stop(.drained)])
    }
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
