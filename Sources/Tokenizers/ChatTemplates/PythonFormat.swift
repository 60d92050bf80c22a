import Foundation

/// Python's `%` formatting of strings: flags, width, precision and the conversions s, r, d, i, u,
/// f, F, e, E, g, G, x, X, o, c and %.
enum PythonFormat {
  private struct Field {
    var isLeft = false
    var isZero = false
    var sign = ""
    var isAlternate = false
    var width = 0
    var precision: Int?
  }

  /// - Parameter argument: a tuple of values, a dictionary for `%(name)s`, or one value.
  /// - Throws: `TemplateError` for a bad format, a missing value or one of the wrong type.
  static func format(
    _ format: String, _ argument: RuntimeValue, _ limits: TemplateLimits
  ) throws -> String {
    let scalars = Array(format.unicodeScalars)
    var values: [RuntimeValue]
    if case .tuple(let elements) = argument { values = elements } else { values = [argument] }
    var result = ""
    var index = 0
    var used = 0
    func next() throws -> RuntimeValue {
      guard used < values.count else {
        throw TemplateOperators.fail("not enough arguments for format string")
      }
      used += 1
      return values[used - 1]
    }
    while index < scalars.count {
      guard scalars[index] == "%" else {
        result.unicodeScalars.append(scalars[index])
        index += 1
        continue
      }
      index += 1
      var named: RuntimeValue?
      if index < scalars.count, scalars[index] == "(" {
        guard let close = scalars[index...].firstIndex(of: ")"),
          case .dictionary(let members) = argument
        else { throw TemplateOperators.fail("format requires a mapping") }
        let name = PythonText.string(scalars[(index + 1)..<close])
        guard let value = members.value(.string(name)) else {
          throw TemplateOperators.fail("'\(name)'")
        }
        named = value
        index = close + 1
        used = values.count
      }
      let field = try readField(scalars, &index, next)
      guard index < scalars.count else { throw TemplateOperators.fail("incomplete format") }
      let conversion = scalars[index]
      index += 1
      if conversion == "%" {
        result += "%"
      } else {
        try TemplateOperators.checkSize(result.utf8.count + field.width, limits)
        result += try convert(conversion, try named ?? next(), field)
      }
      try TemplateOperators.checkSize(result.utf8.count, limits)
    }
    if used < values.count, case .dictionary = argument { return result }
    guard used == values.count else {
      throw TemplateOperators.fail("not all arguments converted during string formatting")
    }
    return result
  }

  private static func readField(
    _ scalars: [Unicode.Scalar], _ index: inout Int, _ next: () throws -> RuntimeValue
  ) throws -> Field {
    var field = Field()
    flags: while index < scalars.count {
      switch scalars[index] {
      case "-": field.isLeft = true
      case "0": field.isZero = true
      case "+": field.sign = "+"
      case " ": if field.sign.isEmpty { field.sign = " " }
      case "#": field.isAlternate = true
      default: break flags
      }
      index += 1
    }
    func number() throws -> Int {
      if index < scalars.count, scalars[index] == "*" {
        index += 1
        return try next().integer ?? 0
      }
      var value = 0
      while index < scalars.count, scalars[index].isASCIIDigit {
        value = min(value * 10 + Int(scalars[index].value - 0x30), 1 << 40)
        index += 1
      }
      return value
    }
    field.width = try number()
    if index < scalars.count, scalars[index] == "." {
      index += 1
      field.precision = min(try number(), 300)
    }
    return field
  }

  private static func convert(
    _ conversion: Unicode.Scalar, _ value: RuntimeValue, _ field: Field
  ) throws -> String {
    switch conversion {
    case "s", "r", "a":
      let text =
        conversion == "s" ? PythonText.string(value) : PythonText.representation(value)
      let cut = field.precision.map { PythonText.string(text.unicodeScalars.prefix($0)) } ?? text
      return padded("", cut, field, isNumber: false)
    case "c":
      if let code = value.integer, let scalar = UInt32(exactly: code).flatMap(Unicode.Scalar.init) {
        return padded("", String(scalar), field, isNumber: false)
      }
      return padded("", PythonText.string(value), field, isNumber: false)
    case "d", "i", "u", "x", "X", "o":
      return try integer(conversion, value, field)
    case "f", "F", "e", "E", "g", "G":
      guard let number = value.number else {
        throw TemplateOperators.fail("must be real number, not \(value.typeName)")
      }
      let format = "%.\(field.precision ?? 6)\(conversion)"
      let text = String(format: format, number.magnitude)
      return padded(number.sign == .minus ? "-" : field.sign, text, field, isNumber: true)
    default:
      throw TemplateOperators.fail("unsupported format character '\(conversion)'")
    }
  }

  private static func integer(
    _ conversion: Unicode.Scalar, _ value: RuntimeValue, _ field: Field
  ) throws -> String {
    guard let number = value.number, number.isFinite else {
      throw TemplateOperators.fail(
        "%\(conversion) format: a real number is required, not \(value.typeName)")
    }
    guard let whole = value.integer ?? Int(exactly: number.rounded(.towardZero)) else {
      throw TemplateOperators.fail("integer too large")
    }
    let radix = conversion == "o" ? 8 : conversion == "x" || conversion == "X" ? 16 : 10
    var digits = String(whole.magnitude, radix: radix, uppercase: conversion == "X")
    if let precision = field.precision, digits.count < precision {
      digits = String(repeating: "0", count: precision - digits.count) + digits
    }
    let prefix = field.isAlternate && radix != 10 ? (radix == 8 ? "0o" : "0\(conversion)") : ""
    return padded((whole < 0 ? "-" : field.sign) + prefix, digits, field, isNumber: true)
  }

  private static func padded(
    _ sign: String, _ text: String, _ field: Field, isNumber: Bool
  ) -> String {
    let missing = field.width - sign.unicodeScalars.count - text.unicodeScalars.count
    guard missing > 0 else { return sign + text }
    if field.isLeft { return sign + text + String(repeating: " ", count: missing) }
    if field.isZero, isNumber { return sign + String(repeating: "0", count: missing) + text }
    return String(repeating: " ", count: missing) + sign + text
  }
}
