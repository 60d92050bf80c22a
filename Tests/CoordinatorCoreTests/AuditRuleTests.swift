import CoordinatorCore
import Testing

@Suite("Audits and strikes")
struct AuditRuleTests {
  @Test(
    "the less is known of those who agreed, the likelier an audit",
    arguments: [
      ([5, 5], 0.01), ([5, 9, 7], 0.01), ([5, 4], 0.05), ([0, 0], 0.2), ([4, 4, 4], 0.2),
    ])
  func chances(confirmations: [Int], expected: Double) {
    let chance = AuditRule(share: 0.01).chance(confirmations: confirmations)
    #expect(abs(chance - expected) < 1e-12)
  }

  @Test("a share is a probability, whatever multiplies it")
  func bounds() {
    #expect(AuditRule(share: 0.3).chance(confirmations: [0, 0]) == 1)
    #expect(AuditRule(share: 0).chance(confirmations: [0, 0]) == 0)
  }

  @Test("one broken machine holds an account back shortly, several suspend it longer each time")
  func escalation() {
    func penalty(_ machines: Int) -> AccountPenalty { self.penalty(machines, accepted: 0) }
    #expect(penalty(1) == .hold(seconds: 600))
    #expect(penalty(2) == .suspension(seconds: 7_200))
    #expect(penalty(3) == .suspension(seconds: 14_400))
    #expect(penalty(100) == .suspension(seconds: 30 * 86_400))
  }

  /// Of an account whose units have `work` operations each, and whose machines got one wrong each,
  /// of `wrong` operations.
  private func penalty(
    _ machines: Int, accepted: Int, work: Double = 1e12, wrong: Double = 1e12
  ) -> AccountPenalty {
    CoordinatorPolicy().accountPenalty(
      AccountStrikes(
        wrongMachines: machines, wrongWork: Double(machines) * wrong, accepted: accepted,
        acceptedWork: Double(accepted) * work))
  }

  @Test("an account with much to show for itself has some broken machines free")
  func bigAccount() {
    #expect(penalty(1, accepted: 999) == .hold(seconds: 600))
    #expect(penalty(1, accepted: 1_000) == .none)
    #expect(penalty(10, accepted: 10_000) == .none)
    #expect(penalty(12, accepted: 10_000) == .suspension(seconds: 7_200))
  }

  @Test("tiny results do not make up for large lies, nor one huge result for small ones")
  func toleranceByWork() {
    #expect(penalty(1, accepted: 1_000, work: 1e6) == .hold(seconds: 600))
    #expect(penalty(3, accepted: 1_000_000, work: 1e6, wrong: 1e12) == .suspension(seconds: 14_400))
    #expect(penalty(1, accepted: 1_000_000, work: 1e9, wrong: 1e12) == .none)
    #expect(penalty(1, accepted: 1, work: 1e18, wrong: 1e6) == .hold(seconds: 600))
    #expect(penalty(1, accepted: 1_000, work: 0, wrong: 0) == .hold(seconds: 600))
  }

  @Test("credit gives back the operations that it was granted for")
  func creditAsWork() {
    for flops in [1e9, 3.7e12, 8.64e16] {
      #expect(abs(Credit(flops: flops).flops - flops) <= 1e-3 * flops)
    }
  }
}
