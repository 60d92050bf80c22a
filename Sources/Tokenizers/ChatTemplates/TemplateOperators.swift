import Foundation
import ModelFormats

/// Python's operators on runtime values.
enum TemplateOperators {
  static func fail(_ message: String) -> TemplateError { TemplateError(.evaluation, message) }

  /// Throws Jinja2's error for an operand that is undefined.
  static func requireDefined(_ values: RuntimeValue...) throws {
    for case .undefined(let message) in values { throw fail(message) }
  }

  static func binary(
    _ operation: String, _ left: RuntimeValue, _ right: RuntimeValue, _ limits: TemplateLimits
  ) throws -> RuntimeValue {
    try requireDefined(left, right)
    switch operation {
    case "+": return try add(left, right, limits)
    case "*":
      if let repeated = try repeated(left, right, limits) { return repeated }
    case "%":
      if case .string(let format) = left {
        return .string(try PythonFormat.format(format, right, limits))
      }
    default: break
    }
    guard let a = left.number, let b = right.number else {
      throw unsupported(operation == "**" ? "** or pow()" : operation, left, right)
    }
    if let x = left.integer, let y = right.integer, operation != "/" {
      return try integers(operation, x, y)
    }
    switch operation {
    case "-": return .double(a - b)
    case "*": return .double(a * b)
    case "/":
      guard b != 0 else { throw fail("division by zero") }
      return .double(a / b)
    case "//":
      guard b != 0 else { throw fail("float floor division by zero") }
      return .double((a / b).rounded(.down))
    case "%":
      guard b != 0 else { throw fail("float modulo") }
      let rest = fmod(a, b)
      return .double(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest)
    case "**": return .double(pow(a, b))
    default: throw unsupported(operation, left, right)
    }
  }

  private static func unsupported(
    _ operation: String, _ left: RuntimeValue, _ right: RuntimeValue
  ) -> TemplateError {
    fail(
      "unsupported operand type(s) for \(operation): '\(left.typeName)' and '\(right.typeName)'")
  }

  private static func integers(_ operation: String, _ x: Int, _ y: Int) throws -> RuntimeValue {
    let result: (partialValue: Int, overflow: Bool)
    switch operation {
    case "+": result = x.addingReportingOverflow(y)
    case "-": result = x.subtractingReportingOverflow(y)
    case "*": result = x.multipliedReportingOverflow(by: y)
    case "//", "%":
      guard y != 0 else { throw fail("integer division or modulo by zero") }
      let (quotient, overflow) = x.dividedReportingOverflow(by: y)
      guard !overflow else { throw fail("integer too large") }
      let rest = x - quotient * y
      let isAdjusted = rest != 0 && (rest < 0) != (y < 0)
      if operation == "%" { return .int(isAdjusted ? rest + y : rest) }
      return .int(isAdjusted ? quotient - 1 : quotient)
    case "**": return try power(x, y)
    default: throw fail("unknown operator \(operation)")
    }
    guard !result.overflow else { throw fail("integer too large") }
    return .int(result.partialValue)
  }

  private static func power(_ base: Int, _ exponent: Int) throws -> RuntimeValue {
    if exponent < 0 {
      guard base != 0 else { throw fail("0.0 cannot be raised to a negative power") }
      return .double(pow(Double(base), Double(exponent)))
    }
    if base == 0 || base == 1 { return .int(exponent == 0 ? 1 : base) }
    if base == -1 { return .int(exponent % 2 == 0 ? 1 : -1) }
    var result = 1
    for _ in 0..<min(exponent, 64) {
      let (product, overflow) = result.multipliedReportingOverflow(by: base)
      guard !overflow else { throw fail("integer too large") }
      result = product
    }
    return .int(result)
  }

  private static func add(
    _ left: RuntimeValue, _ right: RuntimeValue, _ limits: TemplateLimits
  ) throws -> RuntimeValue {
    switch (left, right) {
    case (.string(let a), .string(let b)): return .string(try joined(a, b, limits))
    case (.string, _):
      throw fail("can only concatenate str (not \"\(right.typeName)\") to str")
    case (.list(let a), .list(let b)):
      try checkCount(a.count + b.count, limits)
      return .list(a + b)
    case (.list, _):
      throw fail("can only concatenate list (not \"\(right.typeName)\") to list")
    case (.tuple(let a), .tuple(let b)):
      try checkCount(a.count + b.count, limits)
      return .tuple(a + b)
    default: break
    }
    if let x = left.integer, let y = right.integer { return try integers("+", x, y) }
    guard let a = left.number, let b = right.number else { throw unsupported("+", left, right) }
    return .double(a + b)
  }

