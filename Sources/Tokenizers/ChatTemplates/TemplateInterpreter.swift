import ModelFormats

/// Renders one template once.
final class TemplateInterpreter {
  /// What a statement does to the loop around it.
  enum Flow { case normal, leave, next }

  let limits: TemplateLimits
  private let steps: Int
  private var stepsLeft: Int
  private var depth = 0
  /// The buffers that blocks and macros write to, the innermost last.
  private var outputs: [TemplateOutput] = []
  private var outputBytes = 0
  /// What functions hold, which may be references in a circle or long chains, to be emptied at the
  /// end.
  private var macroScopes: [TemplateScope] = []
  private var namespaces: [TemplateNamespace] = []
  /// Values nested deeper than this are refused: they are walked and freed recursively.
  private static let valueDepthLimit = 400

  /// - Parameter steps: what the template may take, from `TemplateLimits.steps(for:)`.
  init(limits: TemplateLimits, steps: Int) {
    self.limits = limits
    self.steps = steps
    stepsLeft = steps
  }

  /// Renders a whole template and frees what it made.
  func renderTemplate(
    _ statements: [TemplateStatement], _ scope: TemplateScope
  ) throws -> String {
    defer {
      for scope in macroScopes { scope.clear() }
      for namespace in namespaces { namespace.clear() }
    }
    return try render(statements, scope)
  }

  func makeNamespace() throws -> TemplateNamespace {
    try spend(16)
    let namespace = TemplateNamespace()
    namespaces.append(namespace)
    return namespace
  }

  /// The text of some statements in a scope.
  func render(_ statements: [TemplateStatement], _ scope: TemplateScope) throws -> String {
    try captured { _ = try run(statements, scope) }
  }

  func captured(_ body: () throws -> Void) throws -> String {
    outputs.append(TemplateOutput())
    do {
      try body()
    } catch {
      outputs.removeLast()
      throw error
    }
    return outputs.removeLast().text
  }

  private func write(_ text: String) throws {
    outputBytes += text.utf8.count
    guard outputBytes <= 4 * limits.outputBytes else {
      throw TemplateError(.limitExceeded, "the template writes too much")
    }
    outputs[outputs.count - 1].append(text)
    try TemplateOperators.checkSize(outputs[outputs.count - 1].byteCount, limits)
  }

  /// Counts work; bulk operations say how much.
  func spend(_ count: Int = 1) throws {
    stepsLeft -= count
    guard stepsLeft >= 0 else {
      throw TemplateError(
        .stepLimit, "rendering takes more than \(steps) steps, the limit for input of this size")
    }
  }

  /// Goes one level deeper; `leave` goes back.
  func enter() throws {
    depth += 1
    guard depth <= limits.depth else {
      depth -= 1
      throw TemplateError(.limitExceeded, "maximum recursion depth exceeded")
    }
  }

  func leave() { depth -= 1 }

  func nested<Result>(_ body: () throws -> Result) throws -> Result {
    try enter()
    defer { leave() }
    return try body()
  }

  // MARK: statements

  func run(_ statements: [TemplateStatement], _ scope: TemplateScope) throws -> Flow {
    for statement in statements {
      let flow: Flow
      do {
        try spend()
        try enter()
        defer { leave() }
        flow = try run(statement, scope)
      } catch let error as TemplateError {
        throw error.atLine(statement.line)
      }
      if flow != .normal { return flow }
    }
    return .normal
  }

  private func run(_ statement: TemplateStatement, _ scope: TemplateScope) throws -> Flow {
    switch statement.kind {
    case .text(let text): try write(text)
    case .output(let expression):
      try write(PythonText.string(try evaluate(expression, scope)))
    case .condition(let branches, let otherwise):
      for branch in branches where try evaluate(branch.test, scope).isTrue {
        return try run(branch.body, scope)
      }
      return try run(otherwise, scope)
    case .loop(let loop): return try run(loop, scope)
    case .set(let target, let expression):
      let value = try evaluate(expression, scope)
      if Self.mayNest(expression) { try checkDepth(of: value) }
      try assign(target, value, scope)
    case .setBlock(let target, let filters, let body):
      let text = try render(body, TemplateScope(parent: scope))
      try assign(target, try filtered(.string(text), filters, scope), scope)
    case .filterBlock(let filters, let body):
      let text = try render(body, TemplateScope(parent: scope))
      try write(PythonText.string(try filtered(.string(text), filters, scope)))
    case .scope(let assignments, let body):
      let inner = TemplateScope(parent: scope)
      for (target, expression) in assignments {
        // Values are evaluated outside: `with a=1, b=a` does not see the new `a`.
        let value = try evaluate(expression, scope)
        if Self.mayNest(expression) { try checkDepth(of: value) }
        try assign(target, value, inner)
      }
      return try run(body, inner)
    case .group(let body): return try run(body, scope)
    case .macro(let macro):
      macroScopes.append(scope)
      scope.set(macro.name, .function(function(macro, scope)))
    case .callBlock(let call, let macro):
      try write(PythonText.string(try callBlock(call, macro, scope)))
    case .evaluate(let expression): _ = try evaluate(expression, scope)
    case .leaveLoop: return .leave
    case .nextRound: return .next
    }
    return .normal
  }

