import CoordinatorCore
import TestSupport
import Testing
import WireProtocol

let noon = Timestamp(seconds: 1_800_000_000)
let truth = digest("a")
let lie = digest("b")

/// A digest that repeats one hexadecimal digit.
func digest(_ digit: Character) -> Digest {
  guard let digest = Digest(hex: String(repeating: digit, count: 64)) else {
    preconditionFailure("a hexadecimal digit")
  }
  return digest
}

@Suite("Work units")
struct WorkUnitTests {
  let policy = CoordinatorPolicy()

  /// A unit with a running replica for each account, numbered from 1; workers are named like their
  /// account.
  func unit(_ accounts: String..., pool: WorkPool = .public) -> WorkUnit {
    var unit = WorkUnit(pool: pool)
    for (index, account) in accounts.enumerated() {
      unit.lease(Int64(index + 1), worker: "w-\(account)", account: account, until: noon)
    }
    return unit
  }

  /// Ann's lease ran out: replica 2 is Bob's, replica 3 Carl's in her place.
  private func unitOfCarl() -> WorkUnit {
    var unit = unit("ann", "bob")
    unit.lose(1, as: .expired, policy)
    unit.lease(3, worker: "w-carl", account: "carl", until: noon)
    return unit
  }

  @Test("why the rule decided as it did is kept")
  func verdicts() {
    var unit = unit("ann", "bob", "carl")
    #expect(unit.verdict == nil)
    _ = unit.submit(1, result: truth)
    #expect(unit.verdict == "1 of 2 accounts gave a result")
    var agreed = unit
    _ = agreed.submit(2, result: truth)
    #expect(agreed.verdict == "2 accounts gave equal digests")
    _ = unit.submit(2, result: lie)
    #expect(unit.verdict == "2 results have 2 different digests")
    _ = unit.settle(byReplay: truth)
    #expect(unit.verdict == "the replay agrees with 1 of 2 results")
  }

