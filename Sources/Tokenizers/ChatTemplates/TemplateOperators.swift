import Foundation
import ModelFormats

/// Python's operators on runtime values.
enum TemplateOperators {
  static func fail(_ message: String) -> TemplateError { TemplateError(.evaluation, message) }

  /// Throws Jinja2's error for an operand that is undefined.
  static func requireDefined(_ values: RuntimeValue...) throws {
    for case .undefined(let message) in values { throw fail(message) }
  }

  /// Throws: `TemplateError` for what can be no key of a dictionary.
  static func requireHashable(_ value: RuntimeValue) throws {
    guard RuntimeDictionary.canHold(value) || value.isUndefined else {
      throw fail("unhashable type: '\(value.typeName)'")
    }
  }

  // MARK: arithmetic

  static func binary(
    _ operation: String, _ left: RuntimeValue, _ right: RuntimeValue, _ limits: TemplateLimits
  ) throws -> RuntimeValue {
    // Python asks the text before it asks what is undefined.
    if operation == "%", case .string(let format) = left {
      return .string(try PythonFormat.format(format, right, limits))
    }
    try requireDefined(left, right)
    switch operation {
    case "+": if let sum = try concatenated(left, right, limits) { return sum }
    case "*": if let repeated = try repeated(left, right, limits) { return repeated }
    default: break
    }
    if let x = left.integer, let y = right.integer,
      let result = try integers(operation, x, y)
    {
      return .int(result)
    }
    if operation != "/", let x = left.bigInteger, let y = right.bigInteger {
      return try bigIntegers(operation, x, y)
    }
    guard let a = left.number, let b = right.number else {
      throw unsupported(operation == "**" ? "** or pow()" : operation, left, right)
    }
    let isInteger = left.bigInteger != nil && right.bigInteger != nil
    return .double(try doubles(operation, a, b, isInteger: isInteger))
  }

  private static func unsupported(
    _ operation: String, _ left: RuntimeValue, _ right: RuntimeValue
  ) -> TemplateError {
    fail(
      "unsupported operand type(s) for \(operation): '\(left.typeName)' and '\(right.typeName)'")
  }

  private static func doubles(
    _ operation: String, _ a: Double, _ b: Double, isInteger: Bool
  ) throws -> Double {
    func rest() throws -> Double {
      guard b != 0 else {
        throw fail(operation == "%" ? "float modulo" : "float floor division by zero")
      }
      let rest = fmod(a, b)
      if rest == 0 { return copysign(0, b) }
      return (rest < 0) != (b < 0) ? rest + b : rest
    }
    switch operation {
    case "+": return a + b
    case "-": return a - b
    case "*": return a * b
    case "/":
      guard b != 0 else { throw fail(isInteger ? "division by zero" : "float division by zero") }
      guard !isInteger || (a.isFinite && b.isFinite) else {
        throw fail("integer division result too large for a float")
      }
      return a / b
    case "//":
      // CPython's float_divmod.
      let quotient = (a - (try rest())) / b
      if quotient == 0 { return copysign(0, a / b) }
      let whole = quotient.rounded(.down)
      return quotient - whole > 0.5 ? whole + 1 : whole
    case "%": return try rest()
    case "**":
      guard a != 0 || b >= 0 else { throw fail("0.0 cannot be raised to a negative power") }
      guard a >= 0 || b == b.rounded() || !b.isFinite else {
        throw fail("complex numbers are not supported")
      }
      let result = pow(a, b)
      guard result.isFinite || !a.isFinite || !b.isFinite else {
        throw fail("Numerical result out of range")
      }
      return result
    default: throw fail("unknown operator \(operation)")
    }
  }

