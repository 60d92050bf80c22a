/// Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw ("Parallel random
/// numbers: as easy as 1, 2, 3", SC 2011): a pure function of key and counter, so a random number
/// depends on the sequence and the position alone and never on what else is in the batch.
package enum Philox {
  /// Ten rounds over `counter` under `key`.
  package static func block(
    counter: SIMD4<UInt32>, key: SIMD2<UInt32>
  ) -> SIMD4<UInt32> {
    var c = counter
    var k = key
    for _ in 0..<10 {
      let first = c[0].multipliedFullWidth(by: 0xD251_1F53)
      let second = c[2].multipliedFullWidth(by: 0xCD9E_8D57)
      c = SIMD4(
        second.high ^ c[1] ^ k[0], second.low,
        first.high ^ c[3] ^ k[1], first.low)
      k &+= SIMD2(0x9E37_79B9, 0xBB67_AE85)
    }
    return c
  }

  /// The number in [0, 1) that draws the token at `position` of a sequence: 53 bits of the first
  /// two words of the block whose counter is (position, 0, 0, 0) and whose key is the seed's low
  /// and high half.
  ///
  /// - Parameter position: 0 for the first generated token.
  package static func uniform(seed: Int64, position: Int) -> Double {
    let bits = UInt64(bitPattern: seed)
    let key = SIMD2(UInt32(truncatingIfNeeded: bits), UInt32(truncatingIfNeeded: bits >> 32))
    let output = block(counter: SIMD4(UInt32(truncatingIfNeeded: position), 0, 0, 0), key: key)
    let word = UInt64(output[0]) << 32 | UInt64(output[1])
    return Double(word >> 11) * 0x1p-53
  }
}
