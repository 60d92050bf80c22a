/// A parsed JSON document (RFC 8259).
///
/// Foundation's parser keeps the last of two equal keys, rounds large integers and names no byte,
/// all of which matter in files from strangers; `JSONParser` refuses duplicates and says where.
/// Keys are Swift strings, so two keys that are canonically equivalent in Unicode count as equal.
package enum JSONValue: Hashable, Sendable {
  case null
  case bool(Bool)
  /// A number written without fraction and exponent that fits 64 bits.
  case integer(Int)
  case double(Double)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])

  /// True for `null`.
  package var isNull: Bool { self == .null }

  /// The truth value, if it is one.
  package var boolValue: Bool? {
    if case .bool(let value) = self { value } else { nil }
  }

  /// The number if it is an integer, also when written as `2.0` or `1e4`.
  package var intValue: Int? {
    switch self {
    case .integer(let value): value
    case .double(let value): Int(exactly: value)
    default: nil
    }
  }

  /// The number, if it is one.
  package var doubleValue: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .double(let value): value
    default: nil
    }
  }

  /// The string, if it is one.
  package var stringValue: String? {
    if case .string(let value) = self { value } else { nil }
  }

  /// The elements of an array.
  package var arrayValue: [JSONValue]? {
    if case .array(let value) = self { value } else { nil }
  }

  /// The members of an object.
  package var objectValue: [String: JSONValue]? {
    if case .object(let value) = self { value } else { nil }
  }

  /// The member `key` of an object; nil when absent or when this is not an object.
  package subscript(key: String) -> JSONValue? { objectValue?[key] }
}
