import ModelFormats

extension TemplateParser {
  /// Statements up to a block whose name is in `ends`, which is left to be read; with no `ends`, up
  /// to the end of the template.
  ///
  /// - Returns: the statements and the name of the block that ended them.
  mutating func statements(until ends: Set<String>) throws -> ([TemplateStatement], String) {
    var body: [TemplateStatement] = []
    while true {
      let line = self.line
      switch current {
      case .text(let text):
        advance()
        body.append(TemplateStatement(kind: .text(text), line: line))
      case .variableBegin:
        advance()
        let value = try tuple()
        guard current == .variableEnd else { throw unexpected("end of print statement") }
        advance()
        body.append(TemplateStatement(kind: .output(value), line: line))
      case .blockBegin:
        advance()
        let name = try expectName()
        if ends.contains(name) { return (body, name) }
        body.append(
          TemplateStatement(kind: try nested { try $0.statement(name) }, line: line))
      case .end:
        guard ends.isEmpty else {
          throw error(
            "Unexpected end of template. Jinja was looking for the following tags: "
              + ends.sorted().map { "'\($0)'" }.joined(separator: " or ") + ".")
        }
        return (body, "")
      default: throw unexpected("a statement")
      }
    }
  }

  mutating func endBlock() throws {
    guard current == .blockEnd else { throw unexpected("end of statement block") }
    advance()
  }

  /// The body of a block and its end tag.
  private mutating func body(_ end: String) throws -> [TemplateStatement] {
    try endBlock()
    let (body, _) = try statements(until: [end])
    try endBlock()
    return body
  }

  private mutating func statement(_ name: String) throws -> TemplateStatement.Kind {
    switch name {
    case "if": return try condition()
    case "for": return try loop()
    case "set": return try set()
    case "with": return try scope()
    case "macro": return .macro(try macro())
    case "call": return try callBlock()
    case "filter":
      let filters = try filterChain(first: true)
      return .filterBlock(filters, try body("endfilter"))
    case "generation": return .group(try body("endgeneration"))
    case "block":
      _ = try expectName()
      _ = skipName("scoped")
      _ = skipName("required")
      try endBlock()
      let (inside, _) = try statements(until: ["endblock"])
      if case .name = current { advance() }
      try endBlock()
      return .scope([], inside)
    case "autoescape":
      _ = try expression()
      return .scope([], try body("endautoescape"))
    case "do":
      let value = try tuple()
      try endBlock()
      return .evaluate(value)
    case "break", "continue":
      guard loopDepth > 0 else { throw error("'\(name)' outside of a loop") }
      try endBlock()
      return name == "break" ? .leaveLoop : .nextRound
    default: throw error("Encountered unknown tag '\(excerpt(name))'.")
    }
  }

  private mutating func condition() throws -> TemplateStatement.Kind {
    var branches: [(test: TemplateExpression, body: [TemplateStatement])] = []
    var otherwise: [TemplateStatement] = []
    while true {
      let test = try tuple(withCondition: false)
      try endBlock()
      let (body, end) = try statements(until: ["elif", "else", "endif"])
      branches.append((test, body))
      if end == "elif" { continue }
      if end == "else" {
        try endBlock()
        (otherwise, _) = try statements(until: ["endif"])
      }
      try endBlock()
      return .condition(branches, otherwise)
    }
  }

  private mutating func loop() throws -> TemplateStatement.Kind {
    let target = try self.target()
    guard skipName("in") else { throw unexpected("'in'") }
    let sequence = try tuple(withCondition: false, endName: "recursive")
    let filter = skipName("if") ? try expression() : nil
    let isRecursive = skipName("recursive")
    try endBlock()
    loopDepth += 1
    let (body, end) = try statements(until: ["else", "endfor"])
    loopDepth -= 1
    var otherwise: [TemplateStatement] = []
    if end == "else" {
      try endBlock()
      (otherwise, _) = try statements(until: ["endfor"])
    }
    try endBlock()
    return .loop(
      TemplateLoop(
        target: target, sequence: sequence, filter: filter, isRecursive: isRecursive, body: body,
        otherwise: otherwise))
  }

  /// Names, attributes of namespaces and tuples of them.
  private mutating func target(withNamespace: Bool = false) throws -> TemplateTarget {
    var targets: [TemplateTarget] = []
    var isTuple = false
    while true {
      if skip("(") {
        targets.append(try nested { try $0.target(withNamespace: withNamespace) })
        try expect(")")
      } else {
        let name = try expectName()
        guard !["true", "false", "none", "True", "False", "None"].contains(name) else {
          throw error("can't assign to '\(name)'")
        }
        if withNamespace, skip(".") {
          namesRead.insert(name)
          targets.append(.attribute(name, try expectName()))
        } else {
          targets.append(.name(name))
        }
      }
      guard skip(",") else { break }
      isTuple = true
      guard case .name = current, !isName("in") else {
        if isSymbol("(") { continue }
        break
      }
    }
    return isTuple ? .tuple(targets) : targets[0]
  }

  private mutating func set() throws -> TemplateStatement.Kind {
    let target = try self.target(withNamespace: true)
    if skip("=") {
      let value = try tuple()
      try endBlock()
      return .set(target, value)
    }
    let filters = try filterChain(first: false)
    return .setBlock(target, filters, try body("endset"))
  }

  /// Filters applied to a block's text, each after a bar; the first one without, for a filter
  /// block.
  private mutating func filterChain(
    first: Bool
  ) throws -> [(name: String, TemplateArguments)] {
    var filters: [(name: String, TemplateArguments)] = []
    if first { filters.append(try filter()) }
    while skip("|") { filters.append(try filter()) }
    return filters
  }

  private mutating func scope() throws -> TemplateStatement.Kind {
    var assignments: [(TemplateTarget, TemplateExpression)] = []
    while current != .blockEnd {
      if !assignments.isEmpty { try expect(",") }
      let name = try expectName()
      try expect("=")
      assignments.append((.name(name), try expression()))
    }
    return .scope(assignments, try body("endwith"))
  }

  // MARK: macros

  private mutating func macro() throws -> TemplateMacro {
    let name = try expectName()
    let parameters = try self.parameters()
    return try macro(name, parameters, end: "endmacro")
  }

  private mutating func callBlock() throws -> TemplateStatement.Kind {
    let parameters = isSymbol("(") ? try self.parameters() : []
    let call = try expression()
    guard case .call = call else { throw error("expected call") }
    return .callBlock(call, try macro("caller", parameters, end: "endcall"))
  }

  private mutating func macro(
    _ name: String, _ parameters: [(name: String, fallback: TemplateExpression?)], end: String
  ) throws -> TemplateMacro {
    let outer = (namesRead, loopDepth)
    namesRead = []
    loopDepth = 0
    let body = try self.body(end)
    let used = namesRead
    namesRead = outer.0.union(used)
    loopDepth = outer.1
    return TemplateMacro(
      name: name, parameters: parameters, body: body, usesCaller: used.contains("caller"),
      usesVariadic: used.contains("varargs"), usesKeywords: used.contains("kwargs"))
  }

  private mutating func parameters() throws -> [(name: String, fallback: TemplateExpression?)] {
    try expect("(")
    var parameters: [(name: String, fallback: TemplateExpression?)] = []
    while !isSymbol(")") {
      if !parameters.isEmpty { try expect(",") }
      let name = try expectName()
      if skip("=") {
        parameters.append((name, try expression()))
      } else {
        guard parameters.last?.fallback == nil else {
          throw error("non-default argument follows default argument")
        }
        parameters.append((name, nil))
      }
    }
    try expect(")")
    return parameters
  }
}
