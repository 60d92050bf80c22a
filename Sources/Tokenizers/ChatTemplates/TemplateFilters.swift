import ModelFormats

typealias TemplateFilter = TemplateFunction<RuntimeValue, RuntimeValue>

enum TemplateFilters {
  /// Jinja2's filters that are not written here, and why.
  static let refused = [
    "pprint": "its line breaks are not written here",
    "random": "it draws by chance, so a prompt would not be the same twice",
    "urlize": "it is for web pages",
  ]

  static let all: [String: TemplateFilter] = basic
    .merging(text) { $1 }.merging(sequences) { $1 }.merging(selections) { $1 }

  /// Why a template cannot use a filter of this name; nil when it can.
  static func objection(_ name: String) -> String? {
    if let reason = refused[name] { return "The filter '\(name)' is not supported: \(reason)." }
    return all[name] == nil ? "No filter named '\(excerpt(name))'." : nil
  }

  private static let basic: [String: TemplateFilter] = {
    let fallback = TemplateFilter(.named("default_value?", "boolean?")) { _, value, arguments in
      let isReplaced = value.isUndefined || (arguments.isTrue(1) && !value.isTrue)
      return isReplaced ? arguments[0] ?? .string("") : value
    }
    let length = TemplateFilter(.nothing) { _, value, _ in
      guard let length = TemplateOperators.length(value) else {
        throw TemplateOperators.fail("object of type '\(value.typeName)' has no len()")
      }
      return .int(length)
    }
    return [
      "default": fallback, "d": fallback, "length": length, "count": length,
      "attr": TemplateFilter(.named("name")) { interpreter, value, arguments in
        let name = try arguments.text(0)
        try TemplateOperators.requireDefined(value)
        return try interpreter.member(value, name)
          ?? .undefined("'\(value.objectName)' has no attribute '\(name)'")
      },
      "tojson": TemplateFilter(
        .named("ensure_ascii?", "indent?", "separators?", "sort_keys?")
      ) { interpreter, value, arguments in .string(try interpreter.json(value, arguments)) },
      "abs": TemplateFilter(.nothing) { _, value, _ in
        if let integer = value.bigInteger { return RuntimeValue(integer.absolute) }
        guard let number = value.number else {
          try TemplateOperators.requireDefined(value)
          throw TemplateOperators.fail("bad operand type for abs(): '\(value.typeName)'")
        }
        return .double(number.magnitude)
      },
      "int": TemplateFilter(.named("default?", "base?")) { _, value, arguments in
        try integer(value, arguments)
      },
      "float": TemplateFilter(.named("default?")) { _, value, arguments in
        try TemplateOperators.requireDefined(value)
        let number = value.text.map(PythonNumbers.double) ?? value.number
        return number.map { .double($0) } ?? arguments[0] ?? .double(0)
      },
      "round": TemplateFilter(.named("precision?", "method?")) { _, value, arguments in
        try rounded(value, arguments)
      },
      "filesizeformat": TemplateFilter(.named("binary?")) { _, value, arguments in
        try fileSize(value, binary: arguments.isTrue(0))
      },
    ]
  }()

  // MARK: numbers

  private static func integer(
    _ value: RuntimeValue, _ arguments: BoundArguments
  ) throws -> RuntimeValue {
    try TemplateOperators.requireDefined(value)
    let fallback = arguments[0] ?? .int(0)
    if let integer = value.bigInteger { return RuntimeValue(integer) }
    if case .double(let number) = value {
      if let whole = BigInteger(truncating: number) { return RuntimeValue(whole) }
      guard number.isNaN else {
        throw TemplateOperators.fail("cannot convert float infinity to integer")
      }
      return fallback
    }
    guard case .string(let text) = value else { return fallback }
    // `int` of a base that is no integer fails as one of an odd text does.
    if let base = arguments[1] == nil ? 10 : arguments[1]?.index,
      let integer = try PythonNumbers.integer(text, base: base)
    {
      return integer
    }
    // "42.23" is 42.
    return PythonNumbers.double(text).flatMap { BigInteger(truncating: $0) }
      .map { RuntimeValue($0) } ?? fallback
  }

