import ModelFormats

/// Why a JSON request is refused: OpenAI's code, a sentence for people, and the path of the field.
package struct FieldError: Error, Hashable, Sendable {
  /// One of a bounded set of words, such as `invalid_value`.
  package var code: String
  package var message: String
  package var param: String?

  package init(code: String, message: String, param: String?) {
    self.code = code
    self.message = message
    self.param = param
  }

  /// As the answer to a request whose body this is.
  package var asAPIError: APIError { .invalid(message, param: param, code: code) }
}

/// Typed access to the members of a JSON object. `null` counts as absent everywhere, as in OpenAI's
/// API.
package struct RequestFields {
  private let members: JSONMembers
  private let path: String

  /// - Parameter path: where the object stands in the request, such as `body`; empty for the
  ///   request itself.
  package init(_ value: JSONValue, path: String = "") throws {
    guard let members = value.objectValue else {
      throw FieldError(
        code: "invalid_type", message: "Expected an object\(path.isEmpty ? "" : " for '\(path)'").",
        param: path.isEmpty ? nil : path)
    }
    self.members = members
    self.path = path
  }

  /// The path of a member, for errors.
  package func name(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

  /// The member's value; nil when absent or null.
  package func value(_ key: String) -> JSONValue? {
    guard let value = members[key], !value.isNull else { return nil }
    return value
  }

  /// Members that are present and not null, sorted.
  package var keys: [String] {
    zip(members.keys, members.values).filter { !$1.isNull }.map(\.0).sorted(by: utf8Order)
  }

  /// The error for a member that must be there.
  package func missing(_ key: String) -> FieldError {
    guard members[key] == nil else {
      return FieldError(
        code: "invalid_type", message: "Invalid value for '\(name(key))': it is null.",
        param: name(key))
    }
    return FieldError(
      code: "missing_required_parameter", message: "Missing required parameter: '\(name(key))'.",
      param: name(key))
  }

  /// The error for a member of another type than `expected`, which names one with its article.
  package func wrongType(_ key: String, _ expected: String) -> FieldError {
    FieldError(
      code: "invalid_type", message: "Invalid type for '\(name(key))': expected \(expected).",
      param: name(key))
  }

  /// The error for a value of the right type that is not accepted.
  package func invalid(_ key: String, _ reason: String) -> FieldError {
    FieldError(
      code: "invalid_value", message: "Invalid value for '\(name(key))': \(reason).",
      param: name(key))
  }

  /// The error for a member that this server does not know or does not do.
  package func unsupported(_ key: String, _ reason: String? = nil) -> FieldError {
    FieldError(
      code: "unsupported_parameter",
      message: "Unsupported parameter: '\(name(key))'\(reason.map { ": " + $0 } ?? "").",
      param: name(key))
  }

  /// The error for a text with the character that ends texts in the database.
  package func holdsNUL(_ key: String) -> FieldError {
    invalid(key, "it has the character U+0000")
  }

  /// A text; nil when absent.
  package func string(_ key: String) throws -> String? {
    guard let value = value(key) else { return nil }
    guard let text = value.stringValue else { throw wrongType(key, "a string") }
    return text
  }

  /// A text that must be there.
  package func requiredString(_ key: String) throws -> String {
    guard let text = try string(key) else { throw missing(key) }
    return text
  }

  /// A boolean; nil when absent.
  package func bool(_ key: String) throws -> Bool? {
    guard let value = value(key) else { return nil }
    guard let flag = value.boolValue else { throw wrongType(key, "a boolean") }
    return flag
  }

  /// A number without fraction; nil when absent.
  package func integer(
    _ key: String, in range: ClosedRange<Int> = Int.min...Int.max
  ) throws -> Int? {
    guard let value = value(key) else { return nil }
    guard let number = value.intValue else {
      guard Self.isInteger(value) else { throw wrongType(key, "an integer") }
      throw invalid(
        key, "it is out of range, not between \(range.lowerBound) and \(range.upperBound)")
    }
    guard range.contains(number) else { throw outOfRange(key, "\(number)", range) }
    return number
  }

  /// Whether a number is whole, however large.
  static func isInteger(_ value: JSONValue) -> Bool {
    value.doubleValue.map { $0 == $0.rounded() } ?? false
  }

  /// A number in `range`; nil when absent.
  package func number(_ key: String, in range: ClosedRange<Double>) throws -> Double? {
    guard let value = value(key) else { return nil }
    guard let number = value.doubleValue else { throw wrongType(key, "a number") }
    guard range.contains(number) else { throw outOfRange(key, "\(number)", range) }
    return number
  }

  private func outOfRange<Bound>(_ key: String, _ number: String, _ range: ClosedRange<Bound>)
    -> FieldError
  {
    invalid(key, "\(number) is not between \(range.lowerBound) and \(range.upperBound)")
  }

  /// An array; nil when absent.
  package func array(_ key: String) throws -> [JSONValue]? {
    guard let value = value(key) else { return nil }
    guard let elements = value.arrayValue else { throw wrongType(key, "an array") }
    return elements
  }

  /// An object with its own path; nil when absent.
  package func object(_ key: String) throws -> RequestFields? {
    guard let value = value(key) else { return nil }
    guard value.objectValue != nil else { throw wrongType(key, "an object") }
    return try RequestFields(value, path: name(key))
  }

  /// OpenAI's `metadata`: at most 16 pairs of strings, keys to 64 and values to 512 characters
  /// (code points).
  package func metadata() throws -> ExactDictionary<String>? {
    guard let value = value("metadata") else { return nil }
    guard let members = value.objectValue else { throw wrongType("metadata", "an object") }
    guard members.count <= 16 else { throw invalid("metadata", "more than 16 pairs") }
    var pairs = ExactDictionary<String>()
    for (key, value) in zip(members.keys, members.values) {
      guard let text = value.stringValue else {
        throw wrongType("metadata", "an object whose values are strings")
      }
      guard !text.holdsNUL, !key.holdsNUL else { throw holdsNUL("metadata") }
      guard text.unicodeScalars.count <= 512 else {
        throw invalid("metadata", "a value is longer than 512 characters")
      }
      guard key.unicodeScalars.count <= 64 else {
        throw invalid("metadata", "a key is longer than 64 characters")
      }
      pairs[key] = text
    }
    return pairs
  }
}

extension String {
  /// Whether it has U+0000, at which the database would cut it off.
  package var holdsNUL: Bool { utf8.contains(0) }
}

extension JSONValue {
  /// Whether a text or a key anywhere in it has U+0000.
  package var holdsNUL: Bool {
    switch self {
    case .string(let text): text.holdsNUL
    case .array(let elements): elements.contains(where: \.holdsNUL)
    case .object(let members):
      members.keys.contains(where: \.holdsNUL) || members.values.contains(where: \.holdsNUL)
    case .null, .bool, .int, .bigInt, .double: false
    }
  }
}
