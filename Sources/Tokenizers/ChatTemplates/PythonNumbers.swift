import Foundation
import ModelFormats

/// How Python reads and rounds numbers.
enum PythonNumbers {
  /// Python's `int(text, base)`; nil where that is a ValueError.
  ///
  /// - Throws: `TemplateError` for integers above `BigInteger.bitLimit`.
  static func integer(_ text: String, base: Int) throws -> RuntimeValue? {
    guard base == 0 || (2...36).contains(base) else { return nil }
    var digits = plainDigits(text)[...]
    let isNegative = digits.first == "-"
    if digits.first == "-" || digits.first == "+" { digits.removeFirst() }
    var radix = base
    if digits.first == "0", digits.count > 1,
      let prefixed = ["x": 16, "o": 8, "b": 2][String(digits[digits.startIndex + 1]).lowercased()],
      base == 0 || base == prefixed
    {
      radix = prefixed
      digits = digits.dropFirst(2)
      // One underscore may stand between the prefix and the digits.
      if digits.first == "_" { digits.removeFirst() }
    } else if base == 0 {
      radix = 10
      // `012` is no number of Python's.
      guard digits.first != "0" || digits.allSatisfy({ $0 == "0" || $0 == "_" }) else {
        return nil
      }
    }
    guard let plain = withoutUnderscores(digits) else { return nil }
    let values = plain.compactMap { $0.isASCII ? Character($0).hexDigitOrLetterValue : nil }
    guard values.count == plain.count, values.allSatisfy({ $0 < radix }) else { return nil }
    guard
      let value = BigInteger(digits: values, radix: UInt32(radix), isNegative: isNegative)
    else { throw tooLarge() }
    return RuntimeValue(value)
  }

  /// Python's `float(text)`; nil where that is a ValueError.
  static func double(_ text: String) -> Double? {
    var digits = plainDigits(text)[...]
    let isNegative = digits.first == "-"
    if digits.first == "-" || digits.first == "+" { digits.removeFirst() }
    let word = PythonText.string(digits).lowercased()
    let sign = isNegative ? -1.0 : 1.0
    if word == "inf" || word == "infinity" { return sign * .infinity }
    if word == "nan" { return .nan }
    let parts = digits.split(maxSplits: 1, omittingEmptySubsequences: false) {
      $0 == "e" || $0 == "E"
    }
    let numbers = parts[0].split(
      separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard numbers.contains(where: { !$0.isEmpty }) else { return nil }
    var plain = ""
    for (index, number) in numbers.enumerated() {
      guard number.isEmpty || withoutUnderscores(number) != nil else { return nil }
      plain += (index > 0 ? "." : "") + (number.isEmpty ? "0" : PythonText.string(number))
    }
    if parts.count > 1 {
      var exponent = parts[1]
      let sign = exponent.first == "-" ? "-" : ""
      if exponent.first == "-" || exponent.first == "+" { exponent.removeFirst() }
      guard let digits = withoutUnderscores(exponent) else { return nil }
      plain += "e" + sign + PythonText.string(digits)
    }
    plain = plain.replacingOccurrences(of: "_", with: "")
    guard plain.utf8.allSatisfy({ (0x30...0x39).contains($0) || ".e-".utf8.contains($0) }) else {
      return nil
    }
    return Double(plain).map { sign * $0 }
  }

  /// Without outer white space, decimal digits of all scripts as ASCII's.
  private static func plainDigits(_ text: String) -> [Unicode.Scalar] {
    PythonText.stripped(text, nil).unicodeScalars.map { scalar in
      guard !scalar.isASCII, scalar.properties.numericType == .decimal,
        let value = scalar.properties.numericValue
      else { return scalar }
      return Unicode.Scalar(0x30 + UInt8(value))
    }
  }

  /// Underscores may stand between digits; nil where they stand elsewhere or nothing is left.
  private static func withoutUnderscores(
    _ digits: ArraySlice<Unicode.Scalar>
  ) -> [Unicode.Scalar]? {
    guard let last = digits.last, digits.first != "_", last != "_" else { return nil }
    for (left, right) in zip(digits, digits.dropFirst()) where left == "_" && right == "_" {
      return nil
    }
    return digits.filter { $0 != "_" }
  }

  static func tooLarge() -> TemplateError {
    TemplateOperators.fail("integers of more than \(BigInteger.bitLimit) bits are not supported")
  }

  // MARK: rounding

  /// Python's `round(value, precision)`; a precision of nil gives an integer.
  static func rounded(_ value: RuntimeValue, _ precision: Int?) throws -> RuntimeValue {
    if let integer = value.bigInteger {
      guard let precision, precision < 0 else { return RuntimeValue(integer) }
      return RuntimeValue(rounded(integer, hasFraction: false, places: -precision))
    }
    guard let number = value.number else {
      try TemplateOperators.requireDefined(value)
      throw TemplateOperators.fail("type \(value.typeName) doesn't define __round__ method")
    }
    guard let precision else {
      guard let integer = BigInteger(truncating: number.rounded(.toNearestOrEven)) else {
        throw TemplateOperators.fail(
          "cannot convert float \(number.isNaN ? "NaN" : "infinity") to integer")
      }
      return RuntimeValue(integer)
    }
    guard number.isFinite, precision < 324 else { return .double(number) }
    if precision >= 0 {
      // The decimal text of the exact value, cut correctly.
      let text = String(format: "%.\(precision)f", number)
      return .double(Double(text) ?? number)
    }
    guard precision > -310, let whole = BigInteger(truncating: number) else {
      return .double(number < 0 ? -0.0 : 0)
    }
    let hasFraction = number != number.rounded(.towardZero)
    let result = rounded(whole, hasFraction: hasFraction, places: -precision).double
    return .double(result == 0 && number < 0 ? -0.0 : result)
  }

  /// To a multiple of ten to `places`, a value in the middle to the even one.
  private static func rounded(
    _ value: BigInteger, hasFraction: Bool, places: Int
  ) -> BigInteger {
    guard let unit = BigInteger(10).raised(to: min(places, 1200)) else { return BigInteger(0) }
    let (quotient, rest) = value.absolute.dividedDown(by: unit)
    let twice = rest + rest
    let isOdd = (quotient.magnitude.first ?? 0) & 1 == 1
    let isUp = twice > unit || (twice == unit && (hasFraction || isOdd))
    let result = (isUp ? quotient + BigInteger(1) : quotient) * unit
    return value.isNegative ? -result : result
  }
}

extension Character {
  /// The value of a digit or letter in bases up to 36.
  fileprivate var hexDigitOrLetterValue: UInt8? {
    guard let code = asciiValue else { return nil }
    switch code {
    case 0x30...0x39: return code - 0x30
    case 0x41...0x5A: return code - 0x41 + 10
    case 0x61...0x7A: return code - 0x61 + 10
    default: return nil
    }
  }
}
