import Foundation
import ModelFormats

/// Python's `%` formatting of strings: flags, width, precision and all conversions.
enum PythonFormat {
  private struct Field {
    var isLeft = false
    var isZero = false
    var sign = ""
    var isAlternate = false
    var width = 0
    var precision: Int?
  }

  /// The values that a format takes, one after the other.
  private struct Values {
    let values: [RuntimeValue]
    var used = 0

    mutating func next() throws -> RuntimeValue {
      guard used < values.count else {
        throw TemplateOperators.fail("not enough arguments for format string")
      }
      used += 1
      return values[used - 1]
    }

    /// The argument of `*`.
    mutating func size() throws -> Int {
      guard let size = try next().integer else { throw TemplateOperators.fail("* wants int") }
      return min(max(size, -(1 << 40)), 1 << 40)
    }
  }

  /// - Parameter argument: a tuple of values, a dictionary for `%(name)s`, or one value.
  /// - Throws: `TemplateError` for a bad format, a missing value or one of the wrong type.
  static func format(
    _ format: String, _ argument: RuntimeValue, _ limits: TemplateLimits
  ) throws -> String {
    var scalars = Array(format.unicodeScalars)[...]
    var values = Values(values: [argument])
    switch argument {
    case .tuple(let elements), .group(let elements): values = Values(values: elements)
    default: break
    }
    var result = ""
    while let scalar = scalars.popFirst() {
      guard scalar == "%", scalars.first != "%" else {
        if scalar == "%" { scalars.removeFirst() }
        result.unicodeScalars.append(scalar)
        continue
      }
      let named = try namedValue(&scalars, argument)
      if named != nil { values.used = values.values.count }
      let field = try readField(&scalars, &values)
      while let size = scalars.first, "hlL".unicodeScalars.contains(size) { scalars.removeFirst() }
      guard let conversion = scalars.popFirst() else {
        throw TemplateOperators.fail("incomplete format")
      }
      try TemplateOperators.checkSize(
        result.utf8.count + field.width + (field.precision ?? 0), limits)
      result += try convert(conversion, try named ?? values.next(), field)
      try TemplateOperators.checkSize(result.utf8.count, limits)
    }
    // What is no tuple may be left unused where Python takes it for a mapping.
    switch argument {
    case .dictionary, .list, .undefined, .range: return result
    default: break
    }
    guard values.used == values.values.count else {
      throw TemplateOperators.fail("not all arguments converted during string formatting")
    }
    return result
  }

  /// The value of `(name)`, if that stands here; parentheses in the name are counted.
  private static func namedValue(
    _ scalars: inout ArraySlice<Unicode.Scalar>, _ argument: RuntimeValue
  ) throws -> RuntimeValue? {
    guard scalars.first == "(" else { return nil }
    guard case .dictionary(let members) = argument else {
      throw TemplateOperators.fail("format requires a mapping")
    }
    scalars.removeFirst()
    var depth = 1
    var name = ""
    while let scalar = scalars.popFirst() {
      depth += scalar == "(" ? 1 : scalar == ")" ? -1 : 0
      if depth == 0 {
        guard let value = members.value(named: name) else {
          throw TemplateOperators.fail("'\(excerpt(name))'")
        }
        return value
      }
      name.unicodeScalars.append(scalar)
    }
    throw TemplateOperators.fail("incomplete format key")
  }

  private static func readField(
    _ scalars: inout ArraySlice<Unicode.Scalar>, _ values: inout Values
  ) throws -> Field {
    var field = Field()
    flags: while let flag = scalars.first {
      switch flag {
      case "-": field.isLeft = true
      case "0": field.isZero = true
      case "+": field.sign = "+"
      case " ": if field.sign.isEmpty { field.sign = " " }
      case "#": field.isAlternate = true
      default: break flags
      }
      scalars.removeFirst()
    }
    func number() throws -> Int {
      if scalars.first == "*" {
        scalars.removeFirst()
        return try values.size()
      }
      var value = 0
      while let digit = scalars.first, digit.isASCIIDigit {
        value = min(value * 10 + Int(digit.value - 0x30), 1 << 40)
        scalars.removeFirst()
      }
      return value
    }
    field.width = try number()
    if field.width < 0 {
      field.isLeft = true
      field.width = -field.width
    }
    if scalars.first == "." {
      scalars.removeFirst()
      field.precision = max(0, try number())
    }
    return field
  }

