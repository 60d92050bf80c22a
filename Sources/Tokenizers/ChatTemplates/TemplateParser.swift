import ModelFormats

/// Parses the expressions of a template with Jinja2's grammar and precedence.
struct TemplateParser {
  var tokens: [TemplateToken]
  var position = 0
  private var depth = 0
  var loopDepth = 0
  /// Nesting of expressions and blocks together.
  static let depthLimit = 300
  /// Names read so far; tells which implicit names a macro's body mentions.
  var namesRead: Set<String> = []

  static func parse(_ source: String) throws -> [TemplateStatement] {
    var parser = TemplateParser(tokens: try TemplateLexer.tokens(of: source))
    let (statements, _) = try parser.statements(until: [])
    return statements
  }

  private init(tokens: [TemplateToken]) { self.tokens = tokens }

  // MARK: tokens

  var current: TemplateToken.Kind { tokens[position].kind }
  var line: Int { tokens[position].line }

  func error(_ message: String) -> TemplateError { TemplateError(.syntax, message, line: line) }

  mutating func advance() { if position < tokens.count - 1 { position += 1 } }

  func isSymbol(_ symbol: String) -> Bool { current == .symbol(symbol) }
  func isName(_ name: String) -> Bool { current == .name(name) }

  mutating func skip(_ symbol: String) -> Bool {
    guard isSymbol(symbol) else { return false }
    advance()
    return true
  }

  mutating func skipName(_ name: String) -> Bool {
    guard isName(name) else { return false }
    advance()
    return true
  }

  mutating func expect(_ symbol: String) throws {
    guard skip(symbol) else { throw unexpected("'\(symbol)'") }
  }

  mutating func expectName() throws -> String {
    guard case .name(let name) = current else { throw unexpected("a name") }
    advance()
    return name
  }

  func unexpected(_ expected: String) -> TemplateError {
    let found =
      switch current {
      case .text: "text"
      case .variableBegin: "begin of print statement"
      case .variableEnd: "end of print statement"
      case .blockBegin: "begin of statement block"
      case .blockEnd: "end of statement block"
      case .name(let name): "'\(excerpt(name))'"
      case .string: "a string"
      case .integer, .bigInteger, .double: "a number"
      case .symbol(let symbol): "'\(symbol)'"
      case .end: "end of template"
      }
    return error("expected \(expected), got \(found)")
  }

  mutating func nested<Result>(
    _ body: (inout TemplateParser) throws -> Result
  ) throws -> Result {
    let outer = depth
    defer { depth = outer }
    try deepen()
    return try body(&self)
  }

  /// Counts a level of nesting: also each link of a chain such as `a.b.c`, since the tree grows by
  /// one level with it and is walked and freed recursively.
  private mutating func deepen() throws {
    depth += 1
    guard depth <= Self.depthLimit else {
      throw TemplateError(.limitExceeded, "nested too deep", line: line)
    }
  }

  // MARK: operators

  /// An expression with an optional inline condition.
  mutating func expression(withCondition: Bool = true) throws -> TemplateExpression {
    try nested { parser in
      withCondition ? try parser.condition() : try parser.or()
    }
  }

  private mutating func condition() throws -> TemplateExpression {
    var result = try or()
    while isName("if") {
      try deepen()
      let line = self.line
      advance()
      let test = try or()
      let otherwise = skipName("else") ? try nested { try $0.condition() } : nil
      result = .condition(test, then: result, otherwise: otherwise, line: line)
    }
    return result
  }

  private mutating func or() throws -> TemplateExpression {
    var left = try and()
    while skipName("or") {
      try deepen()
      left = .or(left, try and())
    }
    return left
  }

  private mutating func and() throws -> TemplateExpression {
    var left = try not()
    while skipName("and") {
      try deepen()
      left = .and(left, try not())
    }
    return left
  }

  private mutating func not() throws -> TemplateExpression {
    guard isName("not") else { return try comparison() }
    advance()
    return .not(try nested { try $0.not() })
  }

  private mutating func comparison() throws -> TemplateExpression {
    let first = try sum()
    var operands: [(operation: String, operand: TemplateExpression)] = []
    while true {
      if case .symbol(let symbol) = current, ["==", "!=", "<", "<=", ">", ">="].contains(symbol) {
        advance()
        operands.append((symbol, try sum()))
      } else if skipName("in") {
        operands.append(("in", try sum()))
      } else if isName("not"), tokens[position + 1].kind == .name("in") {
        advance()
        advance()
        operands.append(("not in", try sum()))
      } else {
        return operands.isEmpty ? first : .comparison(first, operands)
      }
    }
  }

  private mutating func sum() throws -> TemplateExpression {
    var left = try concatenation()
    while case .symbol(let symbol) = current, symbol == "+" || symbol == "-" {
      try deepen()
      advance()
      left = .binary(symbol, left, try concatenation())
    }
    return left
  }

  private mutating func concatenation() throws -> TemplateExpression {
    var parts = [try product()]
    while skip("~") { parts.append(try product()) }
    return parts.count == 1 ? parts[0] : .concatenation(parts)
  }

