/// An integer beyond 64 bits, as Python's, up to `bitLimit`.
package struct BigInteger: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// Larger values are refused; what a file or a template can demand stays bounded.
  package static let bitLimit = 4096

  package let isNegative: Bool
  /// The least significant word first, without leading zeros; empty for zero.
  package let magnitude: [UInt32]

  private init(isNegative: Bool, _ magnitude: [UInt32]) {
    var words = magnitude
    while words.last == 0 { words.removeLast() }
    self.magnitude = words
    self.isNegative = isNegative && !words.isEmpty
  }

  package init(_ value: Int) {
    let bits = UInt64(value.magnitude)
    self.init(
      isNegative: value < 0, [UInt32(truncatingIfNeeded: bits), UInt32(bits >> 32)])
  }

  /// The number without its fraction; nil when it is not finite.
  package init?(truncating value: Double) {
    guard value.isFinite else { return nil }
    let whole = value.magnitude.rounded(.towardZero)
    guard whole >= 1 else {
      self.init(0)
      return
    }
    let shift = max(0, Int(whole.exponent) - 52)
    let significand = BigInteger(Int(whole / Double(sign: .plus, exponent: shift, significand: 1)))
    let shifted = significand.shiftedLeft(shift)
    self.init(isNegative: value < 0, shifted.magnitude)
  }

  /// Reads digits without a sign.
  ///
  /// - Parameter digits: values below `radix`.
  /// - Returns: nil without digits, and above `bitLimit`.
  package init?(digits: some Sequence<UInt8>, radix: UInt32, isNegative: Bool = false) {
    var words: [UInt32] = []
    var isEmpty = true
    for digit in digits {
      isEmpty = false
      var carry = UInt64(digit)
      for index in words.indices {
        let product = UInt64(words[index]) * UInt64(radix) + carry
        words[index] = UInt32(truncatingIfNeeded: product)
        carry = product >> 32
      }
      if carry > 0 { words.append(UInt32(carry)) }
      guard words.count <= Self.bitLimit / 32 else { return nil }
    }
    guard !isEmpty else { return nil }
    self.init(isNegative: isNegative, words)
  }

  /// Reads decimal digits with an optional minus sign.
  ///
  /// - Returns: nil for anything else, and above `bitLimit`.
  package init?(_ text: String) {
    let isNegative = text.utf8.first == UInt8(ascii: "-")
    let digits = isNegative ? text.utf8.dropFirst() : text.utf8[...]
    guard digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    self.init(digits: digits.lazy.map { $0 - 0x30 }, radix: 10, isNegative: isNegative)
  }

  /// Whether the value is within `bitLimit`.
  package var isWithinLimit: Bool { magnitude.count <= Self.bitLimit / 32 }

  package var isZero: Bool { magnitude.isEmpty }

  /// Bits of the magnitude.
  package var bitWidth: Int {
    magnitude.last.map { magnitude.count * 32 - $0.leadingZeroBitCount } ?? 0
  }

  /// The value if 64 bits hold it.
  package var int: Int? {
    guard magnitude.count <= 2 else { return nil }
    let bits = magnitude.reversed().reduce(UInt64(0)) { $0 << 32 | UInt64($1) }
    if isNegative { return bits <= 1 << 63 ? Int(truncatingIfNeeded: 0 &- bits) : nil }
    return Int(exactly: bits)
  }

  /// The nearest number; infinite when too large.
  package var double: Double { Double(description) ?? (isNegative ? -.infinity : .infinity) }

  package var description: String { text(radix: 10) }

  /// The digits in a radix, with a minus sign for negative numbers.
  package func text(radix: UInt32, uppercase: Bool = false) -> String {
    var words = magnitude
    var digits: [UInt8] = []
    while !words.isEmpty {
      var rest: UInt64 = 0
      for index in words.indices.reversed() {
        let value = rest << 32 | UInt64(words[index])
        words[index] = UInt32(value / UInt64(radix))
        rest = value % UInt64(radix)
      }
      while words.last == 0 { words.removeLast() }
      let letter = UInt8(ascii: uppercase ? "A" : "a")
      digits.append(rest < 10 ? 0x30 + UInt8(rest) : letter + UInt8(rest) - 10)
    }
    if digits.isEmpty { digits = [0x30] }
    if isNegative { digits.append(UInt8(ascii: "-")) }
    return String(decoding: digits.reversed(), as: UTF8.self)
  }

  // MARK: arithmetic

  package static prefix func - (value: BigInteger) -> BigInteger {
    BigInteger(isNegative: !value.isNegative, value.magnitude)
  }

  package var absolute: BigInteger { BigInteger(isNegative: false, magnitude) }

  /// The exact sum, which may exceed `bitLimit`.
  package static func + (left: BigInteger, right: BigInteger) -> BigInteger {
    if left.isNegative == right.isNegative {
      return BigInteger(isNegative: left.isNegative, sum(left.magnitude, right.magnitude))
    }
    if isLess(left.magnitude, right.magnitude) {
      return BigInteger(
        isNegative: right.isNegative, difference(right.magnitude, left.magnitude))
    }
    return BigInteger(isNegative: left.isNegative, difference(left.magnitude, right.magnitude))
  }

  /// The exact difference, which may exceed `bitLimit`.
  package static func - (left: BigInteger, right: BigInteger) -> BigInteger { left + -right }

  /// The exact product, which may exceed `bitLimit`.
  package static func * (left: BigInteger, right: BigInteger) -> BigInteger {
    var words = [UInt32](repeating: 0, count: left.magnitude.count + right.magnitude.count)
    for (i, a) in left.magnitude.enumerated() {
      var carry: UInt64 = 0
      for (j, b) in right.magnitude.enumerated() {
        let value = UInt64(a) * UInt64(b) + UInt64(words[i + j]) + carry
        words[i + j] = UInt32(truncatingIfNeeded: value)
        carry = value >> 32
      }
      words[i + right.magnitude.count] = UInt32(carry)
    }
    return BigInteger(isNegative: left.isNegative != right.isNegative, words)
  }

  /// Python's `divmod`: the quotient rounded down, the rest with the divisor's sign. The divisor is
  /// not zero.
  package func dividedDown(
    by divisor: BigInteger
  ) -> (quotient: BigInteger, rest: BigInteger) {
    var quotient = [UInt32](repeating: 0, count: magnitude.count)
    var rest: [UInt32] = []
    for bit in stride(from: bitWidth - 1, through: 0, by: -1) {
      Self.appendBit(magnitude[bit / 32] >> UInt32(bit % 32) & 1, to: &rest)
      guard !Self.isLess(rest, divisor.magnitude) else { continue }
      rest = Self.difference(rest, divisor.magnitude)
      while rest.last == 0 { rest.removeLast() }
      quotient[bit / 32] |= 1 << UInt32(bit % 32)
    }
    let whole = BigInteger(isNegative: isNegative != divisor.isNegative, quotient)
    let remainder = BigInteger(isNegative: isNegative, rest)
    guard !remainder.isZero, isNegative != divisor.isNegative else { return (whole, remainder) }
    return (whole - BigInteger(1), remainder + divisor)
  }

  /// Nil above `bitLimit`.
  package func raised(to exponent: Int) -> BigInteger? {
    var result = BigInteger(1)
    for bit in stride(from: Int.bitWidth - 1 - exponent.leadingZeroBitCount, through: 0, by: -1) {
      result = result * result
      if exponent >> bit & 1 == 1 { result = result * self }
      guard result.isWithinLimit else { return nil }
    }
    return result
  }

  package static func < (left: BigInteger, right: BigInteger) -> Bool {
    if left.isNegative != right.isNegative { return left.isNegative }
    return left.isNegative
      ? isLess(right.magnitude, left.magnitude) : isLess(left.magnitude, right.magnitude)
  }

  // MARK: magnitudes

  private func shiftedLeft(_ count: Int) -> BigInteger {
    var words = [UInt32](repeating: 0, count: count / 32)
    let bits = UInt64(count % 32)
    var carry: UInt64 = 0
    for word in magnitude {
      let value = UInt64(word) << bits | carry
      words.append(UInt32(truncatingIfNeeded: value))
      carry = value >> 32
    }
    return BigInteger(isNegative: isNegative, words + [UInt32(carry)])
  }

  private static func appendBit(_ bit: UInt32, to words: inout [UInt32]) {
    var carry = bit
    for index in words.indices {
      let high = words[index] >> 31
      words[index] = words[index] << 1 | carry
      carry = high
    }
    if carry > 0 { words.append(carry) }
  }

  private static func isLess(_ left: [UInt32], _ right: [UInt32]) -> Bool {
    if left.count != right.count { return left.count < right.count }
    for index in left.indices.reversed() where left[index] != right[index] {
      return left[index] < right[index]
    }
    return false
  }

  private static func sum(_ left: [UInt32], _ right: [UInt32]) -> [UInt32] {
    var words: [UInt32] = []
    var carry: UInt64 = 0
    for index in 0..<max(left.count, right.count) {
      let value =
        (index < left.count ? UInt64(left[index]) : 0)
        + (index < right.count ? UInt64(right[index]) : 0) + carry
      words.append(UInt32(truncatingIfNeeded: value))
      carry = value >> 32
    }
    return words + [UInt32(carry)]
  }

  /// `left` is not less than `right`.
  private static func difference(_ left: [UInt32], _ right: [UInt32]) -> [UInt32] {
    var words = left
    var borrow: Int64 = 0
    for index in words.indices {
      let value =
        Int64(words[index]) - (index < right.count ? Int64(right[index]) : 0) - borrow
      borrow = value < 0 ? 1 : 0
      words[index] = UInt32(truncatingIfNeeded: value)
    }
    return words
  }
}
