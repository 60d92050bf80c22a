extension TemplateParser {
  /// `.name`, `.0`, `[index]` or `[start:stop:step]` of a value.
  mutating func subscripted(_ node: TemplateExpression) throws -> TemplateExpression {
    if skip(".") {
      if case .integer(let index) = current {
        advance()
        return .item(node, .constant(.int(index)))
      }
      return .attribute(node, try expectName())
    }
    advance()
    var parts: [TemplateExpression] = []
    while !isSymbol("]") {
      if !parts.isEmpty { try expect(",") }
      let (part, slice) = try subscriptPart(node)
      if slice {
        try expect("]")
        return part
      }
      parts.append(part)
    }
    try expect("]")
    guard let first = parts.first else { throw error("expected subscript expression") }
    return .item(node, parts.count == 1 ? first : .tuple(parts))
  }

  /// An index, or a slice of `node`.
  private mutating func subscriptPart(
    _ node: TemplateExpression
  ) throws -> (TemplateExpression, isSlice: Bool) {
    var bounds: [TemplateExpression?] = [nil, nil, nil]
    if !isSymbol(":") {
      let first = try expression()
      guard isSymbol(":") else { return (first, false) }
      bounds[0] = first
    }
    for index in 1...2 {
      guard skip(":") else { break }
      if !isSymbol("]"), !isSymbol(","), !isSymbol(":") { bounds[index] = try expression() }
    }
    return (.slice(node, start: bounds[0], stop: bounds[1], step: bounds[2]), true)
  }

  /// The arguments of a call, from its opening parenthesis on.
  mutating func arguments() throws -> TemplateArguments {
    try expect("(")
    var arguments = TemplateArguments()
    var isFirst = true
    while !isSymbol(")") {
      if !isFirst { try expect(",") }
      if isSymbol(")") { break }
      isFirst = false
      if skip("**") {
        arguments.spreadDictionary = try expression()
      } else if skip("*") {
        arguments.spreadList = try expression()
      } else if case .name(let name) = current, tokens[position + 1].kind == .symbol("=") {
        advance()
        advance()
        arguments.named.append((name, try expression()))
      } else {
        guard arguments.named.isEmpty, arguments.spreadDictionary == nil else {
          throw error("invalid syntax for function call expression")
        }
        arguments.positional.append(try expression())
      }
    }
    try expect(")")
    return arguments
  }
}
