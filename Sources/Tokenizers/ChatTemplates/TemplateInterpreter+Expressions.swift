import ModelFormats

extension TemplateInterpreter {
  func evaluate(
    _ expression: TemplateExpression, _ scope: TemplateScope
  ) throws -> RuntimeValue {
    try spend()
    try enter()
    defer { leave() }
    let value = try self.value(of: expression, scope)
    try spendOnResult(value)
    return value
  }

  /// Large texts and integers count wherever they come up, since whatever takes them reads them.
  func spendOnResult(_ value: RuntimeValue) throws {
    switch value {
    case .string(let text): try spend(text.utf8.count / 1024)
    case .bigInt: try spend(100)
    default: break
    }
  }

  private func value(
    of expression: TemplateExpression, _ scope: TemplateScope
  ) throws -> RuntimeValue {
    switch expression {
    case .constant(let constant): return RuntimeValue(constant)
    case .name(let name): return scope.value(name) ?? .undefined("'\(name)' is undefined")
    case .list(let elements): return .list(try elements.map { try evaluate($0, scope) })
    case .tuple(let elements): return .tuple(try elements.map { try evaluate($0, scope) })
    case .dictionary(let pairs): return try dictionary(pairs, scope)
    case .attribute(let base, let name): return try attribute(try evaluate(base, scope), name)
    case .item(let base, let index):
      return try item(try evaluate(base, scope), try evaluate(index, scope))
    case .slice(let base, let start, let stop, let step):
      let value = try evaluate(base, scope)
      return try slice(
        value, try bound(start, scope), try bound(stop, scope), try bound(step, scope))
    case .call(.attribute(let base, let name), let given):
      let value = try evaluate(base, scope)
      let arguments = try self.arguments(given, scope)
      return try callMember(name, of: value, arguments)
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
    case .binary("+", let left, let right): return try sum(left, right, scope)
    case .binary(let operation, let left, let right):
      return try combine(
        operation, try evaluate(left, scope), try evaluate(right, scope))
    case .concatenation(let parts):
      var text = ""
      for part in parts {
        text += PythonText.string(try evaluate(part, scope))
        try TemplateOperators.checkSize(text.utf8.count, limits)
      }
      try spend(text.utf8.count / 256)
      return .string(text)
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

  private func combine(
    _ operation: String, _ left: RuntimeValue, _ right: RuntimeValue
  ) throws -> RuntimeValue {
    for value in [left, right] {
      switch value {
      case .string(let text): try spend(text.utf8.count / 256)
      case .list(let elements), .tuple(let elements): try spend(elements.count / 64)
      case .bigInt: try spend(1000)
      default: break
      }
    }
    return try TemplateOperators.binary(operation, left, right, limits)
  }

  /// A chain of sums from the left; texts are appended where they stand, so that a chain costs as
  /// much as its result.
  private func sum(
    _ left: TemplateExpression, _ right: TemplateExpression, _ scope: TemplateScope
  ) throws -> RuntimeValue {
    var operands = [right]
    var first = left
    while case .binary("+", let left, let right) = first {
      operands.append(right)
      first = left
    }
    var value = try evaluate(first, scope)
    while let next = operands.popLast() {
      let addend = try evaluate(next, scope)
      guard case .string(var text) = value, case .string(let more) = addend else {
        value = try combine("+", value, addend)
        continue
      }
      value = .none
      try TemplateOperators.checkSize(text.utf8.count + more.utf8.count, limits)
      text += more
      try spend(more.utf8.count / 256)
      value = .string(text)
    }
    return value
  }

  private func dictionary(
    _ pairs: [(key: TemplateExpression, value: TemplateExpression)], _ scope: TemplateScope
  ) throws -> RuntimeValue {
    var result = RuntimeDictionary()
    for pair in pairs {
      let key = try evaluate(pair.key, scope)
      try TemplateOperators.requireDefined(key)
      try TemplateOperators.requireHashable(key)
      result.set(key, try evaluate(pair.value, scope))
    }
    return .dictionary(result)
  }

  private func signed(_ value: RuntimeValue, negative: Bool) throws -> RuntimeValue {
    try TemplateOperators.requireDefined(value)
    if let integer = value.bigInteger { return RuntimeValue(negative ? -integer : integer) }
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
      if let size = TemplateOperators.size(right) { try spend(size / 64) }
      guard try TemplateOperators.compare(operation, left, right) else { return .bool(false) }
      left = right
    }
    return .bool(true)
  }

  // MARK: attributes and items

  /// `value.name`: an attribute, else an item of that name.
  func attribute(_ value: RuntimeValue, _ name: String) throws -> RuntimeValue {
    try TemplateOperators.requireDefined(value)
    if case .dictionary(let dictionary) = value, let found = dictionary.value(named: name),
      !TemplateMethods.isMethod(name)
    {
      return found
    }
    if let found = try member(value, name) { return found }
    if case .dictionary(let dictionary) = value, let found = dictionary.value(named: name) {
      return found
    }
    return .undefined("'\(value.objectName)' has no attribute '\(name)'")
  }

  /// An attribute proper, as Python's `getattr` finds it.
  func member(_ value: RuntimeValue, _ name: String) throws -> RuntimeValue? {
    switch value {
    case .object(let object): return try object.attribute(name)
    case .group(let parts) where name == "grouper": return parts[0]
    case .group(let parts) where name == "list": return parts[1]
    case .bool, .int, .bigInt, .double:
      if let part = numberPart(value, name) { return part }
      return TemplateMethods.method(value, name)
    case .range(let range) where name == "start": return .int(range.start)
    case .range(let range) where name == "stop": return .int(range.stop)
    case .range(let range) where name == "step": return .int(range.step)
    default: return TemplateMethods.method(value, name)
    }
  }

  /// The attributes of numbers that are no methods.
  private func numberPart(_ value: RuntimeValue, _ name: String) -> RuntimeValue? {
    let isInteger = value.bigInteger != nil
    let whole = value.bigInteger.map { RuntimeValue($0) } ?? value
    switch name {
    case "real": return whole
    case "imag": return isInteger ? .int(0) : .double(0)
    case "numerator": return isInteger ? whole : nil
    case "denominator": return isInteger ? .int(1) : nil
    default: return nil
    }
  }

  /// `value.name(..)`, without a function in between where it is a method.
  private func callMember(
    _ name: String, of value: RuntimeValue, _ arguments: RuntimeArguments
  ) throws -> RuntimeValue {
    if let result = try TemplateMethods.call(value, name, arguments, self) { return result }
    return try call(try attribute(value, name), arguments)
  }

  /// `value[index]`: an item, else an attribute of that name.
  func item(_ value: RuntimeValue, _ index: RuntimeValue) throws -> RuntimeValue {
    try TemplateOperators.requireDefined(value)
    switch value {
    case .dictionary(let dictionary):
      if let found = dictionary.value(index) { return found }
    case .list(let elements), .tuple(let elements), .group(let elements):
      if let position = position(index, elements.count) { return elements[position] }
    case .range(let range):
      if let position = position(index, range.count) { return range[position] }
    case .string(let text):
      if index.integer != nil {
        try spend(text.utf8.count / 256)
        let count = PythonText.length(text)
        if let position = position(index, count) {
          let region = PythonText.region(text, position, position + 1)
          return .string(PythonText.slice(text, region?.bytes ?? 0..<0))
        }
      }
    default: break
    }
    if case .string(let name) = index {
      if let found = try member(value, name) { return found }
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
    if value.isNone { return nil }
    guard let integer = value.index else {
      try TemplateOperators.requireDefined(value)
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
      try spend(text.utf8.count / 64)
      if step == nil || step == 1 {
        let bytes = PythonText.region(text, start, stop)?.bytes
        return .string(PythonText.slice(text, bytes ?? 0..<0))
      }
      let scalars = Array(text.unicodeScalars)
      return .string(
        PythonText.string(Self.indices(start, stop, step, scalars.count).map { scalars[$0] }))
    case .list(let elements): return .list(try part(elements, start, stop, step))
    case .tuple(let elements), .group(let elements):
      return .tuple(try part(elements, start, stop, step))
    case .range(let range):
      let (first, last, step) = Self.bounds(start, stop, step, range.count)
      let count = Self.indices(first, last, step).count
      return .range(
        RuntimeRange(
          start: range.start + first * range.step, stop: range.start + last * range.step,
          step: range.step * step, count: count))
    default:
      throw TemplateOperators.fail("'\(value.typeName)' object is not subscriptable")
    }
  }

  private func part(
    _ elements: [RuntimeValue], _ start: Int?, _ stop: Int?, _ step: Int?
  ) throws -> [RuntimeValue] {
    let indices = Self.indices(start, stop, step, elements.count)
    try spend(indices.count / 64)
    return indices.map { elements[$0] }
  }

  /// The positions that a slice takes.
  private static func indices(
    _ start: Int?, _ stop: Int?, _ step: Int?, _ count: Int
  ) -> [Int] {
    let (first, last, step) = bounds(start, stop, step, count)
    return indices(first, last, step)
  }

  private static func indices(_ first: Int, _ last: Int, _ step: Int) -> [Int] {
    Array(stride(from: first, to: last, by: step))
  }

  /// Python's `slice.indices`.
  private static func bounds(
    _ start: Int?, _ stop: Int?, _ step: Int?, _ count: Int
  ) -> (first: Int, last: Int, step: Int) {
    let step = max(-(1 << 40), min(step ?? 1, 1 << 40))
    func clamp(_ index: Int, _ low: Int, _ high: Int) -> Int {
      min(max(index < 0 ? index + count : index, low), high)
    }
    if step > 0 {
      return (
        start.map { clamp($0, 0, count) } ?? 0, stop.map { clamp($0, 0, count) } ?? count, step
      )
    }
    return (
      start.map { clamp($0, -1, count - 1) } ?? count - 1,
      stop.map { clamp($0, -1, count - 1) } ?? -1, step
    )
  }

  // MARK: calls

  func arguments(
    _ given: TemplateArguments, _ scope: TemplateScope
  ) throws -> RuntimeArguments {
    var result = RuntimeArguments()
    if !given.positional.isEmpty {
      result.positional = try given.positional.map { try argument($0, scope) }
    }
    if !given.named.isEmpty {
      result.named = try given.named.map { ($0.name, try argument($0.value, scope)) }
    }
    if let spread = given.spreadList {
      result.positional += try TemplateOperators.elements(try argument(spread, scope))
    }
    if let spread = given.spreadDictionary {
      guard case .dictionary(let members) = try argument(spread, scope) else {
        throw TemplateOperators.fail("argument after ** must be a mapping")
      }
      for (key, value) in zip(members.keys, members.values) {
        result.named.append((PythonText.string(key), value))
      }
    }
    return result
  }

  /// The value of an argument, which a namespace or another object may keep.
  private func argument(
    _ expression: TemplateExpression, _ scope: TemplateScope
  ) throws -> RuntimeValue {
    let value = try evaluate(expression, scope)
    if Self.mayNest(expression) { try checkDepth(of: value) }
    return value
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
