import CoordinatorCore
import TestSupport
import Testing

@Suite("Audits that wait")
struct AuditBacklogTests {
  private func audits(
    _ units: Range<Int64>, by accounts: Set<String>, flops: (Int64) -> Double = { _ in 1 }
  ) -> [DueAudit] {
    units.map { DueAudit(unit: $0, accounts: accounts, flops: flops($0)) }
  }

  private func dropped(_ due: [DueAudit], limit: Int, lot: Int = 0) -> [Int64] {
    AuditBacklog(limit: limit).dropped(from: due) { min(lot, $0 - 1) }
  }

  @Test("a list that is not too long loses nothing")
  func fits() {
    #expect(dropped([], limit: 0).isEmpty)
    #expect(dropped(audits(0..<3, by: ["ann", "bob"]), limit: 3).isEmpty)
  }

  @Test("a flood of small units displaces itself, neither others' audits nor its own large ones")
  func flood() {
    let lie = audits(0..<1, by: ["m1", "m2"]) { _ in 1e12 }
    let others = audits(1..<3, by: ["ann", "bob"]) { _ in 1 }
    let small = audits(10..<200, by: ["m1", "m2"]) { Double($0) * 1e6 }
    let due: [DueAudit] = lie + others + small
    for order in [due, Array(due.reversed())] {
      let gone = dropped(order, limit: 8)
      // The smallest of the flood, until the largest of it are left beside the others.
      #expect(gone == Array(10..<195))
    }
  }

  @Test("a flood with ever other partners is that of the account that is in all of it")
  func partners() {
    let others = audits(0..<4, by: ["ann", "bob"])
    let flood = (4..<40).map { DueAudit(unit: $0, accounts: ["m", "partner \($0)"], flops: 1e9) }
    #expect(dropped(others + flood, limit: 20).allSatisfy { $0 >= 4 })
  }

  @Test("the lot decides between audits of one size")
  func ties() {
    let due = audits(0..<5, by: ["ann", "bob"]) { $0 == 4 ? 2 : 1 }
    #expect(dropped(due, limit: 4, lot: 0) == [0])
    #expect(dropped(due, limit: 4, lot: 2) == [2])
    #expect(dropped(due, limit: 4, lot: 9) == [3])
  }

  @Test("whatever waits, as many as may are left, each dropped once")
  func bounds() {
    for seed in testSeeds(50) {
      var random = SeededRandom(seed: seed)
      let due = (0..<Int64.random(in: 0...60, using: &random)).map { unit in
        let accounts = (0..<Int.random(in: 0...3, using: &random)).map { _ in
          "account \(Int.random(in: 0..<5, using: &random))"
        }
        return DueAudit(
          unit: unit, accounts: Set(accounts),
          flops: Double(Int.random(in: 0..<4, using: &random)))
      }
      let limit = Int.random(in: 0...40, using: &random)
      let gone = AuditBacklog(limit: limit).dropped(from: due) { Int(random.next() % UInt64($0)) }
      #expect(due.count - gone.count == min(due.count, limit), "seed \(seed)")
      #expect(Set(gone).count == gone.count, "seed \(seed)")
    }
  }
}
