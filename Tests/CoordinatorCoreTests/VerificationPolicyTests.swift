import CoordinatorCore
import Testing
import WireProtocol

@Suite("Verification policies")
struct VerificationPolicyTests {
  private func submitted(_ results: (account: String, digest: Digest)...) -> [Replica] {
    results.enumerated().map { index, result in
      Replica(
        id: Int64(index), worker: "w\(index)", account: result.account, state: .submitted,
        result: result.digest)
    }
  }

  @Test("the quorum counts accounts, not results")
  func quorum() {
    let rule = DigestQuorum(accounts: 2)
    #expect(rule.verdict(on: []) == .wait(reason: "no result yet"))
    #expect(
      rule.verdict(on: submitted(("a", truth), ("a", truth)))
        == .wait(reason: "1 of 2 accounts gave a result"))
    guard case .accept(let acceptance, _) = rule.verdict(on: submitted(("a", truth), ("b", truth)))
    else {
      Issue.record("two accounts agree")
      return
    }
    #expect(acceptance == Acceptance(result: truth, verification: .quorum, replicas: 2))
  }

  @Test("one dissenter among many is enough for a replay")
  func dissent() {
    let verdict = DigestQuorum(accounts: 2).verdict(
      on: submitted(("a", truth), ("b", truth), ("c", truth), ("d", lie)))
    #expect(verdict == .replay(reason: "4 results have 2 different digests"))
  }

  @Test("replicas that are not waiting for a verdict say nothing")
  func others() {
    var replicas = submitted(("a", truth), ("b", lie))
    replicas[1].state = .takenBack
    #expect(
      DigestQuorum(accounts: 2).verdict(on: replicas)
        == .wait(reason: "1 of 2 accounts gave a result"))
    #expect(
      DigestQuorum(accounts: 3).verdict(on: submitted(("a", truth), ("b", truth)))
        == .wait(reason: "2 of 3 accounts gave a result"))
  }

  @Test("the trusted pool believes its first result")
  func trusted() {
    guard case .accept(let acceptance, _) = TrustedPool().verdict(on: submitted(("a", truth)))
    else {
      Issue.record("one run is enough")
      return
    }
    #expect(acceptance == Acceptance(result: truth, verification: .trustedPool, replicas: 1))
  }

  @Test("a replay counts itself and those who agree with it")
  func replay() {
    let verdict = ReplaySettlement().verdict(
      on: submitted(("a", lie), ("b", truth), ("c", lie)), truth: truth)
    guard case .accept(let acceptance, let reason) = verdict else {
      Issue.record("a replay settles")
      return
    }
    #expect(acceptance.replicas == 2)
    #expect(reason == "the replay agrees with 1 of 3 results")
  }
}