  private static func convert(
    _ conversion: Unicode.Scalar, _ value: RuntimeValue, _ field: Field
  ) throws -> String {
    switch conversion {
    case "s", "r", "a":
      let text =
        conversion == "s"
        ? PythonText.string(value)
        : conversion == "r" ? PythonText.representation(value) : PythonText.ascii(value)
      let cut = field.precision.map { PythonText.string(text.unicodeScalars.prefix($0)) } ?? text
      return padded("", cut, field, isNumber: false)
    case "c": return padded("", try character(value), field, isNumber: false)
    case "d", "i", "u", "x", "X", "o":
      return try integer(conversion, value, field)
    case "f", "F", "e", "E", "g", "G":
      guard let number = value.number else {
        try TemplateOperators.requireDefined(value)
        throw TemplateOperators.fail("must be real number, not \(value.typeName)")
      }
      let text = try PythonFormatSpecification.digits(
        number.magnitude, conversion, precision: field.precision ?? 6,
        isAlternate: field.isAlternate)
      let isNegative = number.sign == .minus && !number.isNaN
      return padded(isNegative ? "-" : field.sign, text, field, isNumber: true)
    default:
      throw TemplateOperators.fail("unsupported format character '\(conversion)'")
    }
  }

  private static func character(_ value: RuntimeValue) throws -> String {
    if let code = value.integer {
      guard let scalar = UInt32(exactly: code).flatMap(Unicode.Scalar.init) else {
        throw TemplateOperators.fail("%c arg not in range(0x110000)")
      }
      return String(scalar)
    }
    guard let text = value.text, text.unicodeScalars.count == 1 else {
      throw TemplateOperators.fail("%c requires int or char")
    }
    return text
  }

  private static func integer(
    _ conversion: Unicode.Scalar, _ value: RuntimeValue, _ field: Field
  ) throws -> String {
    let radix: UInt32 =
      conversion == "o" ? 8 : conversion == "x" || conversion == "X" ? 16 : 10
    var whole = value.bigInteger
    // Only %d takes numbers with a fraction.
    if whole == nil, radix == 10, let number = value.number {
      whole = BigInteger(truncating: number)
      guard whole != nil else {
        throw TemplateOperators.fail(
          "cannot convert float \(number.isNaN ? "NaN" : "infinity") to integer")
      }
    }
    guard let whole else {
      try TemplateOperators.requireDefined(value)
      throw TemplateOperators.fail(
        "%\(conversion) format: \(radix == 10 ? "a real number" : "an integer") is required, "
          + "not \(value.typeName)")
    }
    var digits = whole.absolute.text(radix: radix, uppercase: conversion == "X")
    if let precision = field.precision, digits.count < precision {
      digits = String(repeating: "0", count: precision - digits.count) + digits
    }
    let prefix = field.isAlternate && radix != 10 ? "0\(conversion)" : ""
    return padded((whole.isNegative ? "-" : field.sign) + prefix, digits, field, isNumber: true)
  }

  private static func padded(
    _ sign: String, _ text: String, _ field: Field, isNumber: Bool
  ) -> String {
    var layout = PythonFormatSpecification()
    layout.width = field.width
    let isZero = field.isZero && isNumber && !field.isLeft
    if isZero { layout.fill = "0" }
    return layout.padded(sign, text, field.isLeft ? "<" : isZero ? "=" : ">")
  }
}