  /// Nil where the result is no integer of 64 bits.
  private static func integers(_ operation: String, _ x: Int, _ y: Int) throws -> Int? {
    let result: (partialValue: Int, overflow: Bool)
    switch operation {
    case "+": result = x.addingReportingOverflow(y)
    case "-": result = x.subtractingReportingOverflow(y)
    case "*": result = x.multipliedReportingOverflow(by: y)
    case "//", "%":
      guard y != 0 else { throw fail("integer division or modulo by zero") }
      let (quotient, overflow) = x.dividedReportingOverflow(by: y)
      guard !overflow else { return nil }
      let rest = x - quotient * y
      let isAdjusted = rest != 0 && (rest < 0) != (y < 0)
      if operation == "%" { return isAdjusted ? rest + y : rest }
      return isAdjusted ? quotient - 1 : quotient
    default: return nil
    }
    return result.overflow ? nil : result.partialValue
  }

  private static func bigIntegers(
    _ operation: String, _ x: BigInteger, _ y: BigInteger
  ) throws -> RuntimeValue {
    let result: BigInteger
    switch operation {
    case "+": result = x + y
    case "-": result = x - y
    case "*": result = x * y
    case "//", "%":
      guard !y.isZero else { throw fail("integer division or modulo by zero") }
      let (quotient, rest) = x.dividedDown(by: y)
      result = operation == "%" ? rest : quotient
    case "**":
      if y.isNegative { return .double(try doubles("**", x.double, y.double, isInteger: true)) }
      if x.magnitude == [1] || x.isZero {
        // The exponent may be any number.
        let isOdd = (y.magnitude.first ?? 0) & 1 == 1
        return RuntimeValue(y.isZero ? BigInteger(1) : isOdd ? x : x * x)
      }
      guard let exponent = y.int, exponent <= BigInteger.bitLimit,
        let power = x.raised(to: exponent)
      else { throw PythonNumbers.tooLarge() }
      result = power
    default: throw fail("unknown operator \(operation)")
    }
    guard result.isWithinLimit else { throw PythonNumbers.tooLarge() }
    return RuntimeValue(result)
  }

  /// The sum of two strings, lists or tuples; nil for operands that may be numbers.
  private static func concatenated(
    _ left: RuntimeValue, _ right: RuntimeValue, _ limits: TemplateLimits
  ) throws -> RuntimeValue? {
    switch (left, right) {
    case (.string(let a), .string(let b)):
      try checkSize(a.utf8.count + b.utf8.count, limits)
      return .string(a + b)
    case (.list(let a), .list(let b)):
      try checkCount(a.count + b.count, limits)
      return .list(a + b)
    case (.tuple, .tuple), (.tuple, .group), (.group, .tuple), (.group, .group):
      let (a, b) = (left.sequence ?? [], right.sequence ?? [])
      try checkCount(a.count + b.count, limits)
      return .tuple(a + b)
    case (.string, _), (.list, _), (.tuple, _), (.group, _):
      throw fail(
        "can only concatenate \(left.typeName) (not \"\(right.typeName)\") to \(left.typeName)")
    default: return nil
    }
  }

  /// `separator.join(parts)`.
  static func joined(
    _ parts: [String], _ separator: String, _ limits: TemplateLimits
  ) throws -> String {
    let (separators, overflow) =
      max(0, parts.count - 1).multipliedReportingOverflow(by: separator.utf8.count)
    let size = parts.reduce(0) { $0 + $1.utf8.count }
    try checkSize(overflow ? Int.max : size + min(separators, Int.max / 2), limits)
    return parts.joined(separator: separator)
  }

  static func checkSize(_ bytes: Int, _ limits: TemplateLimits) throws {
    guard bytes <= limits.outputBytes else {
      throw TemplateError(.limitExceeded, "a string exceeds \(limits.outputBytes) bytes")
    }
  }

  static func checkCount(_ count: Int, _ limits: TemplateLimits) throws {
    guard count <= limits.elements else {
      throw TemplateError(.limitExceeded, "a list exceeds \(limits.elements) elements")
    }
  }

