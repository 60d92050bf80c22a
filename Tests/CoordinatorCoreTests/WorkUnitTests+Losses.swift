import CoordinatorCore
import TestSupport
import Testing
import WireProtocol

/// Replicas that end without a result, or late.
extension WorkUnitTests {
  @Test("an expired lease goes on when its worker is still at it, unless its place is taken")
  func revived() {
    var unit = unit("ann", "bob")
    unit.lose(1, as: .expired, policy)
    #expect(unit.missing == 1)
    let later = noon.adding(seconds: 60)
    var isRevived = unit.revive(1, until: later)
    #expect(isRevived && unit.replicas[0].state == .running(deadline: later))
    #expect(unit.missing == 0)
    isRevived = unit.revive(1, until: later)
    #expect(!isRevived, "it runs")

    unit.lose(1, as: .expired, policy)
    unit.lease(3, worker: "w-carl", account: "carl", until: noon)
    isRevived = unit.revive(1, until: later)
    #expect(!isRevived, "its place is taken")
    unit.lose(3, as: .abandoned(.shuttingDown), policy)
    isRevived = unit.revive(3, until: later)
    #expect(!isRevived, "what was given back stays so")
    unit.cancel()
    isRevived = unit.revive(1, until: later)
    #expect(!isRevived, "nobody needs the unit")
  }

  /// Accounts lose replicas in turns, `times` altogether.
  private func lose(
    _ unit: inout WorkUnit, _ times: Int, by accounts: [String], as reasons: [Replica.State],
    among parties: Int = .max
  ) {
    for index in 0..<times {
      let id = Int64(unit.replicas.count + 1)
      let account = accounts[index % accounts.count]
      unit.lease(id, worker: "w-\(account)", account: account, until: noon)
      unit.lose(id, as: reasons[index % reasons.count], among: parties, policy)
    }
  }

  @Test("one account counts once, however often it loses a unit; shutting down is no loss")
  func lostByOneAccount() {
    var unit = WorkUnit(pool: .public)
    lose(&unit, 50, by: ["ann"], as: [.expired, .abandoned(.failed)], among: 2)
    #expect(unit.state == .open && unit.missing == 2)
    lose(&unit, 50, by: ["a", "b", "c", "d", "e", "f"], as: [.abandoned(.shuttingDown)])
    #expect(unit.state == .open)
    lose(&unit, policy.maximumLostReplicas - 2, by: ["b", "c", "d", "e"], as: [.expired])
    #expect(unit.state == .open)
    lose(&unit, 1, by: ["f"], as: [.expired])
    #expect(unit.state == .awaitingReplay(.lostReplicas))
  }

  @Test("where fewer accounts are there, all of them must have lost a unit, again and again")
  func lostByAll() {
    var unit = WorkUnit(pool: .public)
    lose(&unit, policy.maximumLostReplicas - 1, by: ["ann", "bob"], as: [.expired], among: 2)
    #expect(unit.state == .open)
    lose(&unit, 1, by: ["bob"], as: [.expired], among: 2)
    #expect(unit.state == .awaitingReplay(.lostReplicas))
    // In the trusted pool all machines may be of one account: each counts.
    var trusted = WorkUnit(pool: .trusted)
    lose(&trusted, policy.maximumLostReplicas, by: ["lab"], as: [.expired], among: 2)
    #expect(trusted.state == .open)
    lose(&trusted, 1, by: ["other"], as: [.expired], among: 2)
    #expect(trusted.state == .awaitingReplay(.lostReplicas))
  }

  @Test("a lost unit that waits for the trusted machine stays open, and accounts may settle it")
  func lostStaysOpen() {
    var unit = WorkUnit(pool: .public)
    lose(
      &unit, policy.maximumLostReplicas, by: ["a", "b", "c", "d", "e", "f"], as: [.expired])
    #expect(unit.state == .awaitingReplay(.lostReplicas) && unit.missing == 2)
    unit.lease(100, worker: "w-g", account: "g", until: noon)
    unit.lease(101, worker: "w-h", account: "h", until: noon)
    _ = unit.submit(100, result: truth)
    let accepted = Acceptance(result: truth, verification: .quorum, replicas: 2)
    #expect(unit.submit(101, result: truth).first == .complete(accepted))
  }