  @Test("equal digests of two accounts are believed, and both are paid")
  func quorum() {
    var unit = unit("ann", "bob")
    #expect(unit.missing == 0)
    #expect(unit.submit(1, result: truth).isEmpty)
    let accepted = Acceptance(result: truth, verification: .quorum, replicas: 2)
    #expect(
      unit.submit(2, result: truth)
        == [.complete(accepted), .grant(replica: 1), .grant(replica: 2)])
    #expect(unit.state == .accepted(accepted))
  }

  @Test("a unit wants two accounts; one account is never given both replicas")
  func accounts() {
    var unit = WorkUnit(pool: .public)
    #expect(unit.missing == 2)
    unit.lease(1, worker: "w1", account: "ann", until: noon)
    #expect(unit.missing == 1)
    #expect(!unit.mayLease(account: "ann"))
    #expect(unit.mayLease(account: "bob"))
    unit.lease(2, worker: "w2", account: "bob", until: noon)
    #expect(unit.missing == 0)
    #expect(!unit.mayLease(account: "carl"))
  }

  @Test("two results of one account are one opinion")
  func sameAccountTwice() {
    var unit = unit("ann")
    unit.lose(1, as: .expired, policy)
    unit.lease(2, worker: "w-ann-2", account: "ann", until: noon)
    #expect(unit.submit(2, result: truth).isEmpty)
    #expect(unit.submit(1, result: truth).isEmpty)
    #expect(unit.replicas[0].state == .notNeeded)
    #expect(unit.state == .open)
    #expect(unit.missing == 1)
  }

  @Test("a disagreement goes to the trusted machine, whoever has the majority")
  func disagreement() {
    var unit = unit("ann", "bob")
    _ = unit.submit(1, result: lie)
    #expect(unit.submit(2, result: truth).isEmpty)
    #expect(unit.state == .awaitingReplay(.disagreement))
    #expect(unit.missing == 0)
    let actions = unit.settle(byReplay: truth)
    let accepted = Acceptance(result: truth, verification: .replay, replicas: 2)
    #expect(actions == [.complete(accepted), .reject(replica: 1), .grant(replica: 2)])
    #expect(unit.replicas.map(\.state) == [.rejected, .accepted])
  }

  @Test("the replay's bits count even against all replicas")
  func replayAgainstAll() {
    var unit = unit("ann", "bob")
    _ = unit.submit(1, result: lie)
    _ = unit.submit(2, result: digest("c"))
    let actions = unit.settle(byReplay: truth)
    #expect(
      actions == [
        .complete(Acceptance(result: truth, verification: .replay, replicas: 1)),
        .reject(replica: 1), .reject(replica: 2),
      ])
  }

  @Test("while a replay is awaited, further results wait for it and a late third is judged by it")
  func lateDuringReplay() {
    var unit = unitOfCarl()
    _ = unit.submit(2, result: lie)
    _ = unit.submit(3, result: truth)
    #expect(unit.submit(1, result: lie).isEmpty)
    #expect(unit.replicas[0].state == .submitted)
    #expect(
      unit.settle(byReplay: truth).filter { if case .reject = $0 { true } else { false } }.count
        == 2)
  }

  @Test("one run is enough in the trusted pool, and its late twin neither counts nor accuses")
  func trustedPool() {
    var unit = unit("lab", pool: .trusted)
    unit.lose(1, as: .expired, policy)
    #expect(unit.missing == 1)
    unit.lease(2, worker: "w2", account: "lab", until: noon)
    let accepted = Acceptance(result: truth, verification: .trustedPool, replicas: 1)
    #expect(unit.submit(2, result: truth) == [.complete(accepted), .grant(replica: 2)])
    #expect(unit.submit(1, result: lie).isEmpty)
    #expect(unit.replicas[0].state == .notNeeded)
  }

  /// Bob and Carl settled the unit without Ann.
  private func settledWithoutAnn(byReplay: Bool) -> WorkUnit {
    var unit = unitOfCarl()
    _ = unit.submit(2, result: truth)
    _ = unit.submit(3, result: byReplay ? lie : truth)
    if byReplay { _ = unit.settle(byReplay: truth) }
    return unit
  }

  @Test("a late result is paid when it is right", arguments: [true, false])
  func lateAndRight(byReplay: Bool) {
    var unit = settledWithoutAnn(byReplay: byReplay)
    #expect(unit.submit(1, result: truth) == [.grant(replica: 1)])
  }

  @Test("a late result that differs is rejected by a replay's bits, never by a majority's")
  func lateAndDifferent() {
    var replayed = settledWithoutAnn(byReplay: true)
    #expect(replayed.submit(1, result: lie) == [.reject(replica: 1)])
    var agreed = settledWithoutAnn(byReplay: false)
    #expect(agreed.submit(1, result: lie).isEmpty)
    #expect(agreed.replicas[0].state == .notNeeded)
  }

  @Test("an audit with the same bits changes nothing; only accepted units are audited")
  func auditPasses() {
    var unit = unit("ann", "bob")
    #expect(unit.audit(truth: truth).isEmpty && unit.state == .open)
    _ = unit.submit(1, result: truth)
    _ = unit.submit(2, result: truth)
    let before = unit
    #expect(unit.audit(truth: truth).isEmpty)
    #expect(unit == before)
  }

  @Test("an audit's bits replace what a quorum agreed on, catch who agreed, and pay who was right")
  func auditFails() {
    var unit = unitOfCarl()
    _ = unit.submit(2, result: lie)
    _ = unit.submit(3, result: lie)
    // Ann comes late, differs from the quorum, and is not accused.
    #expect(unit.submit(1, result: truth).isEmpty)
    #expect(
      unit.audit(truth: truth) == [.revoke(replica: 2), .revoke(replica: 3), .grant(replica: 1)])
    #expect(
      unit.state
        == .accepted(Acceptance(result: truth, verification: .replay, replicas: 2)))
    #expect(unit.audit(truth: truth).isEmpty)
  }

  @Test("a unit wants as many accounts as when it was cut")
  func wanted() {
    var policy = CoordinatorPolicy()
    policy.quorum = 3
    #expect(policy.accountsWanted(in: .public) == 3 && policy.accountsWanted(in: .trusted) == 1)
    var unit = WorkUnit(pool: .public, wanted: policy.accountsWanted(in: .public))
    for (index, account) in ["ann", "bob", "carl"].enumerated() {
      #expect(unit.missing == 3 - index)
      unit.lease(Int64(index), worker: "w-\(account)", account: account, until: noon)
    }
    #expect(unit.submit(0, result: truth).isEmpty)
    #expect(unit.submit(1, result: truth).isEmpty)
    #expect(unit.submit(2, result: truth).count == 4)
  }

  @Test("a dispute ends when the one who made it is caught: the unit goes back to work")
  func disputeEnds() {
    var unit = unit("ann", "bob")
    _ = unit.submit(1, result: lie)
    _ = unit.submit(2, result: truth)
    #expect(unit.takeBack(worker: "w-ann").isEmpty)
    #expect(unit.state == .open && unit.missing == 1)
    unit.lease(3, worker: "w-carl", account: "carl", until: noon)
    #expect(unit.submit(3, result: truth).count == 3)
  }

  @Test("a dispute whose other results agree is accepted when its liar is caught")
  func disputeAgrees() {
    var unit = unitOfCarl()
    _ = unit.submit(1, result: lie)
    _ = unit.submit(2, result: truth)
    _ = unit.submit(3, result: truth)
    #expect(unit.state == .awaitingReplay(.disagreement))
    #expect(
      unit.takeBack(worker: "w-ann") == [
        .complete(Acceptance(result: truth, verification: .quorum, replicas: 2)),
        .grant(replica: 2), .grant(replica: 3),
      ])
  }

  @Test("a replay's bits count also when the unit went back to work meanwhile")
  func replayOfOpen() {
    var unit = unit("ann", "bob")
    _ = unit.submit(1, result: lie)
    #expect(
      unit.settle(byReplay: truth) == [
        .complete(Acceptance(result: truth, verification: .replay, replicas: 1)),
        .reject(replica: 1),
      ])
    #expect(unit.replicas[1].state == .notNeeded)
  }

  @Test("a repeated result changes nothing")
  func repeated() {
    var unit = unit("ann", "bob")
    _ = unit.submit(1, result: truth)
    let before = unit
    #expect(unit.submit(1, result: truth).isEmpty)
    #expect(unit.submit(1, result: lie).isEmpty)
    #expect(unit == before)
  }

  @Test("a replica that is not needed any more is released")
  func released() {
    var unit = unit("ann", "bob")
    unit.lose(2, as: .expired, policy)
    unit.lease(3, worker: "w-carl", account: "carl", until: noon)
    _ = unit.submit(1, result: truth)
    _ = unit.submit(2, result: truth)
    #expect(unit.replicas[2].state == .notNeeded)
  }

  @Test("after a cancellation no result counts")
  func cancelled() {
    var unit = unit("ann", "bob")
    _ = unit.submit(1, result: truth)
    unit.cancel()
    #expect(unit.submit(2, result: truth).isEmpty)
    #expect(unit.replicas.map(\.state) == [.notNeeded, .notNeeded])
    #expect(unit.settle(byReplay: truth).isEmpty)
  }

  @Test("what the trusted machine cannot compute either fails")
  func failedReplay() {
    var unit = unit("ann", "bob")
    _ = unit.submit(1, result: lie)
    _ = unit.submit(2, result: truth)
    #expect(unit.failReplay(reason: "no memory", policy).isEmpty)
    #expect(unit.failReplay(reason: "no memory", policy) == [.fail(reason: "no memory")])
    #expect(unit.state == .failed(reason: "no memory"))
    #expect(unit.replicas.map(\.state) == [.notNeeded, .notNeeded])
  }

  @Test(
    "a caught worker's unverified results count for nothing, its leases end, its verified ones stay"
  )
  func takenBack() {
    var open = unit("ann", "bob")
    _ = open.submit(1, result: truth)
    _ = open.takeBack(worker: "w-ann")
    #expect(open.replicas[0].state == .takenBack)
    #expect(open.missing == 1)
    open.lease(3, worker: "w-carl", account: "carl", until: noon)
    _ = open.takeBack(worker: "w-carl")
    #expect(open.replicas[2].state == .revoked)
    #expect(open.submit(3, result: truth).isEmpty)
    #expect(open.state == .open)

    var settled = unit("ann", "bob")
    _ = settled.submit(1, result: truth)
    _ = settled.submit(2, result: truth)
    let before = settled
    _ = settled.takeBack(worker: "w-ann")
    #expect(settled == before)
  }
}
