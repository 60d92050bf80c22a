/// How long to wait after the n-th failure in a row: exponential with a ceiling, and jittered so
/// that a fleet which lost its coordinator at one instant does not return at one instant.
package struct Backoff: Hashable, Sendable {
  /// The upper bound after the first failure.
  package var first: Duration
  /// The upper bound after many failures.
  package var ceiling: Duration

  package init(first: Duration, ceiling: Duration) {
    self.first = first
    self.ceiling = ceiling
  }

  /// The upper bound after `failures` failures in a row (1 or more): `first` doubled for each
  /// further one.
  package func bound(failures: Int) -> Duration {
    var bound = first
    var doublings = failures - 1
    while doublings > 0 && bound < ceiling {
      bound = bound * 2
      doublings -= 1
    }
    return min(bound, ceiling)
  }

  /// A delay drawn evenly from the upper half of `0...bound(failures:)`.
  package func delay(failures: Int, using random: inout some RandomNumberGenerator) -> Duration {
    let share = 0.5 + 0.5 * random.nextShare()
    return .seconds(bound(failures: failures).inSeconds * share)
  }

  /// A delay for failures that have lasted for `elapsed`, whoever met them: as long again, between
  /// `first` and `ceiling`, drawn evenly from the upper half.
  package func delay(
    elapsed: Duration, using random: inout some RandomNumberGenerator
  ) -> Duration {
    let bound = min(max(first, elapsed), ceiling)
    return .seconds(bound.inSeconds * (0.5 + 0.5 * random.nextShare()))
  }
}

/// A small seeded generator (SplitMix64: Steele, Lea, Flood 2014), so that the core is a function
/// of its seed.
package struct SplitMix64: RandomNumberGenerator, Sendable {
  private var state: UInt64

  package init(seed: UInt64) { state = seed }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

extension RandomNumberGenerator {
  /// A number drawn evenly from 0 up to, but not including, 1.
  mutating func nextShare() -> Double { Double(next() >> 11) * 0x1p-53 }
}
