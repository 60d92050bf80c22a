/// Draws who may be given the replica that a unit still lacks, so that no two accounts can arrange
/// to compute the same unit.
///
/// A keyed hash of unit, time and account gives each account a lot between 0 and 1. Lots below a
/// bound win. At first the bound lets one account of all win on average, and twice as many after
/// each epoch in which nobody took the unit. The draw needs no state: only the secret is kept.
package struct Sortition: Hashable, Sendable {
  private let low: UInt64
  private let high: UInt64

  /// - Parameter secret: 24 letters or digits that nobody else knows.
  package init(secret: String) {
    let characters = Array(secret.utf8)
    low = Self.number(characters.prefix(12))
    high = Self.number(characters.dropFirst(12))
  }

  /// Whether an account may have the unit now.
  ///
  /// - Parameters:
  ///   - unit: its digest.
  ///   - since: when the unit began to lack what it lacks; each time has its own draw.
  ///   - places: replicas that it lacks.
  ///   - candidates: accounts that may be given them.
  ///   - epochSeconds: seconds after which the bound is doubled.
  package func isDrawn(
    _ account: String, unit: String, since: Timestamp, now: Timestamp, places: Int,
    candidates: Int, epochSeconds: Double
  ) -> Bool {
    let epochs = (max(0, now.seconds(since: since)) / max(1, epochSeconds)).rounded(.down)
    var bound = Double(places) / Double(max(1, candidates))
    for _ in 0..<Int(min(epochs, 32)) where bound < 1 { bound *= 2 }
    return bound >= 1 || lot("\(unit) \(since.milliseconds) \(account)") < bound
  }

  private func lot(_ text: String) -> Double {
    Double(SipHash.hash(Array(text.utf8), key: (low, high)) >> 11) / Double(1 << 53)
  }

  /// Digits of base 36 as a number.
  private static func number(_ characters: some Sequence<UInt8>) -> UInt64 {
    characters.reduce(0) { sum, character in
      let digit = character < 58 ? UInt64(character &- 48) &+ 26 : UInt64(character &- 97)
      return sum &* 36 &+ digit
    }
  }
}

/// SipHash-2-4: a keyed hash whose values say nothing of the key (Aumasson and Bernstein, 2012).
package enum SipHash {
  /// The hash of `bytes` under a key of two little-endian words.
  package static func hash(_ bytes: [UInt8], key: (UInt64, UInt64)) -> UInt64 {
    var state = State(key)
    var word: UInt64 = 0
    for (index, byte) in bytes.enumerated() {
      word |= UInt64(byte) << UInt64(8 * (index % 8))
      if index % 8 == 7 {
        state.absorb(word)
        word = 0
      }
    }
    state.absorb(word | UInt64(truncatingIfNeeded: bytes.count) << 56)
    return state.finish()
  }

  private struct State {
    var (a, b, c, d): (UInt64, UInt64, UInt64, UInt64)

    init(_ key: (UInt64, UInt64)) {
      a = key.0 ^ 0x736f_6d65_7073_6575
      b = key.1 ^ 0x646f_7261_6e64_6f6d
      c = key.0 ^ 0x6c79_6765_6e65_7261
      d = key.1 ^ 0x7465_6462_7974_6573
    }

    mutating func absorb(_ word: UInt64) {
      d ^= word
      rounds(2)
      a ^= word
    }

    mutating func finish() -> UInt64 {
      c ^= 0xff
      rounds(4)
      return a ^ b ^ c ^ d
    }

    private mutating func rounds(_ count: Int) {
      for _ in 0..<count {
        a &+= b
        b = b << 13 | b >> 51
        b ^= a
        a = a << 32 | a >> 32
        c &+= d
        d = d << 16 | d >> 48
        d ^= c
        a &+= d
        d = d << 21 | d >> 43
        d ^= a
        c &+= b
        b = b << 17 | b >> 47
        b ^= c
        c = c << 32 | c >> 32
      }
    }
  }
}