  private func filtered(
    _ value: RuntimeValue, _ filters: [(name: String, TemplateArguments)], _ scope: TemplateScope
  ) throws -> RuntimeValue {
    try filters.reduce(value) { value, filter in
      try apply(filter.name, value, try arguments(filter.1, scope))
    }
  }

  func assign(
    _ target: TemplateTarget, _ value: RuntimeValue, _ scope: TemplateScope
  ) throws {
    switch target {
    case .name(let name): scope.set(name, value)
    case .attribute(let name, let attribute):
      guard case .object(let object)? = scope.value(name),
        let namespace = object as? TemplateNamespace
      else {
        throw TemplateOperators.fail("cannot assign attribute on non-namespace object")
      }
      namespace.set(attribute, value)
    case .tuple(let targets):
      let elements = try TemplateOperators.elements(value)
      guard elements.count == targets.count else {
        throw TemplateOperators.fail(
          elements.count > targets.count
            ? "too many values to unpack (expected \(targets.count))"
            : "not enough values to unpack (expected \(targets.count), got \(elements.count))")
      }
      for (target, element) in zip(targets, elements) { try assign(target, element, scope) }
    }
  }

  /// Filters that give their operand, a part of it or an argument.
  private static let partialFilters: Set<String> = ["d", "default", "first", "last", "max", "min"]

  /// Whether a value may be nested deeper than those that its expression reads.
  static func mayNest(_ expression: TemplateExpression) -> Bool {
    switch expression {
    case .constant, .name, .test, .not, .comparison, .concatenation: false
    case .list(let elements), .tuple(let elements): !elements.isEmpty
    case .dictionary(let pairs): !pairs.isEmpty
    case .attribute(let base, _), .item(let base, _), .slice(let base, _, _, _): mayNest(base)
    case .and(let left, let right), .or(let left, let right): mayNest(left) || mayNest(right)
    case .condition(_, let then, let otherwise, _):
      mayNest(then) || (otherwise.map(mayNest) ?? false)
    case .filter(let base, let name, let given) where partialFilters.contains(name):
      mayNest(base) || given.positional.contains(where: mayNest)
        || given.named.contains { mayNest($0.value) }
    default: true
    }
  }

  /// Throws: `TemplateError` when a value holds values too deep. Only through assignments can a
  /// template nest values without end.
  func checkDepth(of value: RuntimeValue) throws {
    try checkDepth(of: value, Self.valueDepthLimit)
  }

  private func checkDepth(of value: RuntimeValue, _ levelsLeft: Int) throws {
    guard levelsLeft > 0 else { throw TemplateError(.limitExceeded, "a value is nested too deep") }
    let elements: [RuntimeValue]
    switch value {
    case .list(let values), .tuple(let values), .group(let values): elements = values
    case .dictionary(let dictionary): elements = dictionary.values
    case .view(let view): elements = view.dictionary.values
    case .generator(let generator): elements = generator.remaining
    case .function(let function): elements = function.receiver.map { [$0] } ?? []
    case .object(let object): elements = object.parts
    default: return
    }
    // What holds the same value many times is walked as often.
    try spend(1 + elements.count / 16)
    for element in elements { try checkDepth(of: element, levelsLeft - 1) }
  }

  // MARK: loops

  private func run(_ loop: TemplateLoop, _ scope: TemplateScope) throws -> Flow {
    let sequence = try evaluate(loop.sequence, scope)
    if Self.mayNest(loop.sequence) { try checkDepth(of: sequence) }
    if loop.isRecursive { macroScopes.append(scope) }
    return try run(loop, sequence, scope, depth: 1)
  }

