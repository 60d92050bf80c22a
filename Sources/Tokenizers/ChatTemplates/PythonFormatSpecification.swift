import Foundation
import ModelFormats

/// Python's format specification:
/// `[[fill]align][sign][z][#][0][width][grouping][.precision][type]`.
struct PythonFormatSpecification {
  var fill: Unicode.Scalar = " "
  /// `<`, `>`, `^`, `=`, or nil for the type's own.
  var align: Unicode.Scalar?
  var sign: Unicode.Scalar = "-"
  var isAlternate = false
  var hidesNegativeZero = false
  var width = 0
  var grouping: Unicode.Scalar?
  var precision: Int?
  var type: Unicode.Scalar?

  init() {}

  /// Throws: `TemplateError`.
  init(_ text: String) throws {
    var rest = Array(text.unicodeScalars)[...]
    let aligns: Set<Unicode.Scalar> = ["<", ">", "^", "="]
    func take(_ options: Set<Unicode.Scalar>) -> Unicode.Scalar? {
      rest.first.flatMap { options.contains($0) ? rest.popFirst() : nil }
    }
    func number() -> Int? {
      var value: Int?
      while let digit = rest.first, digit.isASCIIDigit {
        value = min((value ?? 0) * 10 + Int(digit.value - 0x30), 1 << 40)
        rest.removeFirst()
      }
      return value
    }
    let hasFill = rest.count > 1 && aligns.contains(rest[rest.startIndex + 1])
    if hasFill {
      fill = rest.removeFirst()
      align = rest.removeFirst()
    } else {
      align = take(aligns)
    }
    sign = take(["+", "-", " "]) ?? "-"
    hidesNegativeZero = take(["z"]) != nil
    isAlternate = take(["#"]) != nil
    if take(["0"]) != nil {
      if !hasFill { fill = "0" }
      align = align ?? "="
    }
    width = number() ?? 0
    grouping = take([",", "_"])
    if take(["."]) != nil {
      precision = number()
      guard precision != nil else {
        throw TemplateOperators.fail("Format specifier missing precision")
      }
    }
    type = rest.popFirst()
    guard rest.isEmpty else { throw TemplateOperators.fail("Invalid format specifier") }
  }

  /// `format(value, specification)`.
  ///
  /// - Throws: `TemplateError` for a specification that does not suit the value.
  static func format(
    _ value: RuntimeValue, _ text: String, _ limits: TemplateLimits
  ) throws -> String {
    guard !text.isEmpty else { return PythonText.string(value) }
    let specification = try PythonFormatSpecification(text)
    try TemplateOperators.checkSize(specification.width, limits)
    switch value {
    case .string(let text): return try specification.formatted(text)
    case .bool, .int, .bigInt: return try specification.formatted(integer: value)
    case .double(let number): return try specification.formatted(number)
    default:
      try TemplateOperators.requireDefined(value)
      throw TemplateOperators.fail(
        "unsupported format string passed to \(value.typeName).__format__")
    }
  }

  private func unknownType(_ object: String) -> TemplateError {
    TemplateOperators.fail(
      "Unknown format code '\(type.map { String($0) } ?? "")' for object of type '\(object)'")
  }

  private func formatted(_ text: String) throws -> String {
    guard type == nil || type == "s" else { throw unknownType("str") }
    guard sign == "-", !isAlternate, grouping == nil, align != "=" || fill == "0" else {
      throw TemplateOperators.fail("the format specification does not suit a string")
    }
    let cut = precision.map { PythonText.string(text.unicodeScalars.prefix($0)) } ?? text
    return padded("", cut, align == "=" ? "<" : align ?? "<")
  }

  private func formatted(integer value: RuntimeValue) throws -> String {
    guard let integer = value.bigInteger else { throw unknownType("int") }
    let radix: UInt32
    switch type {
    case nil, "d", "n": radix = 10
    case "x", "X": radix = 16
    case "o": radix = 8
    case "b": radix = 2
    case "c":
      guard sign == "-", let code = integer.int.flatMap({ UInt32(exactly: $0) }),
        let scalar = Unicode.Scalar(code)
      else { throw TemplateOperators.fail("%c arg not in range(0x110000)") }
      return padded("", String(scalar), align ?? "<")
    case "e", "E", "f", "F", "g", "G", "%": return try formatted(integer.double)
    default: throw unknownType("int")
    }
    guard precision == nil else {
      throw TemplateOperators.fail("Precision not allowed in integer format specifier")
    }
    guard grouping != "," || radix == 10 else {
      throw TemplateOperators.fail("Cannot specify ',' with '\(type.map { String($0) } ?? "")'.")
    }
    let digits = integer.absolute.text(radix: radix, uppercase: type == "X")
    let prefix = isAlternate && radix != 10 ? "0" + (type.map { String($0) } ?? "") : ""
    return number(
      isNegative: integer.isNegative, prefix: prefix, whole: digits, rest: "",
      group: radix == 10 ? 3 : 4)
  }

