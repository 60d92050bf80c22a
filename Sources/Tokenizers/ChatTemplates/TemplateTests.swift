import ModelFormats

/// The tests of `value is name`.
enum TemplateTests {
  typealias Test = TemplateFunction<RuntimeValue, Bool>

  static let all: [String: Test] = kinds.merging(
    comparisons.mapValues { operation in
      Test(.positional("other")) { _, value, arguments in
        try TemplateOperators.compare(operation, value, arguments[0] ?? .none)
      }
    }) { $1 }

  /// Why a template cannot use a test of this name; nil when it can.
  static func objection(_ name: String) -> String? {
    all[name] == nil ? "No test named '\(excerpt(name))'." : nil
  }

  private static let comparisons = [
    "eq": "==", "equalto": "==", "==": "==", "ne": "!=", "!=": "!=", "lt": "<", "lessthan": "<",
    "<": "<", "le": "<=", "<=": "<=", "gt": ">", "greaterthan": ">", ">": ">", "ge": ">=",
    ">=": ">=", "in": "in",
  ]

  private static let kinds: [String: Test] = [
    "defined": Test(.nothing) { _, value, _ in !value.isUndefined },
    "undefined": Test(.nothing) { _, value, _ in value.isUndefined },
    "none": Test(.nothing) { _, value, _ in value.isNone },
    "boolean": Test(.nothing) { _, value, _ in if case .bool = value { true } else { false } },
    "true": Test(.nothing) { _, value, _ in if case .bool(true) = value { true } else { false } },
    "false": Test(.nothing) { _, value, _ in if case .bool(false) = value { true } else { false } },
    "integer": Test(.nothing) { _, value, _ in
      if case .bool = value { false } else { value.bigInteger != nil }
    },
    "float": Test(.nothing) { _, value, _ in if case .double = value { true } else { false } },
    "number": Test(.nothing) { _, value, _ in value.number != nil },
    "string": Test(.nothing) { _, value, _ in value.text != nil },
    "mapping": Test(.nothing) { _, value, _ in
      if case .dictionary = value { true } else { false }
    },
    "sequence": Test(.nothing) { _, value, _ in isSequence(value) },
    "iterable": Test(.nothing) { _, value, _ in
      switch value {
      case .view, .generator: true
      case .object(let object): object is TemplateLoopState
      default: isSequence(value)
      }
    },
    "callable": Test(.nothing) { _, value, _ in
      switch value {
      case .function, .undefined: true
      case .object(let object): object is TemplateJoiner || object is TemplateLoopState
      default: false
      }
    },
    // Nothing here is marked as escaped.
    "escaped": Test(.nothing) { _, _, _ in false },
    "sameas": Test(.named("other")) { _, value, arguments in
      let other = arguments[0] ?? .none
      return value.typeName == other.typeName && TemplateOperators.equal(value, other)
    },
    "even": Test(.nothing) { interpreter, value, _ in
      try rest(value, .int(2), interpreter, is: 0)
    },
    "odd": Test(.nothing) { interpreter, value, _ in
      try rest(value, .int(2), interpreter, is: 1)
    },
    "divisibleby": Test(.named("num")) { interpreter, value, arguments in
      try rest(value, arguments[0] ?? .none, interpreter, is: 0)
    },
    "lower": Test(.nothing) { interpreter, value, _ in
      try interpreter.spend(on: value)
      return TemplateMethods.hasCase(
        PythonText.string(value), \.isLowercase, not: \.isUppercase)
    },
    "upper": Test(.nothing) { interpreter, value, _ in
      try interpreter.spend(on: value)
      return TemplateMethods.hasCase(
        PythonText.string(value), \.isUppercase, not: \.isLowercase)
    },
    "filter": Test(.nothing) { _, value, _ in
      try TemplateOperators.requireHashable(value)
      return value.text.map { TemplateFilters.objection($0) == nil } ?? false
    },
    "test": Test(.nothing) { _, value, _ in
      try TemplateOperators.requireHashable(value)
      return value.text.map { objection($0) == nil } ?? false
    },
  ]

  private static func isSequence(_ value: RuntimeValue) -> Bool {
    switch value {
    case .string, .list, .tuple, .group, .range, .dictionary, .undefined: true
    default: false
    }
  }

  private static func rest(
    _ value: RuntimeValue, _ divisor: RuntimeValue, _ interpreter: TemplateInterpreter,
    is wanted: Int
  ) throws -> Bool {
    TemplateOperators.equal(
      try TemplateOperators.binary("%", value, divisor, interpreter.limits), .int(wanted))
  }
}

extension TemplateInterpreter {
  /// Whether a value passes the test `name` (`value is name`).
  ///
  /// - Throws: `TemplateError` for an unknown test or operands that do not suit it.
  func test(
    _ name: String, _ value: RuntimeValue, _ arguments: RuntimeArguments
  ) throws -> Bool {
    guard let test = TemplateTests.all[name] else {
      throw TemplateOperators.fail(TemplateTests.objection(name) ?? "")
    }
    return try test.apply(name, value, arguments, self)
  }
}
