import ModelFormats
import TestSupport
import Testing

@Suite struct BigIntegerTests {
  /// Every value and its arithmetic against 128 bits of the standard library.
  @Test func countsAsWiderIntegersDo() throws {
    let seed: UInt64 = 7
    var random = SeededRandom(seed: seed)
    for _ in 0..<2_000 {
      let a = Self.draw(&random)
      let b = Self.draw(&random)
      let (x, y) = try (#require(BigInteger("\(a)")), #require(BigInteger("\(b)")))
      #expect(x.description == "\(a)", "seed \(seed)")
      #expect((x + y).description == "\(a + b)", "seed \(seed): \(a) + \(b)")
      #expect((x - y).description == "\(a - b)", "seed \(seed): \(a) - \(b)")
      #expect((x < y) == (a < b) && (x == y) == (a == b), "seed \(seed): \(a) < \(b)")
      #expect(x.int == Int(exactly: a), "seed \(seed): \(a)")
      #expect(x.double == Double("\(a)"), "seed \(seed): \(a)")
      guard b != 0 else { continue }
      let (quotient, rest) = x.dividedDown(by: y)
      let isAdjusted = a % b != 0 && (a < 0) != (b < 0)
      let (down, left) = (a / b - (isAdjusted ? 1 : 0), a % b + (isAdjusted ? b : 0))
      #expect(quotient.description == "\(down)", "seed \(seed): \(a) / \(b)")
      #expect(rest.description == "\(left)", "seed \(seed): \(a) % \(b)")
      #expect((quotient * y + rest) == x, "seed \(seed): \(a) / \(b)")
    }
  }

  /// Numbers of all lengths up to 120 bits.
  private static func draw(_ random: inout SeededRandom) -> Int128 {
    let high = Int128(UInt64.random(in: 0...UInt64.max, using: &random))
    let low = Int128(UInt64.random(in: 0...UInt64.max, using: &random))
    let value = (high << 56 | low) >> Int128(Int.random(in: 0...119, using: &random))
    return Bool.random(using: &random) ? value : -value
  }

  @Test func boundsWhatItHolds() {
    #expect(BigInteger(2).raised(to: 4095)?.bitWidth == 4096)
    #expect(BigInteger(2).raised(to: 4096) == nil)
    #expect(BigInteger(String(repeating: "9", count: 2000)) == nil)
    #expect(BigInteger("") == nil)
    #expect(BigInteger("1x") == nil)
    #expect(BigInteger("-0") == BigInteger(0))
    #expect(BigInteger(truncating: .infinity) == nil)
    #expect(BigInteger(truncating: 1e22)?.description == "10000000000000000000000")
    #expect(BigInteger(truncating: -1.9) == BigInteger(-1))
    #expect(BigInteger(255).text(radix: 16, uppercase: true) == "FF")
  }
}
