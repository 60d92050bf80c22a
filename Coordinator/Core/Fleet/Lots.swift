/// Draws by lot. What comes cannot be told beforehand from outside.
package struct Lots: Sendable {
  private let random: @Sendable () -> UInt64

  /// - Parameter random: uniformly random bits; a test passes its own source.
  package init(random: @escaping @Sendable () -> UInt64) { self.random = random }

  /// True with this probability: never for 0, always for 1.
  package func hits(_ chance: Double) -> Bool { Double(random() >> 11) * 0x1p-53 < chance }

  /// One of `0..<count`, for a count of 1 or more.
  package func pick(below count: Int) -> Int { Int(random() % UInt64(max(1, count))) }
}
