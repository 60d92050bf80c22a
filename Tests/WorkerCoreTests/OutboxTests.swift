import Testing
import TestSupport
import WireProtocol
import WorkerCore

@Suite struct OutboxTests {
  let first = lease(1)

  @Test func aResultOutlivesAnOutageOfTenMinutes() throws {
    for seed in testSeeds(10) {
      var worker = LifecycleDriver(seed: seed)
      worker.runUnit()
      var actions = worker.send(.unitFinished(lease: first.id))
      var uploads = 0
      while worker.now < .origin + .seconds(600) {
        for action in actions {
          switch action {
          case .upload(let id):
            uploads += 1
            _ = worker.send(.uploadFailed(lease: id, .down))
          case .requestLease: _ = worker.send(.leaseFailed(.down))
          default: Issue.record("unexpected \(action)")
          }
        }
        actions = try worker.waitForTimer()
      }
      #expect(worker.lifecycle.waitingResults == 1)
      #expect(uploads < 40)
      // Back: within a minute the result is asked for again.
      #expect(worker.now < .origin + .seconds(661))
    }
  }

  @Test func anyAnswerOfTheCoordinatorReleasesWaitingResults() throws {
    var worker = LifecycleDriver()
    worker.runUnit()
    _ = worker.send(.unitFinished(lease: first.id))
    // The request for the next unit is still under way when the upload fails.
    #expect(worker.send(.uploadFailed(lease: first.id, .down)) == [])
    #expect(worker.send(.leaseAnswered(.nothing)) == [.upload(lease: first.id)])
  }

  @Test func resultsOfAnEarlierRunAreSentAtStart() {
    var worker = LifecycleDriver(unstarted: LifecycleSettings())
    let old = StoredResult(lease: first.id, finishedAt: Moment(.seconds(-3600)))
    let ancient = StoredResult(lease: lease(2).id, finishedAt: Moment(.seconds(-15 * 86400)))
    let actions = worker.send(.started(certificate: .year, results: [old, ancient]))
    #expect(
      actions == [
        .upload(lease: ancient.lease), .upload(lease: first.id), .requestLease(maximumUnits: 1),
      ])
    // The calendar that calls it old may be wrong at a machine's start.
    _ = worker.send(.uploadFailed(lease: ancient.lease, .down))
    _ = worker.wait(.seconds(86_000))
    _ = worker.send(.uploadFailed(lease: ancient.lease, .down))
    #expect(worker.wait(.seconds(600)).contains(.discardResult(lease: ancient.lease, .tooOld)))
  }

  @Test func resultsWaitUntilTheWorkerHasJoinedAgain() {
    var worker = LifecycleDriver(unstarted: LifecycleSettings())
    let old = StoredResult(lease: first.id, finishedAt: Moment(.seconds(-60)))
    #expect(worker.send(.started(certificate: nil, results: [old])) == [.enrol])
    // Nothing to do by itself: the answer moves the worker on.
    #expect(worker.lifecycle.nextTimer == nil)
    #expect(
      worker.send(.enrolled(.year))
        == [.upload(lease: first.id), .requestLease(maximumUnits: 1)])
  }

  @Test func onlyTheCoordinatorsOwnRefusalDropsAResult() throws {
    var worker = LifecycleDriver()
    worker.runUnit()
    _ = worker.send(.unitFinished(lease: first.id))
    // A proxy answers while the coordinator restarts.
    let proxy = RequestFailure.refused(status: 404, code: nil, message: "not found")
    #expect(worker.send(.uploadFailed(lease: first.id, proxy)) == [])
    #expect(worker.lifecycle.waitingResults == 1)
    _ = worker.send(.leaseFailed(.down))
    while !(try worker.waitForTimer()).contains(.upload(lease: first.id)) {}
    let refusal = RequestFailure.refused(
      status: 404, code: WorkerErrorCode.leaseUnknown, message: "no such lease")
    #expect(
      worker.send(.uploadFailed(lease: first.id, refusal))
        == [.discardResult(lease: first.id, .refused(message: "no such lease"))])
  }

  @Test func noNewUnitsWhileTooManyResultsWait() throws {
    var settings = LifecycleSettings()
    settings.maximumWaitingResults = 3
    var worker = LifecycleDriver(settings)
    for number in 1...3 {
      worker.runUnit(number)
      let actions = worker.send(.unitFinished(lease: lease(number).id))
      #expect(actions.contains(.upload(lease: lease(number).id)))
      #expect(actions.contains(.requestLease(maximumUnits: 1)) == (number < 3))
    }
    #expect(
      worker.send(.uploadAnswered(lease: lease(1).id, .taken)).contains(
        .requestLease(maximumUnits: 1)))
  }
}