  func formatted(_ value: Double) throws -> String {
    var text = try Self.digits(
      value.magnitude, type, precision: precision, isAlternate: isAlternate)
    var isNegative = value.sign == .minus && !value.isNaN
    if hidesNegativeZero, !text.contains(where: { ("1"..."9").contains($0) }) { isNegative = false }
    if type == "%" { text += "%" }
    let whole = value.isFinite ? String(text.prefix { ("0"..."9").contains($0) }) : text
    return number(
      isNegative: isNegative, prefix: "", whole: whole,
      rest: String(text.dropFirst(whole.count)), group: value.isFinite ? 3 : Int.max)
  }

  /// The digits of a number that is not negative.
  static func digits(
    _ value: Double, _ type: Unicode.Scalar?, precision: Int?, isAlternate: Bool
  ) throws -> String {
    if let type, !"eEfFgGn%".unicodeScalars.contains(type) {
      throw TemplateOperators.fail(
        "Unknown format code '\(type)' for object of type 'float'")
    }
    if !value.isFinite {
      let text = value.isNaN ? "nan" : "inf"
      return type == "F" || type == "E" || type == "G" ? text.uppercased() : text
    }
    let count = min(precision ?? 6, 400)
    let sharp = isAlternate ? "#" : ""
    switch type {
    case nil:
      guard let precision else { return pythonRepresentation(value) }
      return general(value, min(max(precision, 1), 400), sharp)
    case "%": return String(format: "%\(sharp).\(count)f", value * 100)
    case "n": return String(format: "%\(sharp).\(count)g", value)
    case let code?: return String(format: "%\(sharp).\(count)\(code)", value)
    }
  }

  /// As `g`, but with a digit after the point, and an exponent already when it is one less.
  private static func general(_ value: Double, _ precision: Int, _ sharp: String) -> String {
    let scientific = String(format: "%.\(precision - 1)e", value)
    let parts = scientific.split(separator: "e")
    let exponent = parts.count == 2 ? Int(parts[1]) ?? 0 : 0
    guard value == 0 || (-4..<precision).contains(exponent) && exponent + 1 < precision else {
      // Python switches to the exponent where `g` would give a whole number.
      let text = String(format: "%\(sharp).\(precision)g", value)
      if text.contains("e") || text.contains(".") { return text }
      var mantissa = String(parts[0])
      while mantissa.contains("."), mantissa.hasSuffix("0") { mantissa.removeLast() }
      if mantissa.hasSuffix(".") { mantissa.removeLast() }
      return mantissa + "e" + parts[1]
    }
    let text = String(format: "%\(sharp).\(precision)g", value)
    return text.contains(".") || text.contains("e") ? text : text + ".0"
  }

  // MARK: layout

  private func number(
    isNegative: Bool, prefix: String, whole: String, rest: String, group: Int
  ) -> String {
    let lead = (isNegative ? "-" : sign == "-" ? "" : String(sign)) + prefix
    var digits = whole
    if let grouping {
      // Leading zeros are grouped too.
      let free = width - lead.unicodeScalars.count - rest.unicodeScalars.count
      digits = grouped(digits, grouping, group, atLeast: align == "=" && fill == "0" ? free : 0)
    }
    return padded(lead, digits + rest, align ?? ">")
  }

  private func grouped(
    _ digits: String, _ separator: Unicode.Scalar, _ size: Int, atLeast width: Int
  ) -> String {
    var result: [UInt8] = []
    var left = Array(digits.utf8)
    var count = 0
    while !left.isEmpty || result.count < width {
      if count > 0, count % size == 0 {
        result.append(UInt8(ascii: separator))
        // A separator never comes first, so that a digit follows even beyond the width.
      }
      result.append(left.popLast() ?? 0x30)
      count += 1
    }
    return String(decoding: result.reversed(), as: UTF8.self)
  }

  func padded(_ sign: String, _ text: String, _ align: Unicode.Scalar) -> String {
    let missing = width - PythonText.length(sign) - PythonText.length(text)
    guard missing > 0 else { return sign + text }
    func blanks(_ count: Int) -> String { String(repeating: String(fill), count: count) }
    switch align {
    case "<": return sign + text + blanks(missing)
    case "^": return blanks(missing / 2) + sign + text + blanks(missing - missing / 2)
    case "=": return sign + blanks(missing) + text
    default: return blanks(missing) + sign + text
    }
  }
}
