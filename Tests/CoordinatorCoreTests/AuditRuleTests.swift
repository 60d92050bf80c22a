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
    let policy = CoordinatorPolicy()
    func penalty(_ machines: Int, _ accepted: Int = 0) -> AccountPenalty {
      policy.accountPenalty(AccountStrikes(wrongMachines: machines, accepted: accepted))
    }
    #expect(penalty(1) == .hold(seconds: 600))
    #expect(penalty(2) == .suspension(seconds: 7_200))
    #expect(penalty(3) == .suspension(seconds: 14_400))
    #expect(penalty(100) == .suspension(seconds: 30 * 86_400))
  }

  @Test("an account with much to show for itself has some broken machines free")
  func bigAccount() {
    let policy = CoordinatorPolicy()
    func penalty(_ machines: Int, _ accepted: Int) -> AccountPenalty {
      policy.accountPenalty(AccountStrikes(wrongMachines: machines, accepted: accepted))
    }
    #expect(penalty(1, 999) == .hold(seconds: 600))
    #expect(penalty(1, 1_000) == .none)
    #expect(penalty(10, 10_000) == .none)
    #expect(penalty(12, 10_000) == .suspension(seconds: 7_200))
  }
}
