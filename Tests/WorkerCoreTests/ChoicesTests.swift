import Testing
import WireProtocol
import WorkerCore

/// What the owner chose holds, whatever a coordinator gives.
@Suite struct ChoicesTests {
  private let refusal = "not what this machine's owner chose"

  private func unit(_ number: Int, model: String) -> Lease {
    var lease = lease(number)
    lease.work = WorkDescription(models: [model], licence: nil, pool: "public")
    return lease
  }

  private func chooser(_ models: String...) -> LifecycleDriver {
    var worker = LifecycleDriver()
    #expect(worker.send(.chosen(WorkChoices(models: models))) == [])
    return worker
  }

  @Test func whatWasNotChosenIsGivenBackAndNotAskedForInALoop() throws {
    var worker = chooser("a")
    let other = unit(1, model: "b")
    #expect(
      worker.send(.leaseAnswered(.units([other])))
        == [.abandon(lease: other.id, .shuttingDown, detail: refusal)])
    guard case .idle(let reasons, let until) = worker.lifecycle.activity else {
      Issue.record("not idle")
      return
    }
    #expect(reasons == [.notChosen: 1] && worker.now.duration(to: until) >= .seconds(60))
    #expect(try worker.waitForTimer() == [.requestLease(maximumUnits: 1)])
    let own = unit(2, model: "a")
    #expect(worker.send(.leaseAnswered(.units([own]))) == [.fetch(own)])
  }

  @Test func aNewChoiceAsksAtOnce() {
    var worker = chooser("a")
    _ = worker.send(.leaseAnswered(.nothing))
    #expect(worker.send(.chosen(WorkChoices())) == [.requestLease(maximumUnits: 1)])
  }

  @Test func aUnitThatIsChosenNoMoreIsGivenBackWhereverItIs() {
    var worker = chooser("a")
    let own = unit(1, model: "a")
    _ = worker.send(.leaseAnswered(.units([own])))
    let other = WorkChoices(models: ["b"])
    #expect(
      worker.send(.chosen(other)) == [
        .cancelFetch(lease: own.id), .abandon(lease: own.id, .shuttingDown, detail: refusal),
        .requestLease(maximumUnits: 1),
      ])
    #expect(worker.lifecycle.heldLeases == [])

    var running = chooser("a")
    _ = running.send(.leaseAnswered(.units([own])))
    _ = running.send(.blobsReady(lease: own.id))
    #expect(running.send(.chosen(other)) == [.cancelRun(lease: own.id)])
    let actions = running.send(.unitCancelled(lease: own.id))
    #expect(
      actions.contains {
        if case .abandon(own.id, .shuttingDown, _) = $0 { true } else { false }
      })
    // One that finishes first is kept: it is done.
    var finishing = chooser("a")
    _ = finishing.send(.leaseAnswered(.units([own])))
    _ = finishing.send(.blobsReady(lease: own.id))
    _ = finishing.send(.chosen(other))
    #expect(finishing.send(.unitFinished(lease: own.id)).contains(.upload(lease: own.id)))
  }

  @Test func aUnitOfTheLastRunThatIsNotChosenIsGivenBack() {
    var worker = WorkerLifecycle(
      settings: LifecycleSettings(), choices: WorkChoices(models: ["b"]), seed: 1)
    let held = unit(1, model: "a")
    let actions = worker.handle(
      .started(
        certificate: .year, results: [],
        units: [StoredUnit(lease: held, fruitlessStarts: 0)]), at: .origin)
    #expect(
      actions == [
        .abandon(lease: held.id, .shuttingDown, detail: refusal), .requestLease(maximumUnits: 1),
      ])
  }
}
