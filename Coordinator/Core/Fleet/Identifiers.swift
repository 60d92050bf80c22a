/// Makes ids of 24 letters or digits after a prefix (124 bits of randomness).
package struct Identifiers: Sendable {
  private let random: @Sendable () -> UInt64

  /// - Parameter random: uniformly random bits; a test passes a seeded source.
  package init(random: @escaping @Sendable () -> UInt64) { self.random = random }

  private static let alphabet = Array("abcdefghijklmnopqrstuvwxyz0123456789".utf8)

  /// A new id, such as `batch_` and 24 characters for the prefix `batch_`.
  package func make(_ prefix: String) -> String {
    var characters: [UInt8] = []
    characters.reserveCapacity(24)
    for _ in 0..<2 {
      var bits = random()
      for _ in 0..<12 {
        characters.append(Self.alphabet[Int(bits % 36)])
        bits /= 36
      }
    }
    return prefix + String(decoding: characters, as: UTF8.self)
  }
}
