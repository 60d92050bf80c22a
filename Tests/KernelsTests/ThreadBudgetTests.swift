import Kernels
import Testing

@Suite struct ThreadBudgetTests {
  private static let millisecond: UInt64 = 1_000_000

  /// Runs jobs of `work` ns for a second, of which each takes as much longer as `late` says for the
  /// threads it had; returns the threads of each.
  private func run(
    _ budget: inout ThreadBudget, from start: UInt64, late: (_ threads: Int) -> UInt64
  ) -> [Int] {
    var (now, threads): (UInt64, [Int]) = (start, [])
    while now < start + 1000 * Self.millisecond {
      let active = budget.threads(at: now)
      threads.append(active)
      let lateness = active > 1 ? late(active) : 0
      now += Self.millisecond + lateness
      if active > 1 { budget.jobEnded(at: now, late: lateness) }
    }
    return threads
  }

  @Test func nobodyIsLeftOutForWaitsThatPay() {
    var budget = ThreadBudget(limit: 4)
    // A fifth of the time: four threads still do the work of 3.2.
    let threads = run(&budget, from: 0) { _ in Self.millisecond / 4 }
    #expect(threads.allSatisfy { $0 == 4 })
  }

  @Test func aThreadThatCostsMoreThanItGivesIsLeftOut() {
    var budget = ThreadBudget(limit: 2)
    let threads = run(&budget, from: 0) { _ in 3 * Self.millisecond }
    // Most jobs have one thread, and later attempts are rarer.
    #expect(threads.filter { $0 == 1 }.count > threads.count * 8 / 10)
    let attempts = zip(threads, threads.dropFirst()).count { $0 == 1 && $1 == 2 }
    #expect((1...6).contains(attempts))
  }

  @Test func onlyAsManyAsNeededAreLeftOut() {
    var budget = ThreadBudget(limit: 4)
    // The fourth thread is always late, three are not.
    let threads = run(&budget, from: 0) { $0 == 4 ? 4 * Self.millisecond : 0 }
    #expect(threads.allSatisfy { $0 >= 3 })
    #expect(threads.filter { $0 == 3 }.count > threads.count * 8 / 10)
  }

  @Test func aThreadComesBackWhenItsCoreIsFree() {
    var budget = ThreadBudget(limit: 2)
    _ = run(&budget, from: 0) { _ in 5 * Self.millisecond }
    let threads = run(&budget, from: 1000 * Self.millisecond) { _ in 0 }
    #expect(threads.last == 2)
    let back = run(&budget, from: 4000 * Self.millisecond) { _ in 0 }
    #expect(back.allSatisfy { $0 == 2 })
  }
}
