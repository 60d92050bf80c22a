import ModelFormats

/// Finds what a template names and cannot have, before it meets a conversation: filters, tests,
/// functions and methods.
///
/// Nothing that comes into a template can be called, so a function that is called must be one of
/// Jinja2's or the template's own. A name that the template asks about (`name is defined`) may be
/// missing.
struct TemplateNames {
  private var called: [(name: String, line: Int)] = []
  private var methods: [(name: String, line: Int)] = []
  /// Names of variables, parameters and macros, and those that a template asks about.
  private var known = TemplateGlobals.names.union(["caller", "loop", "varargs", "kwargs"])
  /// Attributes that may hold functions.
  private var attributes: Set<String> = ["cycle", "changed", "next", "reset"]
  private var line = 1

  private init() {}

  /// Throws: `TemplateError` with the line of the first name that is unknown.
  static func check(_ statements: [TemplateStatement]) throws {
    var names = TemplateNames()
    try names.visit(statements)
    for (name, line) in names.called where !names.known.contains(name) {
      let reason =
        TemplateGlobals.refused[name].map { "The function '\(name)' is not supported: \($0)." }
        ?? "No function named '\(excerpt(name))'."
      throw TemplateError(.syntax, reason, line: line)
    }
    for (name, line) in names.methods
    where !TemplateMethods.isMethod(name) && !names.attributes.contains(name) {
      throw TemplateError(
        .syntax,
        TemplateMethods.isMissing(name)
          ? "The method '\(name)' is not supported."
          : "No method named '\(excerpt(name))'.", line: line)
    }
  }

  // MARK: statements

  private mutating func visit(_ statements: [TemplateStatement]) throws {
    for statement in statements {
      line = statement.line
      do {
        try visit(statement.kind)
      } catch let error as TemplateError {
        throw error.atLine(statement.line)
      }
    }
  }

  private mutating func visit(_ kind: TemplateStatement.Kind) throws {
    switch kind {
    case .text, .leaveLoop, .nextRound: break
    case .output(let expression), .evaluate(let expression): try visit(expression)
    case .condition(let branches, let otherwise):
      for branch in branches {
        try visit(branch.test)
        try visit(branch.body)
      }
      try visit(otherwise)
    case .loop(let loop):
      assign(loop.target)
      try visit(loop.sequence)
      try loop.filter.map { try visit($0) }
      try visit(loop.body)
      try visit(loop.otherwise)
    case .set(let target, let expression):
      assign(target)
      try visit(expression)
    case .setBlock(let target, let filters, let body):
      assign(target)
      try visit(filters)
      try visit(body)
    case .scope(let assignments, let body):
      for (target, expression) in assignments {
        assign(target)
        try visit(expression)
      }
      try visit(body)
    case .macro(let macro): try visit(macro)
    case .callBlock(let call, let macro):
      try visit(call)
      try visit(macro)
    case .filterBlock(let filters, let body):
      try visit(filters)
      try visit(body)
    case .group(let body): try visit(body)
    }
  }

  private mutating func visit(_ macro: TemplateMacro) throws {
    known.insert(macro.name)
    for parameter in macro.parameters {
      known.insert(parameter.name)
      try parameter.fallback.map { try visit($0) }
    }
    try visit(macro.body)
  }

  private mutating func visit(_ filters: [(name: String, TemplateArguments)]) throws {
    for (name, arguments) in filters { try visit(filter: name, arguments) }
  }

  private mutating func assign(_ target: TemplateTarget) {
    switch target {
    case .name(let name): known.insert(name)
    case .attribute(_, let attribute): attributes.insert(attribute)
    case .tuple(let targets): for target in targets { assign(target) }
    }
  }

  // MARK: expressions

  private mutating func visit(_ expression: TemplateExpression) throws {
    switch expression {
    case .constant, .name: break
    case .list(let elements), .tuple(let elements), .concatenation(let elements):
      for element in elements { try visit(element) }
    case .dictionary(let pairs):
      for pair in pairs {
        if case .constant(.string(let key)) = pair.key { attributes.insert(key) }
        try visit(pair.key)
        try visit(pair.value)
      }
    case .attribute(let base, _), .not(let base), .negative(let base), .positive(let base):
      try visit(base)
    case .item(let base, let index):
      try visit(base)
      try visit(index)
    case .slice(let base, let start, let stop, let step):
      try visit(base)
      for bound in [start, stop, step] { try bound.map { try visit($0) } }
    case .call(let callee, let arguments):
      switch callee {
      case .name(let name): called.append((name, line))
      case .attribute(_, let name): methods.append((name, line))
      default: break
      }
      try visit(callee)
      try visit(arguments)
    case .filter(let base, let name, let arguments):
      try visit(base)
      try visit(filter: name, arguments)
    case .test(let base, let name, let arguments):
      if case .name(let asked) = base, name == "defined" || name == "undefined" {
        known.insert(asked)
      }
      if let objection = TemplateTests.objection(name) {
        throw TemplateError(.syntax, objection)
      }
      try visit(base)
      try visit(arguments)
    case .and(let left, let right), .or(let left, let right), .binary(_, let left, let right):
      try visit(left)
      try visit(right)
    case .comparison(let first, let operands):
      try visit(first)
      for operand in operands { try visit(operand.operand) }
    case .condition(let test, let then, let otherwise, _):
      try visit(test)
      try visit(then)
      try otherwise.map { try visit($0) }
    }
  }

  private mutating func visit(filter name: String, _ arguments: TemplateArguments) throws {
    if let objection = TemplateFilters.objection(name) { throw TemplateError(.syntax, objection) }
    // Filters and tests that others apply by name.
    let words = arguments.positional.map { argument -> String? in
      if case .constant(.string(let word)) = argument { word } else { nil }
    }
    if name == "map", let word = words.first ?? nil,
      let objection = TemplateFilters.objection(word)
    {
      throw TemplateError(.syntax, objection)
    }
    let position = ["select": 0, "reject": 0, "selectattr": 1, "rejectattr": 1][name]
    if let position, position < words.count, let word = words[position],
      let objection = TemplateTests.objection(word)
    {
      throw TemplateError(.syntax, objection)
    }
    try visit(arguments)
  }

  private mutating func visit(_ arguments: TemplateArguments) throws {
    for argument in arguments.positional { try visit(argument) }
    for (name, argument) in arguments.named {
      attributes.insert(name)
      try visit(argument)
    }
    try arguments.spreadList.map { try visit($0) }
    try arguments.spreadDictionary.map { try visit($0) }
  }
}
