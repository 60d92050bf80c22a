import ModelFormats

extension TemplateInterpreter {
  func evaluate(
    _ expression: TemplateExpression, _ scope: TemplateScope
  ) throws -> RuntimeValue {
    try spend()
    return try nested { try value(of: expression, scope) }
  }

  private func value(
    of expression: TemplateExpression, _ scope: TemplateScope
  ) throws -> RuntimeValue {
    switch expression {
    case .constant(let constant): return RuntimeValue(constant)
    case .name(let name):
      return scope.value(ExactString(name)) ?? .undefined("'\(name)' is undefined")
    case .list(let elements): return .list(try elements.map { try evaluate($0, scope) })
    case .tuple(let elements): return .tuple(try elements.map { try evaluate($0, scope) })
    case .dictionary(let pairs): return try dictionary(pairs, scope)
    case .attribute(let base, let name): return try attribute(try evaluate(base, scope), name)
    case .item(let base, let index):
      return try item(try evaluate(base, scope), try evaluate(index, scope))
    case .slice(let base, let start, let stop, let step):
      let bounds = try [start, stop, step].map { try bound($0, scope) }
      return try slice(try evaluate(base, scope), bounds[0], bounds[1], bounds[2])
    case .call(let callee, let given):
      return try call(try evaluate(callee, scope), try arguments(given, scope))
    case .filter(let base, let name, let given):
      return try apply(name, try evaluate(base, scope), try arguments(given, scope))
    case .test(let base, let name, let given):
      return .bool(try test(name, try evaluate(base, scope), try arguments(given, scope)))
    default: return try operation(expression, scope)
    }
  }

  private func operation(
    _ expression: TemplateExpression, _ scope: TemplateScope
  ) throws -> RuntimeValue {
    switch expression {
    case .not(let operand): return .bool(!(try evaluate(operand, scope).isTrue))
    case .negative(let operand): return try signed(try evaluate(operand, scope), negative: true)
    case .positive(let operand): return try signed(try evaluate(operand, scope), negative: false)
    case .and(let left, let right):
      let value = try evaluate(left, scope)
      return value.isTrue ? try evaluate(right, scope) : value
    case .or(let left, let right):
      let value = try evaluate(left, scope)
      return value.isTrue ? value : try evaluate(right, scope)
    case .binary(let operation, let left, let right):
      let a = try evaluate(left, scope)
      let b = try evaluate(right, scope)
      if case .string(let text) = a { try spend(text.utf8.count / 256) }
      return try TemplateOperators.binary(operation, a, b, limits)
    case .concatenation(let parts):
      return .string(
        try parts.reduce("") { text, part in
          try TemplateOperators.joined(
            text, PythonText.string(try evaluate(part, scope)), limits)
        })
    case .comparison(let first, let operands): return try compare(first, operands, scope)
    case .condition(let test, let then, let otherwise, let line):
      if try evaluate(test, scope).isTrue { return try evaluate(then, scope) }
      if let otherwise { return try evaluate(otherwise, scope) }
      return .undefined(
        "the inline if-expression on line \(line) evaluated to false and no else section was "
          + "defined.")
    default: throw TemplateOperators.fail("unknown expression")
    }
  }

  private func dictionary(
    _ pairs: [(key: TemplateExpression, value: TemplateExpression)], _ scope: TemplateScope
  ) throws -> RuntimeValue {
    var result = RuntimeDictionary()
    for pair in pairs {
      let key = try evaluate(pair.key, scope)
      guard RuntimeDictionary.canHold(key) else {
        try TemplateOperators.requireDefined(key)
        throw TemplateOperators.fail("unhashable type: '\(key.typeName)'")
      }
      result.set(key, try evaluate(pair.value, scope))
    }
    return .dictionary(result)
  }

  private func signed(_ value: RuntimeValue, negative: Bool) throws -> RuntimeValue {
    try TemplateOperators.requireDefined(value)
    if let integer = value.integer {
      guard integer != Int.min || !negative else {
        throw TemplateOperators.fail("integer too large")
      }
      return .int(negative ? -integer : integer)
    }
    guard let number = value.number else {
      throw TemplateOperators.fail(
        "bad operand type for unary \(negative ? "-" : "+"): '\(value.typeName)'")
    }
    return .double(negative ? -number : number)
  }

  private func compare(
    _ first: TemplateExpression,
    _ operands: [(operation: String, operand: TemplateExpression)], _ scope: TemplateScope
  ) throws -> RuntimeValue {
    var left = try evaluate(first, scope)
    for (operation, operand) in operands {
      let right = try evaluate(operand, scope)
      if let length = TemplateOperators.length(right) { try spend(length / 64) }
      guard try TemplateOperators.compare(operation, left, right) else { return .bool(false) }
      left = right
    }
    return .bool(true)
  }

  // MARK: attributes and items