  private func run(
    _ loop: TemplateLoop, _ sequence: RuntimeValue, _ scope: TemplateScope, depth: Int
  ) throws -> Flow {
    var elements = try TemplateOperators.elements(sequence)
    try spend(elements.count / 16)
    if let filter = loop.filter {
      elements = try elements.filter { element in
        let inner = TemplateScope(parent: scope)
        try assign(loop.target, element, inner)
        return try evaluate(filter, inner).isTrue
      }
    }
    guard !elements.isEmpty else { return try run(loop.otherwise, TemplateScope(parent: scope)) }
    let recurse: ((RuntimeValue) throws -> RuntimeValue)? =
      !loop.isRecursive
      ? nil
      : { [unowned self] sequence in
        let text = try nested {
          try captured { _ = try self.run(loop, sequence, scope, depth: depth + 1) }
        }
        return .string(text)
      }
    let state = TemplateLoopState(elements, depth: depth, recurse: recurse)
    var inner = TemplateScope(parent: scope)
    for (index, element) in elements.enumerated() {
      try spend()
      state.index = index
      // A scope that nothing else holds serves the next round too.
      if isKnownUniquelyReferenced(&inner) {
        inner.clear()
      } else {
        inner = TemplateScope(parent: scope)
      }
      inner.set("loop", .object(state))
      try assign(loop.target, element, inner)
      if try run(loop.body, inner) == .leave { break }
    }
    return .normal
  }

  // MARK: macros

  private func function(_ macro: TemplateMacro, _ scope: TemplateScope) -> RuntimeFunction {
    RuntimeFunction(macro.name) { interpreter, arguments in
      let inner = TemplateScope(parent: scope)
      try interpreter.bind(macro, arguments, inner)
      return .string(try interpreter.nested { try interpreter.render(macro.body, inner) })
    }
  }

  private func callBlock(
    _ call: TemplateExpression, _ macro: TemplateMacro, _ scope: TemplateScope
  ) throws -> RuntimeValue {
    guard case .call(let callee, let given) = call else {
      throw TemplateOperators.fail("expected call")
    }
    var arguments = try self.arguments(given, scope)
    macroScopes.append(scope)
    arguments.named.append(("caller", .function(function(macro, scope))))
    return try self.call(try evaluate(callee, scope), arguments)
  }

  private func bind(
    _ macro: TemplateMacro, _ given: RuntimeArguments, _ scope: TemplateScope
  ) throws {
    var named = given.named
    var caller = RuntimeValue.undefined("No caller defined")
    if let index = named.firstIndex(where: { $0.name == "caller" }),
      !macro.parameters.contains(where: { $0.name == "caller" })
    {
      caller = named.remove(at: index).value
      guard macro.usesCaller else {
        throw TemplateOperators.fail(
          "macro '\(macro.name)' was invoked with two values for the special caller argument. "
            + "This is most likely a bug.")
      }
    }
    if macro.usesCaller { scope.set("caller", caller) }
    for (index, parameter) in macro.parameters.enumerated() {
      if index < given.positional.count {
        scope.set(parameter.name, given.positional[index])
      } else if let position = named.firstIndex(where: { sameBytes($0.name, parameter.name) }) {
        scope.set(parameter.name, named.remove(at: position).value)
      } else if let fallback = parameter.fallback {
        scope.set(parameter.name, try evaluate(fallback, scope))
      } else {
        scope.set(
          parameter.name, .undefined("parameter '\(parameter.name)' was not provided"))
      }
    }
    try bindRest(macro, given, named, scope)
  }

  private func bindRest(
    _ macro: TemplateMacro, _ given: RuntimeArguments,
    _ named: [(name: String, value: RuntimeValue)], _ scope: TemplateScope
  ) throws {
    if macro.usesKeywords {
      var keywords = RuntimeDictionary()
      for (name, value) in named { keywords.set(.string(name), value) }
      scope.set("kwargs", .dictionary(keywords))
    } else if let first = named.first {
      throw TemplateOperators.fail(
        "macro '\(macro.name)' takes no keyword argument '\(first.name)'")
    }
    let extra = Array(given.positional.dropFirst(macro.parameters.count))
    if macro.usesVariadic {
      scope.set("varargs", .tuple(extra))
    } else if !extra.isEmpty {
      throw TemplateOperators.fail(
        "macro '\(macro.name)' takes not more than \(macro.parameters.count) argument(s)")
    }
  }
}