  /// A string, list or tuple several times; nil when neither operand is one.
  private static func repeated(
    _ left: RuntimeValue, _ right: RuntimeValue, _ limits: TemplateLimits
  ) throws -> RuntimeValue? {
    func isSequence(_ value: RuntimeValue) -> Bool { value.text != nil || value.sequence != nil }
    guard isSequence(left) || isSequence(right) else { return nil }
    let (sequence, factor) = isSequence(left) ? (left, right) : (right, left)
    guard let times = factor.index.map({ max(0, $0) }) else {
      throw fail("can't multiply sequence by non-int of type '\(factor.typeName)'")
    }
    func count(_ length: Int) -> Int {
      let (product, overflow) = length.multipliedReportingOverflow(by: times)
      return overflow ? Int.max : product
    }
    if case .string(let text) = sequence {
      try checkSize(count(text.utf8.count), limits)
      return .string(String(repeating: text, count: text.isEmpty ? 0 : times))
    }
    let elements = sequence.sequence ?? []
    try checkCount(count(elements.count), limits)
    let all = elements.isEmpty ? [] : Array(repeatElement(elements, count: times).joined())
    if case .list = sequence { return .list(all) }
    return .tuple(all)
  }

  // MARK: comparison

  static func equal(_ left: RuntimeValue, _ right: RuntimeValue) -> Bool {
    switch (left, right) {
    case (.undefined, .undefined), (.none, .none): return true
    case (.string(let a), .string(let b)): return sameBytes(a, b)
    case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)),
      (.tuple(let a), .group(let b)), (.group(let a), .tuple(let b)),
      (.group(let a), .group(let b)):
      return a.count == b.count && zip(a, b).allSatisfy { equal($0, $1) }
    case (.dictionary(let a), .dictionary(let b)):
      return a.count == b.count
        && zip(a.keys, a.values).allSatisfy { key, value in
          b.value(key).map { equal(value, $0) } ?? false
        }
    case (.range(let a), .range(let b)):
      return a.count == b.count
        && (a.count == 0 || a.start == b.start && (a.count == 1 || a.step == b.step))
    case (.function(let a), .function(let b)): return a === b
    case (.generator(let a), .generator(let b)): return a === b
    case (.object(let a), .object(let b)): return a === b
    default: return order(left, right) == 0
    }
  }

  /// How two numbers compare, negative for less; nil for others and for NaN.
  private static func order(_ left: RuntimeValue, _ right: RuntimeValue) -> Int? {
    if let x = left.integer, let y = right.integer { return x < y ? -1 : x == y ? 0 : 1 }
    guard let a = left.number, let b = right.number, !a.isNaN, !b.isNaN else { return nil }
    if case .double = left, case .double = right { return a < b ? -1 : a == b ? 0 : 1 }
    // An integer and a float compare exactly.
    if let x = left.bigInteger ?? BigInteger(truncating: a),
      let y = right.bigInteger ?? BigInteger(truncating: b), x != y
    {
      return x < y ? -1 : 1
    }
    if left.bigInteger != nil, right.bigInteger != nil { return 0 }
    let (x, y) = (fraction(left, a), fraction(right, b))
    return x < y ? -1 : x == y ? 0 : 1
  }

  /// What is behind the point; the number itself when it is infinite.
  private static func fraction(_ value: RuntimeValue, _ number: Double) -> Double {
    if value.bigInteger != nil { return 0 }
    return number.isFinite ? number - number.rounded(.towardZero) : number
  }

  /// Whether `left` comes before `right`. Throws: `TemplateError` for values without an order.
  static func less(
    _ left: RuntimeValue, _ right: RuntimeValue, _ operation: String = "<"
  ) throws -> Bool {
    try requireDefined(left, right)
    switch (left, right) {
    case (.string(let a), .string(let b)):
      // The order of UTF-8 bytes is that of code points.
      return a.utf8.lexicographicallyPrecedes(b.utf8)
    case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)),
      (.tuple(let a), .group(let b)), (.group(let a), .tuple(let b)),
      (.group(let a), .group(let b)):
      for (x, y) in zip(a, b) where !equal(x, y) { return try less(x, y, operation) }
      return a.count < b.count
    default: break
    }
    guard left.number != nil, right.number != nil else {
      throw fail(
        "'\(operation)' not supported between instances of '\(left.typeName)' and "
          + "'\(right.typeName)'")
    }
    return order(left, right).map { $0 < 0 } ?? false
  }

  static func compare(
    _ operation: String, _ left: RuntimeValue, _ right: RuntimeValue
  ) throws -> Bool {
    switch operation {
    case "==": return equal(left, right)
    case "!=": return !equal(left, right)
    case "<": return try less(left, right, "<")
    case ">":
      try checkOrder(left, right, ">")
      return try less(right, left, ">")
    case "<=":
      try checkOrder(left, right, "<=")
      return try less(left, right, "<=") || equal(left, right)
    case ">=":
      try checkOrder(left, right, ">=")
      return try less(right, left, ">=") || equal(left, right)
    case "in": return try contains(right, left)
    case "not in": return try !contains(right, left)
    default: throw fail("unknown comparison")
    }
  }

  /// `less` with swapped operands would name the types in the wrong order.
  private static func checkOrder(
    _ left: RuntimeValue, _ right: RuntimeValue, _ operation: String
  ) throws {
    if left.number != nil, right.number != nil { return }
    _ = try less(left, right, operation)
  }

  static func contains(_ container: RuntimeValue, _ value: RuntimeValue) throws -> Bool {
    switch container {
    case .string(let text):
      guard case .string(let needle) = value else {
        try requireDefined(value)
        throw fail(
          "'in <string>' requires string as left operand, not \(value.typeName)")
      }
      return PythonSearch.contains(text, needle)
    case .list(let elements), .tuple(let elements), .group(let elements):
      return elements.contains { equal($0, value) }
    case .range(let range):
      if let integer = value.integer { return range.contains(integer) }
      guard let number = value.number else { return false }
      return Int(exactly: number).map { range.contains($0) } ?? false
    case .dictionary(let dictionary):
      try requireHashable(value)
      return dictionary.value(value) != nil
    case .view(let view):
      if view.kind == .keys { return try contains(.dictionary(view.dictionary), value) }
      return view.elements.contains { equal($0, value) }
    case .generator(let generator):
      while let element = generator.next() { if equal(element, value) { return true } }
      return false
    case .undefined: return false
    default: throw fail("argument of type '\(container.typeName)' is not iterable")
    }
  }

  // MARK: sequences

  /// The elements over which a loop runs. Throws: `TemplateError` for what is no sequence.
  static func elements(_ value: RuntimeValue) throws -> [RuntimeValue] {
    switch value {
    case .list(let elements), .tuple(let elements), .group(let elements): return elements
    case .dictionary(let dictionary): return dictionary.keys
    case .range(let range): return range.elements
    case .view(let view): return view.elements
    case .generator(let generator): return generator.takeAll()
    case .string(let text): return text.unicodeScalars.map { .string(String($0)) }
    case .undefined: return []
    default: throw fail("'\(value.typeName)' object is not iterable")
    }
  }

  /// Python's `len`; nil for what has none.
  static func length(_ value: RuntimeValue) -> Int? {
    if case .string(let text) = value { return PythonText.length(text) }
    return size(value)
  }

  /// What a bulk operation on a value costs: bytes or elements; nil for what has no size.
  static func size(_ value: RuntimeValue) -> Int? {
    switch value {
    case .string(let text): text.utf8.count
    case .list(let elements), .tuple(let elements), .group(let elements): elements.count
    case .range(let range): range.count
    case .dictionary(let dictionary): dictionary.count
    case .view(let view): view.dictionary.count
    case .undefined: 0
    default: nil
    }
  }
}
