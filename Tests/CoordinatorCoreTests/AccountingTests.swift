import CoordinatorCore
import Foundation
import Testing

@Suite("Accounting")
struct AccountingTests {
  @Test("200 credits for a GFLOPS-day")
  func credit() {
    #expect(Credit(flops: 86_400e9).value == 200)
    #expect(Credit(flops: 1e12).micro == 2_314_815)
    #expect(Credit(flops: 0).micro == 0)
  }

  @Test("energy that a machine can have used is counted, anything else is not")
  func energy() {
    let claim = EnergyClaim(joules: 12.3456, isEstimated: false)
    #expect(claim.counted(elapsed: 60) == Energy(millijoules: 12_346))
    let estimate = EnergyClaim(joules: 12.3456, isEstimated: true).counted(elapsed: 60)
    #expect(estimate == Energy(millijoules: 12_346, estimatedMillijoules: 12_346))
    #expect(EnergyClaim(joules: 0, isEstimated: true).counted(elapsed: 0) == Energy())
    #expect(EnergyClaim(joules: 10_000, isEstimated: false).counted(elapsed: 1) != nil)
    for (joules, seconds) in [
      (10_001, 1), (1, 0), (1, -5), (-1, 60), (.nan, 60), (.infinity, 60), (1e300, .infinity),
      (.greatestFiniteMagnitude, 60),
    ] as [(Double, Double)] {
      #expect(EnergyClaim(joules: joules, isEstimated: false).counted(elapsed: seconds) == nil)
    }
  }

  @Test("the recent average is BOINC's: steady work converges to credit a day")
  func steady() {
    var average = RecentAverage(time: noon)
    for day in 1...120 {
      average.add(Credit(micro: 1_000_000), now: noon.adding(seconds: day * 86_400))
    }
    #expect(abs(average.value - 1) < 1e-4)
  }

  @Test("the average follows the formula, and halves in seven days")
  func formula() {
    var average = RecentAverage(value: 3, time: noon)
    let now = noon.adding(seconds: 2 * 86_400)
    average.add(Credit(micro: 5_000_000), now: now)
    let weight = exp(-2 * M_LN2 / 7)
    #expect(abs(average.value - (3 * weight + (1 - weight) * 5 / 2)) < 1e-12)
    let later = average.value(at: now.adding(seconds: 7 * 86_400))
    #expect(abs(later - average.value / 2) < 1e-12)
  }

  @Test("grants in the same instant count by the formula's limit")
  func instant() {
    var average = RecentAverage(time: noon)
    average.add(Credit(micro: 7_000_000), now: noon)
    #expect(abs(average.value - M_LN2) < 1e-12)
    // A clock that steps back grows nothing.
    average.add(Credit(micro: 0), now: noon.adding(seconds: -10))
    #expect(average.time == noon)
  }

  @Test("operations are those of each token run through the model")
  func flops() {
    let cost = ModelCost(
      bodyFlopsPerToken: 100, headFlopsPerToken: 10, attentionFlopsPerPosition: 3, weightBytes: 0,
      cacheBytesPerToken: 0, diskBytes: 0)
    for (prompt, generated) in [(1, 1), (5, 1), (1, 5), (17, 9)] {
      var expected = Double(generated) * 10
      for position in 0..<prompt + generated - 1 { expected += 100 + 3 * Double(position + 1) }
      #expect(cost.flops(prompt: prompt, generated: generated) == expected)
    }
    #expect(cost.flops(prompt: 5, generated: 0) == 0)
  }

  @Test("trust grows with replicated results only and ends with a wrong one")
  func trust() {
    var trust = TrustRecord()
    trust.recordValid(.trustedPool)
    #expect(trust.consecutiveValid == 0)
    trust.recordValid(.quorum)
    trust.recordValid(.replay)
    #expect(trust.consecutiveValid == 2)
    trust.recordInvalid()
    #expect(trust.consecutiveValid == 0)
  }

  @Test("suspensions and backoffs double up to their limits")
  func punishments() {
    let policy = CoordinatorPolicy()
    #expect(policy.suspension(afterRejections: 1) == 3_600)
    #expect(policy.suspension(afterRejections: 3) == 14_400)
    #expect(policy.suspension(afterRejections: 1000) == 30 * 86_400)
    #expect(policy.replaySeconds(flops: 1) == 120)
    #expect(policy.replaySeconds(flops: 1e12) == 1_000)
    #expect(policy.replaySeconds(flops: .infinity) == 3_600)
    #expect((1...4).map { policy.backoff(afterFailures: $0) } == [30, 60, 120, 240])
    #expect(policy.backoff(afterFailures: 1000) == 3_600)
  }

  @Test("times keep milliseconds")
  func times() {
    #expect(noon.adding(seconds: 1.2345).seconds(since: noon) == 1.234)
    #expect(noon.adding(seconds: 90).seconds == noon.seconds + 90)
  }
}
