/// Python's texts of values.
enum PythonText {
  /// `str(value)`.
  static func string(_ value: RuntimeValue) -> String {
    switch value {
    case .string(let text): text
    case .undefined: ""
    default: representation(value)
    }
  }

  /// `repr(value)`.
  static func representation(_ value: RuntimeValue) -> String {
    switch value {
    case .undefined: return "Undefined"
    case .none: return "None"
    case .bool(let value): return value ? "True" : "False"
    case .int(let value): return String(value)
    case .double(let value): return pythonRepresentation(value)
    case .string(let text): return quoted(text)
    case .list(let elements):
      return "[" + elements.map(representation).joined(separator: ", ") + "]"
    case .tuple(let elements):
      let inside = elements.map(representation).joined(separator: ", ")
      return elements.count == 1 ? "(\(inside),)" : "(\(inside))"
    case .dictionary(let dictionary):
      let members = zip(dictionary.keys, dictionary.values).map {
        "\(representation($0)): \(representation($1))"
      }
      return "{" + members.joined(separator: ", ") + "}"
    case .iterator(let elements, let hasLength):
      guard hasLength else { return "<generator object>" }
      return "dict_items([" + elements.map(representation).joined(separator: ", ") + "])"
    case .function(let function): return "<function \(function.name)>"
    case .object(let object): return "<\(object.typeName)>"
    }
  }

  /// `repr` of a string: single quotes unless only they occur, and escapes for what does not print.
  private static func quoted(_ text: String) -> String {
    let quote: Unicode.Scalar =
      text.unicodeScalars.contains("'") && !text.unicodeScalars.contains("\"") ? "\"" : "'"
    var result = String(quote)
    for scalar in text.unicodeScalars {
      switch scalar {
      case quote: result += "\\\(quote)"
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      default:
        if isPrintable(scalar) {
          result.unicodeScalars.append(scalar)
        } else if scalar.value < 0x100 {
          result += "\\x" + hexadecimal(scalar.value, 2)
        } else if scalar.value < 0x10000 {
          result += "\\u" + hexadecimal(scalar.value, 4)
        } else {
          result += "\\U" + hexadecimal(scalar.value, 8)
        }
      }
    }
    return result + String(quote)
  }

  private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    if scalar == " " { return true }
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
      .paragraphSeparator, .spaceSeparator:
      return false
    default: return true
    }
  }

  private static func hexadecimal(_ value: UInt32, _ width: Int) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }

  // MARK: pieces of strings

  static func stripped(
    _ text: String, _ characters: String?, left: Bool = true, right: Bool = true
  ) -> String {
    let scalars = Array(text.unicodeScalars)
    let set = characters.map { Set($0.unicodeScalars) }
    let isStripped = { (scalar: Unicode.Scalar) in
      set.map { $0.contains(scalar) } ?? isPythonSpace(scalar)
    }
    var start = 0
    var end = scalars.count
    while left, start < end, isStripped(scalars[start]) { start += 1 }
    while right, end > start, isStripped(scalars[end - 1]) { end -= 1 }
    if start == 0, end == scalars.count { return text }
    return string(scalars[start..<end])
  }

  static func string(_ scalars: some Sequence<Unicode.Scalar>) -> String {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: scalars)
    return String(view)
  }

  /// Where `needle` occurs, from the left and without overlap; for an empty one between all
  /// scalars.
  static func occurrences(_ needle: [Unicode.Scalar], in text: [Unicode.Scalar]) -> [Int] {
    guard let first = needle.first else { return Array(0...text.count) }
    var found: [Int] = []
    var position = 0
    while position + needle.count <= text.count {
      if text[position] == first,
        text[position..<position + needle.count].elementsEqual(needle)
      {
        found.append(position)
        position += needle.count
      } else {
        position += 1
      }
    }
    return found
  }

  static func contains(_ text: String, _ needle: String) -> Bool {
    let needleBytes = Array(needle.utf8)
    if needleBytes.isEmpty { return true }
    let bytes = Array(text.utf8)
    return !Tokenizers.occurrences(of: needleBytes, in: bytes, bytes.indices).isEmpty
  }

  /// `str.title()`: a cased letter after an uncased character is upper case, after a cased one
  /// lower.
  static func titled(_ text: String) -> String {
    var result = ""
    var afterCased = false
    for scalar in text.unicodeScalars {
      let properties = scalar.properties
      result += afterCased ? properties.lowercaseMapping : properties.titlecaseMapping
      afterCased = properties.isCased
    }
    return result
  }

  static func capitalized(_ text: String) -> String {
    guard let first = text.unicodeScalars.first else { return "" }
    return first.properties.titlecaseMapping
      + lowercased(String(String.UnicodeScalarView(text.unicodeScalars.dropFirst())))
  }

  /// `str.lower()`, with the final form of sigma at the ends of words.
  static func lowercased(_ text: String) -> String { text.lowercased() }

  /// Python's `str.upper()`.
  static func uppercased(_ text: String) -> String { text.uppercased() }
}
