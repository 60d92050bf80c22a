import Testing
import TestSupport
import WorkerCore

@Suite struct BackoffTests {
  let backoff = Backoff(first: .seconds(1), ceiling: .seconds(60))

  @Test func boundsDoubleUpToTheCeiling() {
    let bounds = (1...8).map { backoff.bound(failures: $0) }
    #expect(
      bounds == [
        .seconds(1), .seconds(2), .seconds(4), .seconds(8), .seconds(16), .seconds(32),
        .seconds(60), .seconds(60),
      ])
    #expect(backoff.bound(failures: 0) == .seconds(1))
    #expect(backoff.bound(failures: .max) == .seconds(60))
  }

  @Test func delaysFillTheUpperHalfOfTheBound() {
    for seed in testSeeds(5) {
      var random = SeededRandom(seed: seed)
      for failures in 1...10 {
        let bound = backoff.bound(failures: failures)
        let delays = (0..<200).map { _ in backoff.delay(failures: failures, using: &random) }
        #expect(delays.allSatisfy { $0 <= bound && $0 * 2 >= bound - .microseconds(1) })
        // Jitter that does not spread would be none.
        #expect(delays.max()! - delays.min()! > bound / 3)
      }
    }
  }
}
