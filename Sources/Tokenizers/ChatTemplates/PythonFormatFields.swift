/// `str.format`: replacement fields with attributes, items, conversions and specifications.
struct PythonFormatFields {
  private let interpreter: TemplateInterpreter
  private let positional: [RuntimeValue]
  /// The value of a name.
  private let named: (String) throws -> RuntimeValue
  /// The next field without a number; nil once a field had one.
  private var automatic: Int? = 0

  init(
    _ interpreter: TemplateInterpreter, positional: [RuntimeValue],
    named: @escaping (String) throws -> RuntimeValue
  ) {
    self.interpreter = interpreter
    self.positional = positional
    self.named = named
  }

  /// Throws: `TemplateError`.
  mutating func format(_ text: String) throws -> String { try format(text, depth: 2) }

  private mutating func format(_ format: String, depth: Int) throws -> String {
    guard depth >= 0 else { throw TemplateOperators.fail("Max string recursion exceeded") }
    var result = ""
    var rest = Array(format.unicodeScalars)[...]
    while let scalar = rest.popFirst() {
      if scalar == "{" || scalar == "}", rest.first == scalar {
        rest.removeFirst()
        result.unicodeScalars.append(scalar)
      } else if scalar == "{" {
        result += try field(try Self.takeField(&rest), depth)
      } else if scalar == "}" {
        throw TemplateOperators.fail("Single '}' encountered in format string")
      } else {
        result.unicodeScalars.append(scalar)
      }
      try TemplateOperators.checkSize(result.utf8.count, interpreter.limits)
    }
    return result
  }

  /// What stands before the closing brace, inner ones included.
  private static func takeField(
    _ rest: inout ArraySlice<Unicode.Scalar>
  ) throws -> ArraySlice<Unicode.Scalar> {
    guard !rest.isEmpty else {
      throw TemplateOperators.fail("Single '{' encountered in format string")
    }
    var open = 1
    var index = rest.startIndex
    while index < rest.endIndex {
      open += rest[index] == "{" ? 1 : rest[index] == "}" ? -1 : 0
      if open == 0 {
        defer { rest = rest[(index + 1)...] }
        return rest[..<index]
      }
      index += 1
    }
    throw TemplateOperators.fail("expected '}' before end of string")
  }

  private mutating func field(
    _ scalars: ArraySlice<Unicode.Scalar>, _ depth: Int
  ) throws -> String {
    // A bracket keeps `:` and `!` for the key.
    var inBrackets = false
    let end = scalars.firstIndex { scalar in
      if scalar == "[" { inBrackets = true }
      if scalar == "]" { inBrackets = false }
      return !inBrackets && (scalar == ":" || scalar == "!")
    }
    let name = scalars[..<(end ?? scalars.endIndex)]
    var rest = scalars[(end ?? scalars.endIndex)...]
    var value = try self.value(name)
    if rest.first == "!" {
      rest.removeFirst()
      switch rest.popFirst() {
      case "s": value = .string(PythonText.string(value))
      case "r": value = .string(PythonText.representation(value))
      case "a": value = .string(PythonText.ascii(value))
      default: throw TemplateOperators.fail("Unknown conversion specifier in a format string")
      }
      guard rest.isEmpty || rest.first == ":" else {
        throw TemplateOperators.fail("expected ':' after conversion specifier")
      }
    }
    let specification = try format(PythonText.string(rest.dropFirst()), depth: depth - 1)
    return try PythonFormatSpecification.format(value, specification, interpreter.limits)
  }

  private mutating func value(_ name: ArraySlice<Unicode.Scalar>) throws -> RuntimeValue {
    let end = name.firstIndex { $0 == "." || $0 == "[" } ?? name.endIndex
    var value = try first(PythonText.string(name[..<end]))
    var rest = name[end...]
    while let opening = rest.popFirst() {
      let isItem = opening == "["
      guard isItem || opening == "." else {
        throw TemplateOperators.fail(
          "Only '.' or '[' may follow ']' in format field specifier")
      }
      let stop = isItem ? rest.firstIndex(of: "]") : rest.firstIndex { $0 == "." || $0 == "[" }
      if isItem, stop == nil { throw TemplateOperators.fail("Missing ']' in format string") }
      let key = PythonText.string(rest[..<(stop ?? rest.endIndex)])
      guard !key.isEmpty else { throw TemplateOperators.fail("Empty attribute in format string") }
      rest = rest[(stop ?? rest.endIndex)...].dropFirst(isItem ? 1 : 0)
      if isItem {
        let isNumber = key.unicodeScalars.allSatisfy(\.isASCIIDigit)
        value = try interpreter.item(value, isNumber ? .int(Int(key) ?? Int.max) : .string(key))
      } else {
        value = try interpreter.attribute(value, key)
      }
    }
    return value
  }

  private mutating func first(_ name: String) throws -> RuntimeValue {
    let isNumber = !name.isEmpty && name.unicodeScalars.allSatisfy(\.isASCIIDigit)
    guard name.isEmpty || isNumber else { return try named(name) }
    var index = Int(name) ?? Int.max
    if let next = automatic, name.isEmpty {
      index = next
      automatic = next + 1
    } else if name.isEmpty || (automatic ?? 0) > 0 {
      throw TemplateOperators.fail(
        "cannot switch between manual field specification and automatic field numbering")
    } else {
      automatic = nil
    }
    guard index < positional.count else {
      throw TemplateOperators.fail(
        "Replacement index \(index) out of range for positional args tuple")
    }
    return positional[index]
  }
}
