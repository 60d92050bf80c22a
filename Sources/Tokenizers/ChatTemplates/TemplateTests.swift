import ModelFormats

extension TemplateInterpreter {
  /// Whether a value passes the test `name` (`value is name`).
  ///
  /// - Throws: `TemplateError` for an unknown test or operands that do not suit it.
  func test(
    _ name: String, _ value: RuntimeValue, _ arguments: RuntimeArguments
  ) throws -> Bool {
    if let comparison = Self.comparisons[name] {
      guard let other = arguments.positional.first else {
        throw TemplateOperators.fail("test '\(name)' needs an argument")
      }
      return try TemplateOperators.compare(comparison, value, other)
    }
    switch name {
    case "defined": return !value.isUndefined
    case "undefined": return value.isUndefined
    case "divisibleby":
      let divisor = arguments.positional.first ?? .int(0)
      return TemplateOperators.equal(
        try TemplateOperators.binary("%", value, divisor, limits), .int(0))
    case "even", "odd":
      let rest = try TemplateOperators.binary("%", value, .int(2), limits)
      return TemplateOperators.equal(rest, .int(name == "odd" ? 1 : 0))
    case "sameas": return isSame(value, arguments.positional.first ?? .none)
    case "filter": return Self.filterNames.contains(PythonText.string(value))
    case "test": return Self.testNames.contains(PythonText.string(value))
    case "lower", "upper": return isCased(PythonText.string(value), upper: name == "upper")
    default: return try typeTest(name, value)
    }
  }

  private func typeTest(_ name: String, _ value: RuntimeValue) throws -> Bool {
    switch (name, value) {
    case ("none", .none), ("boolean", .bool), ("integer", .int), ("float", .double),
      ("string", .string), ("mapping", .dictionary), ("number", .bool), ("number", .int),
      ("number", .double), ("callable", .function), ("iterable", .string), ("iterable", .list),
      ("iterable", .tuple), ("iterable", .dictionary), ("iterable", .iterator),
      ("iterable", .undefined), ("sequence", .string), ("sequence", .list), ("sequence", .tuple),
      ("sequence", .dictionary), ("sequence", .undefined):
      return true
    case ("true", .bool(let flag)): return flag
    case ("false", .bool(let flag)): return !flag
    case ("callable", .object(let object)): return object is TemplateJoiner
    default:
      guard Self.testNames.contains(name) else {
        throw TemplateOperators.fail("No test named '\(excerpt(name))'.")
      }
      return false
    }
  }

  private func isSame(_ left: RuntimeValue, _ right: RuntimeValue) -> Bool {
    left.typeName == right.typeName && TemplateOperators.equal(left, right)
  }

  private func isCased(_ text: String, upper: Bool) -> Bool {
    let cased = text.unicodeScalars.filter {
      $0.properties.isUppercase || $0.properties.isLowercase
    }
    return !cased.isEmpty && cased.allSatisfy { $0.properties.isUppercase == upper }
  }

  private static let comparisons = [
    "eq": "==", "equalto": "==", "==": "==", "ne": "!=", "!=": "!=", "lt": "<", "lessthan": "<",
    "<": "<", "le": "<=", "<=": "<=", "gt": ">", "greaterthan": ">", ">": ">", "ge": ">=",
    ">=": ">=", "in": "in",
  ]

  private static let testNames: Set<String> = Set(comparisons.keys).union([
    "boolean", "callable", "defined", "divisibleby", "escaped", "even", "false", "filter", "float",
    "integer", "iterable", "lower", "mapping", "none", "number", "odd", "sameas", "sequence",
    "string", "test", "true", "undefined", "upper",
  ])

  private static let filterNames: Set<String> = [
    "abs", "attr", "batch", "capitalize", "center", "count", "d", "default", "dictsort", "e",
    "escape", "first", "float", "forceescape", "format", "groupby", "indent", "int", "items",
    "join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr",
    "replace", "reverse", "round", "safe", "select", "selectattr", "slice", "sort", "string",
    "striptags", "sum", "title", "tojson", "trim", "truncate", "unique", "upper", "urlencode",
    "wordcount", "wordwrap",
  ]
}
