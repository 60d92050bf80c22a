/// The functions that every template has.
enum TemplateGlobals {
  private typealias Function =
    @Sendable (TemplateInterpreter, RuntimeArguments, TemplateClock) throws -> RuntimeValue

  /// Functions of Jinja2's that templates cannot have here, and why.
  static let refused = ["lipsum": "its text is drawn by chance"]

  static var names: Set<String> { Set(functions.keys) }

  static func define(in scope: TemplateScope, clock: TemplateClock) {
    for (name, function) in functions {
      scope.set(
        name,
        .function(RuntimeFunction(name) { try function($0, $1, clock) }))
    }
    for (name, reason) in refused {
      scope.set(
        name,
        .function(
          RuntimeFunction(name) { _, _ in
            throw TemplateOperators.fail("\(name) is not supported: \(reason)")
          }))
    }
  }

  private static let functions: [String: Function] = [
    "raise_exception": { _, arguments, _ in
      let given = try TemplateParameters.named("message").bind("raise_exception", arguments)
      throw TemplateError(.raised, PythonText.string(given[0] ?? .string("")))
    },
    "strftime_now": { _, arguments, clock in
      let given = try TemplateParameters.named("format").bind("strftime_now", arguments)
      return .string(clock.formatted(try given.text(0)))
    },
    "namespace": { interpreter, arguments, _ in
      let namespace = try interpreter.makeNamespace()
      let members = try dictionary(arguments)
      for (key, value) in zip(members.keys, members.values) {
        namespace.set(PythonText.string(key), value)
      }
      return .object(namespace)
    },
    "dict": { _, arguments, _ in .dictionary(try dictionary(arguments)) },
    "cycler": { _, arguments, _ in
      guard arguments.named.isEmpty else {
        throw TemplateOperators.fail("cycler() takes no keyword arguments")
      }
      guard !arguments.positional.isEmpty else {
        throw TemplateOperators.fail("at least one item has to be provided")
      }
      return .object(TemplateCycler(arguments.positional))
    },
    "joiner": { _, arguments, _ in
      let given = try TemplateParameters.named("sep?").bind("joiner", arguments)
      return .object(TemplateJoiner(given[0] ?? .string(", ")))
    },
    "range": { interpreter, arguments, _ in try range(interpreter, arguments) },
  ]

  /// Python's `dict(mapping or pairs, name=value, ..)`.
  private static func dictionary(_ arguments: RuntimeArguments) throws -> RuntimeDictionary {
    var rest = arguments
    rest.named = []
    let given = try TemplateParameters.positional("mapping?").bind("dict", rest)
    var result = RuntimeDictionary()
    if case .dictionary(let members)? = given[0] {
      result = members
    } else if let pairs = given[0] {
      for pair in try TemplateOperators.elements(pairs) {
        let parts = try TemplateOperators.elements(pair)
        guard parts.count == 2 else {
          throw TemplateOperators.fail("dict() needs pairs")
        }
        try TemplateOperators.requireHashable(parts[0])
        result.set(parts[0], parts[1])
      }
    }
    for (name, value) in arguments.named { result.set(.string(name), value) }
    return result
  }

  private static func range(
    _ interpreter: TemplateInterpreter, _ arguments: RuntimeArguments
  ) throws -> RuntimeValue {
    guard arguments.named.isEmpty else {
      throw TemplateOperators.fail("range() takes no keyword arguments")
    }
    let numbers = try arguments.positional.map { value in
      try TemplateOperators.requireDefined(value)
      guard let integer = value.index else {
        throw TemplateOperators.fail(
          "'\(value.typeName)' object cannot be interpreted as an integer")
      }
      return integer
    }
    guard (1...3).contains(numbers.count) else {
      throw TemplateOperators.fail("range expected 1 to 3 arguments, got \(numbers.count)")
    }
    let start = numbers.count > 1 ? numbers[0] : 0
    let stop = numbers.count > 1 ? numbers[1] : numbers[0]
    let step = numbers.count > 2 ? numbers[2] : 1
    guard step != 0 else { throw TemplateOperators.fail("range() arg 3 must not be zero") }
    let (distance, overflow) = stop.subtractingReportingOverflow(start)
    guard !overflow else { throw tooBig }
    guard (distance > 0) == (step > 0), distance != 0 else {
      return .range(RuntimeRange(start: start, stop: stop, step: step, count: 0))
    }
    let count = (distance.magnitude - 1) / step.magnitude + 1
    guard count <= 100_000 else { throw tooBig }
    return .range(RuntimeRange(start: start, stop: stop, step: step, count: Int(count)))
  }

  /// The sandbox's own limit.
  private static var tooBig: TemplateError {
    TemplateOperators.fail(
      "Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).")
  }
}