  private mutating func product() throws -> TemplateExpression {
    var left = try power()
    while case .symbol(let symbol) = current, ["*", "/", "//", "%"].contains(symbol) {
      try deepen()
      advance()
      left = .binary(symbol, left, try power())
    }
    return left
  }

  private mutating func power() throws -> TemplateExpression {
    var left = try unary(withFilter: true)
    while skip("**") {
      try deepen()
      left = .binary("**", left, try unary(withFilter: true))
    }
    return left
  }

  private mutating func unary(withFilter: Bool) throws -> TemplateExpression {
    var node: TemplateExpression
    if skip("-") {
      node = .negative(try nested { try $0.unary(withFilter: false) })
    } else if skip("+") {
      node = .positive(try nested { try $0.unary(withFilter: false) })
    } else {
      node = try primary()
    }
    node = try postfix(node)
    return withFilter ? try filters(node) : node
  }

  // MARK: primaries

  private mutating func primary() throws -> TemplateExpression {
    switch current {
    case .name(let name):
      advance()
      switch name {
      case "true", "True": return .constant(.bool(true))
      case "false", "False": return .constant(.bool(false))
      case "none", "None": return .constant(.none)
      default:
        namesRead.insert(name)
        return .name(name)
      }
    case .string(let first):
      advance()
      var text = first
      while case .string(let next) = current {
        text += next
        advance()
      }
      return .constant(.string(text))
    case .integer(let value):
      advance()
      return .constant(.int(value))
    case .bigInteger(let value):
      advance()
      return .constant(.bigInt(value))
    case .double(let value):
      advance()
      return .constant(.double(value))
    case .symbol("("):
      advance()
      let inside = try tuple(withParentheses: true)
      try expect(")")
      return inside
    case .symbol("["): return .list(try sequence(close: "]") { try $0.expression() })
    case .symbol("{"):
      return .dictionary(
        try sequence(close: "}") { parser in
          let key = try parser.expression()
          try parser.expect(":")
          return (key, try parser.expression())
        })
    default: throw unexpected("an expression")
    }
  }

  private mutating func sequence<Element>(
    close: String, _ element: (inout TemplateParser) throws -> Element
  ) throws -> [Element] {
    advance()
    var elements: [Element] = []
    while !isSymbol(close) {
      if !elements.isEmpty { try expect(",") }
      if isSymbol(close) { break }
      elements.append(try element(&self))
    }
    try expect(close)
    return elements
  }

  /// One expression, or several with commas, which make a tuple.
  mutating func tuple(
    withCondition: Bool = true, withParentheses: Bool = false, endName: String? = nil
  ) throws -> TemplateExpression {
    var elements: [TemplateExpression] = []
    var isTuple = false
    while true {
      if !elements.isEmpty { guard skip(",") else { break } }
      if !elements.isEmpty { isTuple = true }
      if endsTuple(endName) { break }
      elements.append(try expression(withCondition: withCondition))
    }
    if isTuple { return .tuple(elements) }
    if let only = elements.first { return only }
    guard withParentheses else { throw unexpected("an expression") }
    return .tuple([])
  }

  private func endsTuple(_ endName: String?) -> Bool {
    switch current {
    case .variableEnd, .blockEnd, .symbol(")"): true
    case .name(let name): name == endName
    default: false
    }
  }

  private mutating func postfix(_ start: TemplateExpression) throws -> TemplateExpression {
    var node = start
    while true {
      try deepen()
      if isSymbol(".") || isSymbol("[") {
        node = try subscripted(node)
      } else if isSymbol("(") {
        node = .call(node, try arguments())
      } else {
        return node
      }
    }
  }

  private mutating func filters(_ start: TemplateExpression) throws -> TemplateExpression {
    var node = start
    while true {
      try deepen()
      if skip("|") {
        let (name, arguments) = try filter()
        node = .filter(node, name, arguments)
      } else if isName("is") {
        node = try test(node)
      } else if isSymbol("(") {
        node = .call(node, try arguments())
      } else {
        return node
      }
    }
  }

  /// A filter's name and arguments, after the bar.
  mutating func filter() throws -> (String, TemplateArguments) {
    let name = try dottedName()
    return (name, isSymbol("(") ? try arguments() : TemplateArguments())
  }

  private mutating func dottedName() throws -> String {
    var name = try expectName()
    while skip(".") { name += "." + (try expectName()) }
    return name
  }

  private mutating func test(_ node: TemplateExpression) throws -> TemplateExpression {
    advance()
    let isNegated = skipName("not")
    let name = try dottedName()
    var arguments = TemplateArguments()
    switch current {
    case .symbol("("): arguments = try self.arguments()
    case .name("else"), .name("or"), .name("and"): break
    case .name("is"): throw error("You cannot chain multiple tests with is")
    case .name, .string, .integer, .bigInteger, .double, .symbol("["), .symbol("{"):
      // As in Jinja2, `x is test if y` takes `if` for the argument of the test unless it is one
      // of the words above; templates rely on tests without arguments before `if`.
      if isName("if") || isName("in") || isName("not") { break }
      arguments.positional = [try postfix(try primary())]
    default: break
    }
    let result = TemplateExpression.test(node, name, arguments)
    return isNegated ? .not(result) : result
  }
}