  /// `value.name`: an attribute, else an item of that name.
  func attribute(_ value: RuntimeValue, _ name: String) throws -> RuntimeValue {
    try TemplateOperators.requireDefined(value)
    if case .object(let object) = value, let found = try object.attribute(name) { return found }
    if let method = TemplateMethods.method(value, name) { return method }
    if case .dictionary(let dictionary) = value, let found = dictionary.value(.string(name)) {
      return found
    }
    return .undefined("'\(value.objectName)' has no attribute '\(name)'")
  }

  /// `value[index]`: an item, else an attribute of that name.
  func item(_ value: RuntimeValue, _ index: RuntimeValue) throws -> RuntimeValue {
    try TemplateOperators.requireDefined(value)
    switch value {
    case .dictionary(let dictionary):
      if let found = dictionary.value(index) { return found }
    case .list(let elements), .tuple(let elements):
      if let position = position(index, elements.count) { return elements[position] }
    case .string(let text):
      if index.integer != nil {
        let scalars = Array(text.unicodeScalars)
        try spend(scalars.count / 64)
        if let position = position(index, scalars.count) {
          return .string(String(scalars[position]))
        }
      }
    default: break
    }
    if case .string(let name) = index {
      if case .object(let object) = value, let found = try object.attribute(name) { return found }
      if let method = TemplateMethods.method(value, name) { return method }
      return .undefined("'\(value.objectName)' has no attribute '\(name)'")
    }
    return .undefined("\(value.objectName) has no element \(PythonText.representation(index))")
  }

  private func position(_ index: RuntimeValue, _ count: Int) -> Int? {
    guard let integer = index.integer else { return nil }
    let position = integer < 0 ? integer + count : integer
    return (0..<count).contains(position) ? position : nil
  }

  private func bound(_ expression: TemplateExpression?, _ scope: TemplateScope) throws -> Int? {
    guard let expression else { return nil }
    let value = try evaluate(expression, scope)
    if case .none = value { return nil }
    guard let integer = value.integer else {
      throw TemplateOperators.fail(
        "slice indices must be integers or None or have an __index__ method")
    }
    return integer
  }

  /// Python's slice of a string, a list or a tuple.
  private func slice(
    _ value: RuntimeValue, _ start: Int?, _ stop: Int?, _ step: Int?
  ) throws -> RuntimeValue {
    try TemplateOperators.requireDefined(value)
    if step == 0 { throw TemplateOperators.fail("slice step cannot be zero") }
    switch value {
    case .string(let text):
      let scalars = Array(text.unicodeScalars)
      try spend(scalars.count / 64)
      return .string(
        PythonText.string(Self.indices(start, stop, step, scalars.count).map { scalars[$0] }))
    case .list(let elements):
      return .list(Self.indices(start, stop, step, elements.count).map { elements[$0] })
    case .tuple(let elements):
      return .tuple(Self.indices(start, stop, step, elements.count).map { elements[$0] })
    default:
      throw TemplateOperators.fail("'\(value.typeName)' object is not subscriptable")
    }
  }

  /// The positions that a slice takes (Python's `slice.indices`).
  static func indices(_ start: Int?, _ stop: Int?, _ step: Int?, _ count: Int) -> [Int] {
    let step = max(-(1 << 40), min(step ?? 1, 1 << 40))
    func clamp(_ index: Int, _ low: Int, _ high: Int) -> Int {
      min(max(index < 0 ? index + count : index, low), high)
    }
    if step > 0 {
      let first = start.map { clamp($0, 0, count) } ?? 0
      let last = stop.map { clamp($0, 0, count) } ?? count
      return Array(stride(from: first, to: last, by: step))
    }
    let first = start.map { clamp($0, -1, count - 1) } ?? count - 1
    let last = stop.map { clamp($0, -1, count - 1) } ?? -1
    return Array(stride(from: first, to: last, by: step))
  }

  // MARK: calls

  func arguments(
    _ given: TemplateArguments, _ scope: TemplateScope
  ) throws -> RuntimeArguments {
    var result = RuntimeArguments()
    result.positional = try given.positional.map { try evaluate($0, scope) }
    result.named = try given.named.map { ($0.name, try evaluate($0.value, scope)) }
    if let spread = given.spreadList {
      result.positional += try TemplateOperators.elements(try evaluate(spread, scope))
    }
    if let spread = given.spreadDictionary {
      guard case .dictionary(let members) = try evaluate(spread, scope) else {
        throw TemplateOperators.fail("argument after ** must be a mapping")
      }
      for (key, value) in zip(members.keys, members.values) {
        result.named.append((PythonText.string(key), value))
      }
    }
    return result
  }

  func call(_ callee: RuntimeValue, _ arguments: RuntimeArguments) throws -> RuntimeValue {
    switch callee {
    case .function(let function): return try function.call(self, arguments)
    case .object(let object):
      if let result = try object.call(self, arguments) { return result }
    default: try TemplateOperators.requireDefined(callee)
    }
    throw TemplateOperators.fail("'\(callee.typeName)' object is not callable")
  }
}
