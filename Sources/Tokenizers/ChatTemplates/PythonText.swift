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

  /// What a text of a value may have before it is cut: more than `TemplateLimits.outputBytes`, so
  /// that no template can write it. A list may hold a long text a million times.
  private static let limitBytes = 33 << 20

  /// `repr(value)`.
  static func representation(_ value: RuntimeValue) -> String {
    var text = ""
    append(value, to: &text)
    return text
  }

  private static func append(_ value: RuntimeValue, to text: inout String) {
    switch value {
    case .undefined: text += "Undefined"
    case .none: text += "None"
    case .bool(let value): text += value ? "True" : "False"
    case .int(let value): text += String(value)
    case .bigInt(let value): text += value.description
    case .double(let value): text += pythonRepresentation(value)
    case .string(let string): text += quoted(string)
    case .list(let elements): append("[", elements, "]", to: &text)
    case .tuple(let elements), .group(let elements):
      append("(", elements, elements.count == 1 ? ",)" : ")", to: &text)
    case .range(let range):
      let step = range.step == 1 ? "" : ", \(range.step)"
      text += "range(\(range.start), \(range.stop)\(step))"
    case .dictionary(let dictionary):
      text += "{"
      for (index, key) in dictionary.keys.enumerated() where text.utf8.count < limitBytes {
        if index > 0 { text += ", " }
        append(key, to: &text)
        text += ": "
        append(dictionary.values[index], to: &text)
      }
      text += "}"
    case .view(let view): append("\(value.typeName)([", view.elements, "])", to: &text)
    case .generator: text += "<generator object>"
    case .function(let function): text += "<function \(function.name)>"
    case .object(let object): text += "<\(object.typeName)>"
    }
  }

  private static func append(
    _ open: String, _ elements: [RuntimeValue], _ close: String, to text: inout String
  ) {
    text += open
    for (index, element) in elements.enumerated() where text.utf8.count < limitBytes {
      if index > 0 { text += ", " }
      append(element, to: &text)
    }
    text += close
  }

  /// `ascii(value)`: `repr` with escapes for what is beyond ASCII.
  static func ascii(_ value: RuntimeValue) -> String {
    var result = ""
    for scalar in representation(value).unicodeScalars {
      if scalar.isASCII { result.unicodeScalars.append(scalar) } else { result += escape(scalar) }
    }
    return result
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
        } else {
          result += escape(scalar)
        }
      }
    }
    return result + String(quote)
  }

  private static func escape(_ scalar: Unicode.Scalar) -> String {
    if scalar.value < 0x100 { return "\\x" + hexadecimal(scalar.value, 2) }
    if scalar.value < 0x10000 { return "\\u" + hexadecimal(scalar.value, 4) }
    return "\\U" + hexadecimal(scalar.value, 8)
  }

  /// Python's `str.isprintable` of one character.
  static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    if (0x20..<0x7F).contains(scalar.value) { return true }
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

  static func string(_ scalars: some Sequence<Unicode.Scalar>) -> String {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: scalars)
    return String(view)
  }

  // MARK: pieces of strings

  /// The part between two positions of the UTF-8 bytes, both at the start of a character.
  static func slice(_ text: String, _ range: Range<Int>) -> String {
    let bytes = text.utf8
    let start = bytes.index(bytes.startIndex, offsetBy: range.lowerBound)
    return String(text[start..<bytes.index(start, offsetBy: range.count)])
  }

  /// Python's `len`: code points.
  static func length(_ text: String) -> Int {
    text.utf8.withContiguousStorageIfAvailable(characters) ?? text.unicodeScalars.count
  }

  /// How many characters begin in some bytes of UTF-8.
  private static func characters(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
    var count = 0
    for byte in bytes where byte & 0xC0 != 0x80 { count += 1 }
    return count
  }

  /// How many characters stand before a byte.
  static func characters(of text: String, before byte: Int) -> Int {
    length(slice(text, 0..<byte))
  }

  /// Where the character `index` begins in the UTF-8 bytes; the end for one past the last.
  static func byte(of text: String, at index: Int) -> Int {
    let count = text.utf8.count
    let found = text.utf8.withContiguousStorageIfAvailable { bytes in
      var seen = -1
      for (position, byte) in bytes.enumerated() where byte & 0xC0 != 0x80 {
        seen += 1
        if seen == index { return position }
      }
      return count
    }
    return found ?? count
  }

  /// The bytes of the characters that Python's `text[start:end]` takes, and how many characters
  /// stand before them; nil where the end lies before the start.
  static func region(
    _ text: String, _ start: Int?, _ end: Int?
  ) -> (bytes: Range<Int>, first: Int)? {
    if start == nil, end == nil { return (0..<text.utf8.count, 0) }
    let count = length(text)
    func clamped(_ index: Int) -> Int { max(0, index < 0 ? index + count : index) }
    let first = clamped(start ?? 0)
    let last = min(count, clamped(end ?? count))
    guard first <= last else { return nil }
    if count == text.utf8.count { return (first..<last, first) }
    let low = byte(of: text, at: first)
    return (low..<(last == count ? text.utf8.count : byte(of: text, at: last)), first)
  }

  static func stripped(
    _ text: String, _ characters: String?, left: Bool = true, right: Bool = true
  ) -> String {
    let set = characters.map { Set($0.unicodeScalars) }
    let isStripped = { (scalar: Unicode.Scalar) in
      set.map { $0.contains(scalar) } ?? isPythonSpace(scalar)
    }
    let scalars = text.unicodeScalars
    var rest = scalars[...]
    while left, let first = rest.first, isStripped(first) { rest.removeFirst() }
    while right, let last = rest.last, isStripped(last) { rest.removeLast() }
    if rest.startIndex == scalars.startIndex, rest.endIndex == scalars.endIndex { return text }
    return String(rest)
  }

  // MARK: case

  /// `str.lower()`, with the final form of sigma at the ends of words.
  static func lowercased(_ text: String) -> String {
    guard text.unicodeScalars.contains("\u{3A3}") else { return mapped(text, \.lowercaseMapping) }
    let scalars = Array(text.unicodeScalars)
    return scalars.indices.map { lowercased(scalars, $0) }.joined()
  }

  /// `str.upper()`.
  static func uppercased(_ text: String) -> String { mapped(text, \.uppercaseMapping) }

  /// `str.casefold()`: Unicode's full case folding.
  static func casefolded(_ text: String) -> String {
    text.unicodeScalars.map { scalar in
      switch scalar.value {
      case 0x131: return String(scalar)
      // Cherokee folds to its capitals, which are older than its small letters.
      case 0x13A0...0x13FF, 0xAB70...0xABBF: return scalar.properties.uppercaseMapping
      default:
        return mapped(
          mapped(scalar.properties.lowercaseMapping, \.uppercaseMapping), \.lowercaseMapping)
      }
    }.joined()
  }

  private static func mapped(
    _ text: String, _ mapping: KeyPath<Unicode.Scalar.Properties, String>
  ) -> String {
    if text.utf8.allSatisfy({ $0 < 0x80 }) {
      return mapping == \.lowercaseMapping ? text.lowercased() : text.uppercased()
    }
    return text.unicodeScalars.map { $0.properties[keyPath: mapping] }.joined()
  }

  /// The lower case of one character, which for sigma depends on its neighbours (Unicode's
  /// Final_Sigma).
  private static func lowercased(_ scalars: [Unicode.Scalar], _ index: Int) -> String {
    guard scalars[index] == "\u{3A3}" else { return scalars[index].properties.lowercaseMapping }
    let before = scalars[..<index].last { !$0.properties.isCaseIgnorable }
    let after = scalars[(index + 1)...].first { !$0.properties.isCaseIgnorable }
    let isFinal = (before?.properties.isCased ?? false) && !(after?.properties.isCased ?? false)
    return isFinal ? "\u{3C2}" : "\u{3C3}"
  }

  /// `str.title()`: a cased letter after an uncased character is upper case, after a cased one
  /// lower.
  static func titled(_ text: String) -> String {
    let scalars = Array(text.unicodeScalars)
    var result = ""
    var afterCased = false
    for index in scalars.indices {
      let properties = scalars[index].properties
      result += afterCased ? lowercased(scalars, index) : properties.titlecaseMapping
      afterCased = properties.isCased
    }
    return result
  }

  static func capitalized(_ text: String) -> String {
    let scalars = Array(text.unicodeScalars)
    guard let first = scalars.first else { return "" }
    return first.properties.titlecaseMapping
      + scalars.indices.dropFirst().map { lowercased(scalars, $0) }.joined()
  }

  static func caseSwapped(_ text: String) -> String {
    let scalars = Array(text.unicodeScalars)
    return scalars.indices.map { index in
      let properties = scalars[index].properties
      if properties.isUppercase { return lowercased(scalars, index) }
      return properties.isLowercase ? properties.uppercaseMapping : String(scalars[index])
    }.joined()
  }
}
