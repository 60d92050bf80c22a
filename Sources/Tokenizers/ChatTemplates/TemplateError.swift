/// Why a template could not be parsed or rendered.
package struct TemplateError: Error, Hashable, Sendable, CustomStringConvertible {
  /// A bounded label, for metrics and for tests.
  package enum Code: String, Sendable, CaseIterable {
    /// The template's source is not valid.
    case syntax
    /// The template itself refused its input through `raise_exception`.
    case raised
    /// An undefined value was used, or an operation does not suit its operands.
    case evaluation
    /// Steps, output or nesting exceed the limits.
    case limitExceeded
  }

  package let code: Code
  /// Exactly what the template raised, or a description in Python's words.
  package let message: String
  /// The template's line, counted from 1, where known.
  package let line: Int?

  package init(_ code: Code, _ message: String, line: Int? = nil) {
    self.code = code
    self.message = message
    self.line = line
  }

  package var description: String {
    guard let line, code != .raised else { return message }
    return "line \(line): \(message)"
  }

  func atLine(_ line: Int) -> TemplateError {
    self.line == nil ? TemplateError(code, message, line: line) : self
  }
}

/// What rendering may cost; a template from a stranger must not hang or exhaust the machine.
package struct TemplateLimits: Hashable, Sendable {
  /// Expressions and statements evaluated, bulk operations counting by their size.
  package var steps = 2_000_000
  /// Bytes of the output and of any single string.
  package var outputBytes = 32 << 20
  /// Elements of any single list.
  package var elements = 1_000_000
  /// Nesting of expressions, statements and calls together.
  package var depth = 500

  package init() {}
}
