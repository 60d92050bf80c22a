import ModelFormats

/// A chat template: messages in, the prompt out.
///
/// Templates are Jinja2 in the environment that transformers gives them
/// (`ImmutableSandboxedEnvironment` with `trim_blocks`, `lstrip_blocks` and loop controls). They
/// come with a model, so they are bounded by `TemplateLimits` and cannot reach anything but their
/// input.
package struct ChatTemplate: Sendable {
  private let statements: [TemplateStatement]
  package let limits: TemplateLimits
  /// A template longer than this is refused; published ones have some 30 KB.
  package static let sourceLimitBytes = 2 << 20

  /// Throws: `TemplateError` with the line of a syntax error.
  package init(source: String, limits: TemplateLimits = TemplateLimits()) throws {
    guard source.utf8.count <= Self.sourceLimitBytes else {
      throw TemplateError(.limitExceeded, "the template is too long")
    }
    statements = try TemplateParser.parse(source)
    self.limits = limits
  }

  /// Renders a conversation.
  ///
  /// - Parameters:
  ///   - messages: an array of objects with `role` and `content`.
  ///   - tools, documents: arrays, or nil for none, as templates see missing ones.
  ///   - addGenerationPrompt: whether the text ends where the assistant's answer begins.
  ///   - extra: further variables such as `bos_token` or `enable_thinking`.
  ///   - clock: what `strftime_now` shows.
  /// - Throws: `TemplateError`; one that the template raised has the code `raised` and its message.
  package func render(
    messages: TemplateValue, tools: TemplateValue? = nil, documents: TemplateValue? = nil,
    addGenerationPrompt: Bool, extra: JSONMembers = [:], clock: TemplateClock
  ) throws -> String {
    var variables: JSONMembers = [
      "messages": messages, "tools": tools ?? .null, "documents": documents ?? .null,
      "add_generation_prompt": .bool(addGenerationPrompt),
    ]
    for (key, value) in zip(extra.keys, extra.values) { variables[key] = value }
    return try render(variables: variables, clock: clock)
  }

  /// Renders with exactly these variables.
  ///
  /// - Throws: `TemplateError`.
  package func render(variables: JSONMembers, clock: TemplateClock) throws -> String {
    let globals = TemplateScope(parent: nil)
    TemplateGlobals.define(in: globals, clock: clock)
    let scope = TemplateScope(parent: globals)
    for (key, value) in zip(variables.keys, variables.values) {
      scope.set(key, RuntimeValue(value))
    }
    return try TemplateInterpreter(limits: limits)
      .renderTemplate(statements, TemplateScope(parent: scope))
  }
}

/// The functions that every template has.
enum TemplateGlobals {
  static func define(in scope: TemplateScope, clock: TemplateClock) {
    func define(
      _ name: String,
      _ call: @escaping (TemplateInterpreter, RuntimeArguments) throws -> RuntimeValue
    ) {
      scope.set(name, .function(RuntimeFunction(name, call)))
    }
    define("raise_exception") { _, arguments in
      let message = PythonText.string(arguments.value(0, "message") ?? .string(""))
      throw TemplateError(.raised, message)
    }
    define("strftime_now") { _, arguments in
      .string(clock.formatted(PythonText.string(arguments.value(0, "format") ?? .string(""))))
    }
    define("namespace") { interpreter, arguments in
      let namespace = try interpreter.makeNamespace()
      if case .dictionary(let members)? = arguments.positional.first {
        for (key, value) in zip(members.keys, members.values) {
          namespace.set(PythonText.string(key), value)
        }
      }
      for (name, value) in arguments.named { namespace.set(name, value) }
      return .object(namespace)
    }
    define("dict") { _, arguments in
      var result = RuntimeDictionary()
      if case .dictionary(let members)? = arguments.positional.first {
        result = members
      } else if let pairs = arguments.positional.first {
        for pair in try TemplateOperators.elements(pairs) {
          let parts = try TemplateOperators.elements(pair)
          guard parts.count == 2, RuntimeDictionary.canHold(parts[0]) else {
            throw TemplateOperators.fail("dict() needs pairs")
          }
          result.set(parts[0], parts[1])
        }
      }
      for (name, value) in arguments.named { result.set(.string(name), value) }
      return .dictionary(result)
    }
    define("cycler") { _, arguments in
      guard !arguments.positional.isEmpty else {
        throw TemplateOperators.fail("at least one item has to be provided")
      }
      return .object(TemplateCycler(arguments.positional))
    }
    define("joiner") { _, arguments in
      .object(TemplateJoiner(arguments.value(0, "sep") ?? .string(", ")))
    }
    define("range") { interpreter, arguments in try range(interpreter, arguments) }
  }

  private static func range(
    _ interpreter: TemplateInterpreter, _ arguments: RuntimeArguments
  ) throws -> RuntimeValue {
    let numbers = try arguments.positional.map { value in
      try TemplateOperators.requireDefined(value)
      guard let integer = value.integer else {
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
    // The sandbox's own limit.
    guard !overflow, distance.magnitude / step.magnitude <= 100_000 else {
      throw TemplateOperators.fail(
        "Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).")
    }
    let values = stride(from: start, to: stop, by: step).map { RuntimeValue.int($0) }
    try interpreter.spend(values.count / 16)
    return .list(values)
  }
}
