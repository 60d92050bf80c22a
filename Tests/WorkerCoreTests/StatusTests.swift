import Testing
import WireProtocol
import WorkerCore

@Suite struct StatusTests {
  @Test func standingIsAskedForAfterResultsAtMostEveryTenMinutes() {
    var schedule = StandingSchedule()
    let delivered = WorkerEvent.uploadAnswered(lease: "a", .taken)
    func asks(_ event: WorkerEvent, after seconds: Int) -> Bool {
      schedule.isDue(after: event, at: .origin + .seconds(seconds))
    }
    #expect(!asks(.started(certificate: nil, results: []), after: 0))
    #expect(asks(.enrolled(.year), after: 1))
    #expect(!asks(delivered, after: 2))
    #expect(!asks(delivered, after: 600))
    #expect(!asks(.timer, after: 700))
    let rejected = ResultReceipt(state: .rejected, credit: 0)
    #expect(!asks(.uploadAnswered(lease: "b", rejected), after: 700))
    #expect(asks(delivered, after: 701))
    #expect(!asks(delivered, after: 702))
  }

  @Test func theRateIsThatOfTheLastMoments() {
    var rate = TokenRate(at: .origin)
    #expect(rate.perSecond(at: .origin) == nil)
    // Ten a second for a minute, in passes of a tenth of a second, then five a second.
    for tenth in 1...600 { rate.add(1, at: .origin + .milliseconds(100 * tenth)) }
    #expect(abs((rate.perSecond(at: .origin + .seconds(60)) ?? 0) - 10) < 0.1)
    for fifth in 1...200 { rate.add(1, at: .origin + .milliseconds(60_000 + 200 * fifth)) }
    #expect(abs((rate.perSecond(at: .origin + .seconds(100)) ?? 0) - 5) < 0.1)
    // Held still, it falls to nothing.
    #expect(rate.perSecond(at: .origin + .seconds(200)) == 0)
    #expect(rate.total == 800)
  }

  @Test func theDeadlineIsWhatTheCoordinatorSaidLast() throws {
    var worker = LifecycleDriver()
    worker.runUnit()
    let id = lease(1).id
    #expect(worker.lifecycle.deadline(ofLease: id) == .origin + .seconds(60))
    _ = try worker.waitForTimer()
    let answer = HeartbeatResponse(verdict: .proceed, deadlineSeconds: 300)
    _ = worker.send(.heartbeatAnswered(lease: id, answer))
    #expect(worker.lifecycle.deadline(ofLease: id) == .origin + .seconds(310))
    let absurd = HeartbeatResponse(verdict: .proceed, deadlineSeconds: .max)
    _ = worker.send(.heartbeatAnswered(lease: id, absurd))
    #expect(worker.lifecycle.deadline(ofLease: id) != nil)
    #expect(worker.lifecycle.deadline(ofLease: "lease_nobody") == nil)
  }
}
