import Foundation

/// A seeded generator for tests (SplitMix64), so that one number repeats a whole failure.
package struct SeededRandom: RandomNumberGenerator, Sendable {
  /// What repeats this run.
  package let seed: UInt64
  private var state: UInt64

  package init(seed: UInt64) {
    self.seed = seed
    self.state = seed
  }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// True with this probability.
  package mutating func chance(_ probability: Double) -> Bool {
    Double.random(in: 0..<1, using: &self) < probability
  }

  /// `count` random bytes.
  package mutating func bytes(_ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 7)
    while bytes.count < count {
      withUnsafeBytes(of: next().littleEndian) { bytes.append(contentsOf: $0) }
    }
    bytes.removeLast(bytes.count - count)
    return bytes
  }
}

/// The seeds that a test runs over: `TALLY_SEED` alone where it is set, else the numbers from
/// `first`.
///
/// Prints what it chose, so that a failing run names the seed to repeat.
package func testSeeds(_ count: Int, from first: UInt64 = 1) -> [UInt64] {
  if let text = ProcessInfo.processInfo.environment["TALLY_SEED"], let seed = UInt64(text) {
    print("seed \(seed) (TALLY_SEED)")
    return [seed]
  }
  let seeds = (0..<UInt64(count)).map { first + $0 }
  print("seeds \(first)...\(first + UInt64(max(1, count)) - 1); TALLY_SEED=N repeats one")
  return seeds
}