  private static func rounded(
    _ value: RuntimeValue, _ arguments: BoundArguments
  ) throws -> RuntimeValue {
    let method = arguments[1] == nil ? "common" : try arguments.text(1)
    guard ["common", "ceil", "floor"].contains(method) else {
      throw TemplateOperators.fail("method must be common, ceil or floor")
    }
    let isNone = arguments[0]?.isNone ?? false
    let precision = isNone ? nil : min(max(try arguments.integer(0, 0), -10_000), 10_000)
    if method == "common" { return try PythonNumbers.rounded(value, precision) }
    let limits = TemplateLimits()
    let factor = try TemplateOperators.binary("**", .int(10), .int(precision ?? 0), limits)
    let scaled = try TemplateOperators.binary("*", value, factor, limits)
    guard let number = scaled.number else {
      throw TemplateOperators.fail("must be real number, not \(value.typeName)")
    }
    let whole =
      scaled.bigInteger
      ?? BigInteger(truncating: number.rounded(method == "ceil" ? .up : .down))
    guard let whole else {
      throw TemplateOperators.fail(
        "cannot convert float \(number.isNaN ? "NaN" : "infinity") to integer")
    }
    return try TemplateOperators.binary("/", RuntimeValue(whole), factor, limits)
  }

  private static func fileSize(_ value: RuntimeValue, binary: Bool) throws -> RuntimeValue {
    guard let bytes = value.text.map(PythonNumbers.double) ?? value.number else {
      try TemplateOperators.requireDefined(value)
      throw TemplateOperators.fail("could not convert to float: '\(value.typeName)'")
    }
    let base: Double = binary ? 1024 : 1000
    if bytes == 1 { return .string("1 Byte") }
    if bytes < base {
      guard let whole = BigInteger(truncating: bytes) else {
        throw TemplateOperators.fail("cannot convert float infinity to integer")
      }
      return .string("\(whole) Bytes")
    }
    let prefixes = ["k", "M", "G", "T", "P", "E", "Z", "Y"].map {
      binary ? ($0 == "k" ? "K" : $0) + "iB" : $0 + "B"
    }
    var unit = base
    for prefix in prefixes {
      unit *= base
      if bytes < unit || prefix == prefixes.last {
        let text = try PythonFormatSpecification.digits(
          base * bytes / unit, "f", precision: 1, isAlternate: false)
        return .string("\(text) \(prefix)")
      }
    }
    return .none
  }
}

extension TemplateInterpreter {
  /// Applies the filter `name`.
  ///
  /// - Throws: `TemplateError` for an unknown filter or operands that do not suit it.
  func apply(
    _ name: String, _ value: RuntimeValue, _ arguments: RuntimeArguments
  ) throws -> RuntimeValue {
    guard let filter = TemplateFilters.all[name] else {
      throw TemplateOperators.fail(TemplateFilters.objection(name) ?? "")
    }
    let result = try filter.apply(name, value, arguments, self)
    try spendOnResult(result)
    return result
  }

  /// Counts the work of a filter that reads its whole operand.
  func spend(on value: RuntimeValue) throws {
    try spend((TemplateOperators.size(value) ?? 0) / 64)
  }

  // MARK: JSON

  /// `tojson` as transformers defines it: `json.dumps` without escapes beyond JSON's own.
  fileprivate func json(_ value: RuntimeValue, _ arguments: BoundArguments) throws -> String {
    var style = JSONStyle(isASCII: arguments.isTrue(0), sortsKeys: arguments.isTrue(3))
    if let indent = arguments.given(1) {
      let width = try indent.text == nil ? max(0, arguments.integer(1, 0)) : 0
      guard width <= 1000 else {
        throw TemplateOperators.fail("tojson: an indent beyond 1000 is not supported")
      }
      style = JSONStyle(
        indent: indent.text ?? String(repeating: " ", count: width), isASCII: style.isASCII,
        sortsKeys: style.sortsKeys)
    }
    if let separators = arguments.given(2) {
      let pair = try TemplateOperators.elements(separators)
      guard pair.count == 2, let item = pair[0].text, let key = pair[1].text else {
        throw TemplateOperators.fail("separators must be a pair of strings")
      }
      style.itemSeparator = item
      style.keySeparator = key
    }
    let text = try document(value, depth: 0).serialized(style)
    try spend(text.utf8.count / 64)
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
    case .bigInt(let value): return .bigInt(value)
    case .double(let value): return .double(value)
    case .string(let value): return .string(value)
    case .list(let elements), .tuple(let elements), .group(let elements):
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
    case .bool, .none, .int, .bigInt, .double: return try document(key, depth: 0).serialized()
    default:
      throw TemplateOperators.fail(
        "keys must be str, int, float, bool or None, not \(key.typeName)")
    }
  }
}
