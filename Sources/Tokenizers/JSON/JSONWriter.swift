import ModelFormats

/// How JSON text is laid out; the defaults are those of Python's `json.dumps`.
package struct JSONStyle: Hashable, Sendable {
  /// Spaces for each level, or the text for one level; nil writes everything on one line.
  package var indent: String?
  package var itemSeparator: String
  package var keySeparator: String
  /// Writes everything beyond ASCII as `\u` escapes.
  package var isASCII: Bool
  package var sortsKeys: Bool

  package init(
    indent: String? = nil, itemSeparator: String? = nil, keySeparator: String = ": ",
    isASCII: Bool = false, sortsKeys: Bool = false
  ) {
    self.indent = indent
    self.itemSeparator = itemSeparator ?? (indent == nil ? ", " : ",")
    self.keySeparator = keySeparator
    self.isASCII = isASCII
    self.sortsKeys = sortsKeys
  }
}

extension JSONValue {
  /// The document as Python's `json.dumps` writes it.
  package func serialized(_ style: JSONStyle = JSONStyle()) -> String {
    var text = ""
    write(style, level: 0, into: &text)
    return text
  }

  private func write(_ style: JSONStyle, level: Int, into text: inout String) {
    switch self {
    case .null: text += "null"
    case .bool(let value): text += value ? "true" : "false"
    case .int(let value): text += String(value)
    case .bigInt(let value): text += value.description
    case .double(let value): text += jsonNumber(value)
    case .string(let value): quoteJSON(value, isASCII: style.isASCII, into: &text)
    case .array(let elements):
      Self.writeList("[", "]", elements.count, style, level, into: &text) { index, text in
        elements[index].write(style, level: level + 1, into: &text)
      }
    case .object(let members):
      let order = Self.keyOrder(members, style)
      Self.writeList("{", "}", order.count, style, level, into: &text) { index, text in
        quoteJSON(members.keys[order[index]], isASCII: style.isASCII, into: &text)
        text += style.keySeparator
        members.values[order[index]].write(style, level: level + 1, into: &text)
      }
    }
  }

  private static func keyOrder(_ members: JSONMembers, _ style: JSONStyle) -> [Int] {
    guard style.sortsKeys else { return Array(members.keys.indices) }
    return members.keys.indices.sorted {
      members.keys[$0].unicodeScalars.lexicographicallyPrecedes(members.keys[$1].unicodeScalars)
    }
  }

  private static func writeList(
    _ open: String, _ close: String, _ count: Int, _ style: JSONStyle, _ level: Int,
    into text: inout String, _ element: (Int, inout String) -> Void
  ) {
    text += open
    for index in 0..<count {
      if index > 0 { text += style.itemSeparator }
      if let indent = style.indent {
        text += "\n" + String(repeating: indent, count: level + 1)
      }
      element(index, &text)
    }
    if count > 0, let indent = style.indent {
      text += "\n" + String(repeating: indent, count: level)
    }
    text += close
  }
}

/// A number as Python's `json.dumps` writes it, which is its `repr` except for what is not finite.
func jsonNumber(_ value: Double) -> String {
  if value.isNaN { return "NaN" }
  if value.isInfinite { return value < 0 ? "-Infinity" : "Infinity" }
  return pythonRepresentation(value)
}

/// Python's `repr` of a float: the shortest digits that round-trip, with an exponent below 1e-4 and
/// from 1e16 on.
func pythonRepresentation(_ value: Double) -> String {
  if value.isNaN { return "nan" }
  if value.isInfinite { return value < 0 ? "-inf" : "inf" }
  if value == 0 { return value.sign == .minus ? "-0.0" : "0.0" }
  let (digits, exponent) = shortestDigits(value.magnitude)
  let sign = value < 0 ? "-" : ""
  // The value is 0.digits times ten to `exponent`.
  if exponent > -4, exponent <= 16 {
    if exponent <= 0 { return sign + "0." + String(repeating: "0", count: -exponent) + digits }
    if digits.count <= exponent {
      return sign + digits + String(repeating: "0", count: exponent - digits.count) + ".0"
    }
    return sign + digits.prefix(exponent) + "." + digits.dropFirst(exponent)
  }
  let power = exponent - 1
  let mantissa = digits.count == 1 ? digits : digits.prefix(1) + "." + digits.dropFirst()
  let powerDigits = String(power.magnitude)
  return sign + mantissa + "e" + (power < 0 ? "-" : "+")
    + (powerDigits.count == 1 ? "0" : "") + powerDigits
}

/// The shortest decimal digits of a positive number and the exponent e for 0.digits x 10^e.
private func shortestDigits(_ value: Double) -> (digits: String, exponent: Int) {
  // Swift prints the shortest digits too; only its layout differs.
  let parts = "\(value)".split(separator: "e")
  let mantissa = parts.first.map(String.init) ?? "0"
  var exponent = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
  let halves = mantissa.split(separator: ".", omittingEmptySubsequences: false)
  let whole = String(halves[0])
  var digits = whole + (halves.count > 1 ? String(halves[1]) : "")
  exponent += whole.count
  while digits.first == "0", digits.count > 1 {
    digits.removeFirst()
    exponent -= 1
  }
  while digits.last == "0", digits.count > 1 { digits.removeLast() }
  return (digits, exponent)
}

/// Appends a JSON string.
func quoteJSON(_ value: String, isASCII: Bool, into text: inout String) {
  text += "\""
  for scalar in value.unicodeScalars {
    switch scalar {
    case "\"": text += "\\\""
    case "\\": text += "\\\\"
    case "\n": text += "\\n"
    case "\r": text += "\\r"
    case "\t": text += "\\t"
    case "\u{08}": text += "\\b"
    case "\u{0C}": text += "\\f"
    default:
      if scalar.value < 0x20 || (isASCII && scalar.value > 0x7E) {
        for unit in String(scalar).utf16 {
          let digits = String(unit, radix: 16)
          text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        }
      } else {
        text.unicodeScalars.append(scalar)
      }
    }
  }
  text += "\""
}
