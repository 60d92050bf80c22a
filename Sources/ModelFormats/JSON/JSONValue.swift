import Foundation

/// A JSON document (RFC 8259) that keeps the order of its members.
///
/// Foundation's parser keeps the last of two equal keys, rounds large integers and names no byte,
/// all of which matter in files from strangers.
///
/// Chat templates print objects in the order in which they came, and vocabularies hold strings that
/// differ only in their Unicode composition; so keys keep their order here and are compared by
/// their bytes, never by Swift's canonical equivalence.
package enum JSONValue: Hashable, Sendable {
  case null
  case bool(Bool)
  /// A number written without fraction and exponent that fits 64 bits.
  case int(Int)
  /// A number written without fraction and exponent that does not fit 64 bits.
  case bigInt(BigInteger)
  case double(Double)
  case string(String)
  case array([JSONValue])
  case object(JSONMembers)

  /// True for `null`.
  package var isNull: Bool {
    if case .null = self { true } else { false }
  }

  /// The truth value, if it is one.
  package var boolValue: Bool? {
    if case .bool(let value) = self { value } else { nil }
  }

  /// The number if it is an integer, also when written as `2.0` or `1e4`.
  package var intValue: Int? {
    switch self {
    case .int(let value): value
    case .double(let value): Int(exactly: value)
    default: nil
    }
  }

  /// The number, if it is one.
  package var doubleValue: Double? {
    switch self {
    case .int(let value): Double(value)
    case .bigInt(let value): value.double
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
  package var objectValue: JSONMembers? {
    if case .object(let value) = self { value } else { nil }
  }

  /// The member `key` of an object; nil when absent or when this is not an object.
  package subscript(key: String) -> JSONValue? { objectValue?[key] }

  package static func == (left: JSONValue, right: JSONValue) -> Bool {
    switch (left, right) {
    case (.null, .null): true
    case (.bool(let a), .bool(let b)): a == b
    case (.int(let a), .int(let b)): a == b
    case (.bigInt(let a), .bigInt(let b)): a == b
    case (.double(let a), .double(let b)): a == b
    case (.string(let a), .string(let b)): sameBytes(a, b)
    case (.array(let a), .array(let b)): a == b
    case (.object(let a), .object(let b)): a == b
    default: false
    }
  }

  package func hash(into hasher: inout Hasher) {
    switch self {
    case .null: hasher.combine(0)
    case .bool(let value): hasher.combine(value)
    case .int(let value): hasher.combine(value)
    case .bigInt(let value): hasher.combine(value)
    case .double(let value): hasher.combine(value)
    case .string(let value): hasher.combine(ExactString(value))
    case .array(let value): hasher.combine(value)
    case .object(let value): hasher.combine(value)
    }
  }
}

/// The members of an object, in order. A key set twice keeps its first place and its last value, as
/// in Python.
package struct JSONMembers: Hashable, Sendable, ExpressibleByDictionaryLiteral {
  package private(set) var keys: [String] = []
  package private(set) var values: [JSONValue] = []
  /// Where each key stands; only kept once a search by hand would be slow.
  private var index: [ExactString: Int] = [:]

  package init() {}

  package init(dictionaryLiteral elements: (String, JSONValue)...) {
    for (key, value) in elements { self[key] = value }
  }

  package var count: Int { keys.count }
  package var isEmpty: Bool { keys.isEmpty }

  /// The members without their order; of keys that Swift takes as equal the last counts.
  package var dictionary: [String: JSONValue] {
    Dictionary(zip(keys, values), uniquingKeysWith: { _, last in last })
  }

  /// The members that are not null.
  package var withoutNulls: JSONMembers {
    var members = JSONMembers()
    for (key, value) in zip(keys, values) where !value.isNull { members.append(key, value) }
    return members
  }

  package subscript(key: String) -> JSONValue? {
    get { position(of: key).map { values[$0] } }
    set {
      guard let newValue else { return remove(key) }
      if let position = position(of: key) {
        values[position] = newValue
      } else {
        append(key, newValue)
      }
    }
  }

  private func position(of key: String) -> Int? {
    index.isEmpty ? keys.firstIndex { sameBytes($0, key) } : index[ExactString(key)]
  }

  private mutating func append(_ key: String, _ value: JSONValue) {
    keys.append(key)
    values.append(value)
    if !index.isEmpty {
      index[ExactString(key)] = keys.count - 1
    } else if keys.count > 16 {
      for (position, key) in keys.enumerated() { index[ExactString(key)] = position }
    }
  }

  private mutating func remove(_ key: String) {
    guard let position = position(of: key) else { return }
    keys.remove(at: position)
    values.remove(at: position)
    guard !index.isEmpty else { return }
    index = [:]
    for (position, key) in keys.enumerated() { index[ExactString(key)] = position }
  }

  package static func == (left: JSONMembers, right: JSONMembers) -> Bool {
    left.count == right.count && left.values == right.values
      && zip(left.keys, right.keys).allSatisfy { sameBytes($0, $1) }
  }

  package func hash(into hasher: inout Hasher) { hasher.combine(values) }
}

/// A string that is compared and hashed by its UTF-8 bytes.
package struct ExactString: Hashable, Sendable {
  package let string: String

  package init(_ string: String) { self.string = string }

  package static func == (left: ExactString, right: ExactString) -> Bool {
    sameBytes(left.string, right.string)
  }

  package func hash(into hasher: inout Hasher) {
    let isHashed: Void? = string.utf8.withContiguousStorageIfAvailable { bytes in
      hasher.combine(bytes: UnsafeRawBufferPointer(bytes))
    }
    if isHashed == nil { Array(string.utf8).withUnsafeBytes { hasher.combine(bytes: $0) } }
    hasher.combine(UInt8(0xFF))
  }
}

/// Whether two strings have the same bytes: Swift's `==` takes canonically equivalent strings as
/// equal, Python does not.
package func sameBytes(_ left: String, _ right: String) -> Bool {
  let count = left.utf8.count
  guard count == right.utf8.count else { return false }
  let isSame = left.utf8.withContiguousStorageIfAvailable { a in
    right.utf8.withContiguousStorageIfAvailable { b in
      guard let a = a.baseAddress, let b = b.baseAddress else { return true }
      return a == b || memcmp(a, b, count) == 0
    }
  }
  return (isSame ?? nil) ?? left.utf8.elementsEqual(right.utf8)
}