  @Test(
    "what several accounts call invalid goes to the trusted machine, unless somebody computed it")
  func invalid() {
    var unit = WorkUnit(pool: .public)
    lose(&unit, 4, by: ["ann"], as: [.abandoned(.invalidUnit)], among: 9)
    lose(&unit, 1, by: ["bob"], as: [.abandoned(.invalidUnit)], among: 9)
    #expect(unit.state == .open)
    unit.lease(100, worker: "w", account: "carl", until: noon)
    let actions = unit.lose(
      100, as: .abandoned(.invalidUnit), detail: "type F64", among: 9, policy)
    #expect(actions.isEmpty && unit.state == .awaitingReplay(.calledInvalid))
    #expect(unit.missing == 2, "another account may compute it")
    lose(&unit, 9, by: ["d", "e", "f"], as: [.abandoned(.invalidUnit), .expired], among: 9)
    #expect(unit.state == .awaitingReplay(.calledInvalid))

    var small = WorkUnit(pool: .public)
    lose(&small, 2, by: ["ann", "bob"], as: [.abandoned(.invalidUnit)], among: 2)
    #expect(small.state == .awaitingReplay(.calledInvalid))

    var computed = self.unit("zoe")
    _ = computed.submit(1, result: truth)
    lose(
      &computed, 5, by: ["a", "b", "c", "d", "e"], as: [.abandoned(.invalidUnit)], among: 9)
    #expect(computed.state == .open)
  }

  /// Ann, Bob and Carl called it invalid.
  private func calledInvalid() -> WorkUnit {
    var unit = WorkUnit(pool: .public)
    lose(&unit, 3, by: ["ann", "bob", "carl"], as: [.abandoned(.invalidUnit)], among: 9)
    return unit
  }

  @Test(
    "what the trusted machine computes was not invalid: who said so was wrong, and gave no result")
  func refuted() {
    var unit = calledInvalid()
    unit.lease(4, worker: "w-dave", account: "dave", until: noon)
    #expect(unit.submit(4, result: truth).isEmpty)
    let accepted = Acceptance(result: truth, verification: .replay, replicas: 2)
    #expect(
      unit.settle(byReplay: truth) == [
        .complete(accepted), .grant(replica: 4), .refute(replica: 1), .refute(replica: 2),
        .refute(replica: 3),
      ])
    #expect(unit.state == .accepted(accepted))
  }

  @Test(
    "what the trusted machine cannot compute either is invalid, in its words, and refutes nobody")
  func confirmedInvalid() {
    var unit = calledInvalid()
    for _ in 1..<policy.maximumReplays {
      #expect(unit.failReplay(reason: "type F64", policy).isEmpty)
    }
    #expect(unit.failReplay(reason: "type F64", policy) == [.fail(reason: "type F64")])
    #expect(unit.state == .failed(reason: "type F64"))
  }

  @Test(
    "two accounts that compute what others called invalid settle it without the trusted machine")
  func invalidAndComputed() {
    var unit = calledInvalid()
    unit.lease(4, worker: "w-dave", account: "dave", until: noon)
    unit.lease(5, worker: "w-eve", account: "eve", until: noon)
    _ = unit.submit(4, result: truth)
    let accepted = Acceptance(result: truth, verification: .quorum, replicas: 2)
    #expect(
      unit.submit(5, result: truth)
        == [.complete(accepted), .grant(replica: 4), .grant(replica: 5)])
  }

  @Test("the operator's own machines are believed when they call a unit invalid")
  func invalidInTrustedPool() {
    var unit = unit("lab", pool: .trusted)
    let actions = unit.lose(1, as: .abandoned(.invalidUnit), detail: "type F64", among: 1, policy)
    #expect(actions == [.fail(reason: "type F64")] && unit.state == .failed(reason: "type F64"))
  }

  @Test("once a result is there, a late replica holds no place; its result is welcome all the same")
  func late() {
    var unit = unit("ann", "bob")
    unit.noteLate(2)
    #expect(unit.missing == 0, "late, but nothing else is there")
    _ = unit.submit(1, result: truth)
    #expect(unit.missing == 1)
    #expect(!unit.mayLease(account: "bob") && unit.mayLease(account: "carl"))
    unit.lease(3, worker: "w-carl", account: "carl", until: noon)
    #expect(unit.missing == 0)
    var overtaken = unit
    let accepted = Acceptance(result: truth, verification: .quorum, replicas: 2)
    #expect(unit.submit(3, result: truth).first == .complete(accepted))
    #expect(unit.submit(2, result: truth) == [.grant(replica: 2)])
    #expect(overtaken.submit(2, result: truth).first == .complete(accepted))
    #expect(overtaken.replicas[2].state == .notNeeded)
  }

  @Test("who gave a unit up is known: the account, in the trusted pool the machine")
  func givenUp() {
    for reason in [Replica.State.expired, .abandoned(.shuttingDown), .abandoned(.invalidUnit)] {
      for pool in [WorkPool.public, .trusted] {
        var unit = unit("ann", pool: pool)
        #expect(!unit.wasGivenUp(by: "w-ann", of: "ann"))
        unit.lose(1, as: reason, policy)
        #expect(unit.wasGivenUp(by: "w-ann", of: "ann"))
        #expect(unit.wasGivenUp(by: "w-2", of: "ann") == (pool == .public))
        #expect(!unit.wasGivenUp(by: "w-bob", of: "bob"))
        #expect(
          unit.wasRefused(by: "w-ann", of: "ann") == (reason == .abandoned(.invalidUnit)))
      }
    }
  }
}
