import CoordinatorCore
import Testing

@Suite("Fine-tuning jobs: states and rounds")
struct FineTuningTests {
  private static let start = Timestamp(seconds: 1_800_000_000)

  private static func at(_ seconds: Int) -> Timestamp { start.adding(seconds: seconds) }

  @Test("a wish is granted only where the state allows it, and twice is no mistake")
  func wishes() {
    let granted: [FineTuningState: [FineTuningWish: FineTuningState]] = [
      .validating: [.cancel: .cancelled],
      .running: [.cancel: .cancelled, .pause: .paused, .resume: .running],
      .paused: [.cancel: .cancelled, .pause: .paused, .resume: .running],
      .cancelled: [.cancel: .cancelled], .succeeded: [:], .failed: [:],
    ]
    for (state, wishes) in granted {
      for wish in [FineTuningWish.cancel, .pause, .resume] {
        #expect(state.asked(wish) == wishes[wish], "\(state) \(wish)")
      }
    }
    #expect(FineTuningState.running.status(hasBegun: false) == "queued")
    #expect(FineTuningState.running.status(hasBegun: true) == "running")
    #expect(FineTuningState.paused.status(hasBegun: true) == "queued")
  }

  @Test("a round is joined when all are there, or when stragglers have had as long again")
  func rounds() {
    let rule = RoundRule()
    func verdict(_ shards: [RoundRule.Shard], now: Int) -> RoundRule.Verdict {
      rule.verdict(shards, published: Self.start, now: Self.at(now))
    }
    #expect(verdict([.open, .open], now: 10_000) == .wait(until: nil))
    #expect(verdict([.accepted(Self.at(60)), .accepted(Self.at(70))], now: 70) == .join)
    #expect(verdict([.accepted(Self.at(60)), .lost], now: 60) == .join)
    #expect(verdict([.lost, .lost], now: 60) == .fail)
    #expect(verdict([.lost, .open], now: 60) == .wait(until: nil))
    // Half of four have to be there; the second came after 80 seconds.
    let half: [RoundRule.Shard] = [.accepted(Self.at(80)), .accepted(Self.at(50)), .open, .open]
    let end = Self.at(80 + 80 + rule.graceSeconds)
    #expect(verdict(half, now: 81) == .wait(until: end))
    #expect(rule.verdict(half, published: Self.start, now: end) == .join)
    // Nobody is late for what stood still.
    let resumed = Self.at(5000)
    #expect(
      rule.verdict(half, published: Self.start, resumed: resumed, now: resumed)
        == .wait(until: resumed.adding(seconds: 80 + rule.graceSeconds)))
    #expect(
      verdict([.accepted(Self.at(80)), .open, .open, .open], now: 100_000) == .wait(until: nil))
  }

  @Test("the best round is the first of the least loss; patience counts rounds after it")
  func earlyStop() {
    #expect(EarlyStop.best([nil, nil]) == nil)
    #expect(EarlyStop.best([4, 3, nil, 3, 3.5]) == 1)
    #expect(!EarlyStop(patience: nil).ends([1, 2, 3, 4, 5]))
    #expect(!EarlyStop(patience: 2).ends([4, 3, 3.5]))
    #expect(EarlyStop(patience: 2).ends([4, 3, 3.5, 3]))
    // A loss that is not known yet is no reason to end.
    #expect(!EarlyStop(patience: 2).ends([4, 3, 3.5, nil]))
    #expect(!EarlyStop(patience: 2).ends([2, nil, 2.1, 2.2]))
    #expect(!EarlyStop(patience: 1).ends([nil, nil]))
  }

  @Test("rounds are as large as machines and examples allow, and there are several")
  func automaticRounds() {
    func round(_ batches: Int, _ machines: Int) -> [Int] {
      let chosen = FineTuningOptions.Automatic.round(.init(), batches: batches, machines: machines)
      return [chosen.shards, chosen.localSteps]
    }
    #expect(round(10_000, 4) == [4, 50])
    #expect(round(10_000, 500) == [16, 50])
    #expect(round(90, 2) == [2, 15])
    #expect(round(1, 8) == [1, 1])
    // A long run has larger rounds, not more than can be kept.
    #expect(round(10_000_000, 4) == [4, 2442])
    var options = FineTuningOptions()
    (options.shards, options.localSteps) = (3, 7)
    let chosen = FineTuningOptions.Automatic.round(options, batches: 2, machines: 1)
    #expect(chosen == (3, 7))
  }
}
