import ModelFormats

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
    /// Output or nesting exceed the limits.
    case limitExceeded
    /// Rendering takes more steps than `TemplateLimits.steps(for:)`.
    case stepLimit
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
  /// Expressions and statements evaluated, bulk operations counting by their size: what every
  /// input may take. See `steps(for:)`.
  package var steps = 2_000_000
  /// Bytes of the output and of any single string.
  package var outputBytes = 32 << 20
  /// Elements of any single list.
  package var elements = 1_000_000
  /// Nesting of expressions, statements and calls together.
  package var depth = 500

  package init() {}

  /// What rendering these variables may take.
  ///
  /// Some templates read the whole conversation again for each message (Gemma 4's), so the steps
  /// grow with the square of the longest list, up to `listLimit` elements, and with the bytes.
  package func steps(for variables: JSONMembers) -> Int {
    let longest = variables.values.reduce(0) { max($0, $1.arrayValue?.count ?? 0) }
    let elements = min(longest, Self.listLimit)
    let bytes = variables.values.reduce(0) { $0 + Self.bytes($1) }
    return steps + Self.stepsForPair * elements * elements + Self.stepsForByte * bytes
  }

  private static let stepsForPair = 8
  private static let stepsForByte = 1
  private static let listLimit = 4_096

  /// About the size of a value's JSON text.
  private static func bytes(_ value: JSONValue) -> Int {
    switch value {
    case .string(let text): text.utf8.count + 2
    case .array(let elements): elements.reduce(2) { $0 + bytes($1) + 1 }
    case .object(let members):
      zip(members.keys, members.values).reduce(2) { $0 + $1.0.utf8.count + 3 + bytes($1.1) }
    default: 4
    }
  }
}