  static func joined(_ a: String, _ b: String, _ limits: TemplateLimits) throws -> String {
    try checkSize(a.utf8.count + b.utf8.count, limits)
    return a + b
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

  private static func repeated(
    _ left: RuntimeValue, _ right: RuntimeValue, _ limits: TemplateLimits
  ) throws -> RuntimeValue? {
    let (sequence, factor) = left.integer == nil ? (left, right) : (right, left)
    guard let times = factor.integer.map({ max(0, $0) }) else {
      // Of two operands that are no integers, one may be a sequence.
      for (sequence, other) in [(left, right), (right, left)] {
        switch sequence {
        case .string, .list, .tuple:
          throw fail("can't multiply sequence by non-int of type '\(other.typeName)'")
        default: continue
        }
      }
      return nil
    }
    func count(_ length: Int) throws -> Int {
      let (product, overflow) = length.multipliedReportingOverflow(by: times)
      return overflow ? Int.max : product
    }
    switch sequence {
    case .string(let text):
      try checkSize(try count(text.utf8.count), limits)
      return .string(String(repeating: text, count: text.isEmpty ? 0 : times))
    case .list(let elements):
      try checkCount(try count(elements.count), limits)
      return .list(elements.isEmpty ? [] : Array(repeatElement(elements, count: times).joined()))
    case .tuple(let elements):
      try checkCount(try count(elements.count), limits)
      return .tuple(elements.isEmpty ? [] : Array(repeatElement(elements, count: times).joined()))
    default: return nil
    }
  }

  // MARK: comparison

  static func equal(_ left: RuntimeValue, _ right: RuntimeValue) -> Bool {
    switch (left, right) {
    case (.undefined, .undefined), (.none, .none): return true
    case (.string(let a), .string(let b)): return sameBytes(a, b)
    case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
      return a.count == b.count && zip(a, b).allSatisfy { equal($0, $1) }
    case (.dictionary(let a), .dictionary(let b)):
      return a.count == b.count
        && zip(a.keys, a.values).allSatisfy { key, value in
          b.value(key).map { equal(value, $0) } ?? false
        }
    case (.function(let a), .function(let b)): return a === b
    case (.object(let a), .object(let b)): return a === b
    default: break
    }
    if let x = left.integer, let y = right.integer { return x == y }
    if let a = left.number, let b = right.number { return a == b }
    return false
  }

  /// Whether `left` comes before `right`. Throws: `TemplateError` for values without an order.
  static func less(
    _ left: RuntimeValue, _ right: RuntimeValue, _ operation: String = "<"
  ) throws -> Bool {
    try requireDefined(left, right)
    switch (left, right) {
    case (.string(let a), .string(let b)):
      return a.unicodeScalars.lexicographicallyPrecedes(b.unicodeScalars)
    case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
      for (x, y) in zip(a, b) where !equal(x, y) { return try less(x, y, operation) }
      return a.count < b.count
    default: break
    }
    if let x = left.integer, let y = right.integer { return x < y }
    guard let a = left.number, let b = right.number else {
      throw fail(
        "'\(operation)' not supported between instances of '\(left.typeName)' and "
          + "'\(right.typeName)'")
    }
    return a < b
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
  ) throws { _ = try less(left, right, operation) }

  static func contains(_ container: RuntimeValue, _ value: RuntimeValue) throws -> Bool {
    switch container {
    case .string(let text):
      guard case .string(let needle) = value else {
        try requireDefined(value)
        throw fail(
          "'in <string>' requires string as left operand, not \(value.typeName)")
      }
      return PythonText.contains(text, needle)
    case .list(let elements), .tuple(let elements), .iterator(let elements, _):
      return elements.contains { equal($0, value) }
    case .dictionary(let dictionary):
      guard RuntimeDictionary.canHold(value) || value.isUndefined else {
        throw fail("unhashable type: '\(value.typeName)'")
      }
      return dictionary.value(value) != nil
    case .undefined: return false
    default: throw fail("argument of type '\(container.typeName)' is not iterable")
    }
  }

  /// The elements over which a loop runs. Throws: `TemplateError` for what is no sequence.
  static func elements(_ value: RuntimeValue) throws -> [RuntimeValue] {
    switch value {
    case .list(let elements), .tuple(let elements), .iterator(let elements, _): return elements
    case .dictionary(let dictionary): return dictionary.keys
    case .string(let text): return text.unicodeScalars.map { .string(String($0)) }
    case .undefined: return []
    default: throw fail("'\(value.typeName)' object is not iterable")
    }
  }

  /// Python's `len`; nil for what has none.
  static func length(_ value: RuntimeValue) -> Int? {
    switch value {
    case .string(let text): text.unicodeScalars.count
    case .list(let elements), .tuple(let elements), .iterator(let elements, true): elements.count
    case .dictionary(let dictionary): dictionary.count
    case .undefined: 0
    default: nil
    }
  }
}
