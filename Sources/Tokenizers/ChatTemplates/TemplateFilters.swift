import ModelFormats

extension TemplateInterpreter {
  /// Applies the filter `name`.
  ///
  /// - Throws: `TemplateError` for an unknown filter or operands that do not suit it.
  func apply(
    _ name: String, _ value: RuntimeValue, _ arguments: RuntimeArguments
  ) throws -> RuntimeValue {
    try spend((TemplateOperators.length(value) ?? 0) / 64)
    if let result = try textFilter(name, value, arguments) { return result }
    if let result = try sequenceFilter(name, value, arguments) { return result }
    if let result = try selectionFilter(name, value, arguments) { return result }
    switch name {
    case "default", "d":
      let isReplaced =
        value.isUndefined || (arguments.value(1, "boolean")?.isTrue ?? false && !value.isTrue)
      return isReplaced ? arguments.value(0, "default_value") ?? .string("") : value
    case "attr":
      guard case .string(let key)? = arguments.value(0, "name") else {
        throw TemplateOperators.fail("attr needs a name")
      }
      if case .object(let object) = value, let found = try object.attribute(key) { return found }
      return TemplateMethods.method(value, key)
        ?? .undefined("'\(value.objectName)' has no attribute '\(key)'")
    case "tojson": return .string(try json(value, arguments))
    case "abs":
      if let integer = value.integer { return .int(Int(integer.magnitude & UInt(Int.max))) }
      guard let number = value.number else {
        try TemplateOperators.requireDefined(value)
        throw TemplateOperators.fail("bad operand type for abs(): '\(value.typeName)'")
      }
      return .double(number.magnitude)
    case "int", "float":
      try TemplateOperators.requireDefined(value)
      return number(name, value, arguments)
    case "round": return try rounded(value, arguments)
    case "length", "count":
      guard let length = TemplateOperators.length(value) else {
        throw TemplateOperators.fail("object of type '\(value.typeName)' has no len()")
      }
      return .int(length)
    default: throw TemplateOperators.fail("No filter named '\(excerpt(name))'.")
    }
  }

  // MARK: numbers

  private func number(
    _ name: String, _ value: RuntimeValue, _ arguments: RuntimeArguments
  ) -> RuntimeValue {
    let isInteger = name == "int"
    let fallback = arguments.value(0, "default") ?? (isInteger ? .int(0) : .double(0))
    if case .string(let text) = value {
      let trimmed = PythonText.stripped(text, nil).replacingUnderscores
      let base = arguments.value(1, "base")?.integer ?? 10
      if isInteger, (2...36).contains(base), let integer = Int(trimmed, radix: base) {
        return .int(integer)
      }
      guard let number = Double(trimmed) else { return fallback }
      if !isInteger { return .double(number) }
      return Int(exactly: number.rounded(.towardZero)).map { .int($0) } ?? fallback
    }
    if let integer = value.integer { return isInteger ? .int(integer) : .double(Double(integer)) }
    guard let number = value.number else { return fallback }
    if !isInteger { return .double(number) }
    return Int(exactly: number.rounded(.towardZero)).map { .int($0) } ?? fallback
  }

  private func rounded(
    _ value: RuntimeValue, _ arguments: RuntimeArguments
  ) throws -> RuntimeValue {
    let precision = min(max(arguments.value(0, "precision")?.integer ?? 0, -300), 300)
    let method = arguments.value(1, "method")?.text ?? "common"
    guard let number = value.number else {
      try TemplateOperators.requireDefined(value)
      throw TemplateOperators.fail("type \(value.typeName) doesn't define __round__ method")
    }
    switch method {
    case "common":
      if let integer = value.integer, precision >= 0 { return .int(integer) }
      return .double(Self.roundedHalfEven(number, precision))
    case "ceil", "floor":
      var scale = 1.0
      for _ in 0..<abs(precision) { scale *= 10 }
      if precision < 0 { scale = 1 / scale }
      return .double((number * scale).rounded(method == "ceil" ? .up : .down) / scale)
    default: throw TemplateOperators.fail("method must be common, ceil or floor")
    }
  }

  /// Python's `round`: the decimal text of the exact value, cut correctly.
  private static func roundedHalfEven(_ number: Double, _ precision: Int) -> Double {
    guard number.isFinite else { return number }
    if precision == 0 { return number.rounded(.toNearestOrEven) }
    if precision > 0, precision < 20 {
      let text = try? PythonFormat.format(
        "%.\(precision)f", .double(number), TemplateLimits())
      return text.flatMap(Double.init) ?? number
    }
    guard precision < 0 else { return number }
    var scale = 1.0
    for _ in 0 ..< -precision { scale *= 10 }
    return (number / scale).rounded(.toNearestOrEven) * scale
  }

  // MARK: JSON

  /// `tojson` as transformers defines it: `json.dumps` without escapes beyond JSON's own.
  private func json(_ value: RuntimeValue, _ arguments: RuntimeArguments) throws -> String {
    var style = JSONStyle(
      isASCII: arguments.value(0, "ensure_ascii")?.isTrue ?? false,
      sortsKeys: arguments.value(3, "sort_keys")?.isTrue ?? false)
    if let indent = arguments.given(1, "indent") {
      let width = indent.integer.map { min(max($0, 0), 64) }
      style = JSONStyle(
        indent: indent.text ?? String(repeating: " ", count: width ?? 0), isASCII: style.isASCII,
        sortsKeys: style.sortsKeys)
    }
    if let separators = arguments.given(2, "separators") {
      let pair = try TemplateOperators.elements(separators).map(PythonText.string)
      guard pair.count == 2 else { throw TemplateOperators.fail("separators must be a pair") }
      style.itemSeparator = pair[0]
      style.keySeparator = pair[1]
    }
    let text = try document(value, depth: 0).serialized(style)
    try TemplateOperators.checkSize(text.utf8.count, limits)
    return text
  }

  private func document(_ value: RuntimeValue, depth: Int) throws -> TemplateValue {
    try spend()
    guard depth < limits.depth else {
      throw TemplateError(.limitExceeded, "nested too deep for tojson")
    }
    switch value {
    case .none: return .null
    case .bool(let value): return .bool(value)
    case .int(let value): return .int(value)
    case .double(let value): return .double(value)
    case .string(let value): return .string(value)
    case .list(let elements), .tuple(let elements):
      return .array(try elements.map { try document($0, depth: depth + 1) })
    case .dictionary(let dictionary):
      var members = JSONMembers()
      for (key, value) in zip(dictionary.keys, dictionary.values) {
        members[try jsonKey(key)] = try document(value, depth: depth + 1)
      }
      return .object(members)
    default:
      throw TemplateOperators.fail(
        "Object of type \(value.typeName) is not JSON serializable")
    }
  }

  private func jsonKey(_ key: RuntimeValue) throws -> String {
    switch key {
    case .string(let text): return text
    case .bool, .none, .int, .double: return try document(key, depth: 0).serialized()
    default:
      throw TemplateOperators.fail(
        "keys must be str, int, float, bool or None, not \(key.typeName)")
    }
  }
}

extension String {
  /// Python allows underscores between digits.
  fileprivate var replacingUnderscores: String {
    contains("_") && first != "_" && last != "_" && !contains("__")
      ? String(unicodeScalars.filter { $0 != "_" }.map { Character($0) }) : self
  }
}
