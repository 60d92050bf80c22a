import CoordinatorCore
import Foundation
import GRDB
import ModelFormats
import WireProtocol

extension Digest: DatabaseValueConvertible {
  package var databaseValue: DatabaseValue { hex.databaseValue }

  /// Nil for anything but 64 hexadecimal digits.
  package static func fromDatabaseValue(_ value: DatabaseValue) -> Digest? {
    String.fromDatabaseValue(value).flatMap(Digest.init(hex:))
  }
}

extension Timestamp: DatabaseValueConvertible {
  package var databaseValue: DatabaseValue { milliseconds.databaseValue }

  /// Nil for anything but an integer.
  package static func fromDatabaseValue(_ value: DatabaseValue) -> Timestamp? {
    Int64.fromDatabaseValue(value).map(Timestamp.init(milliseconds:))
  }
}

/// Statements are literals with `?` for every value, prepared once for each connection.
extension Database {
  func run(_ sql: String, _ arguments: StatementArguments = []) throws {
    try cachedStatement(sql: sql).execute(arguments: arguments)
  }

  func first(_ sql: String, _ arguments: StatementArguments = []) throws -> Row? {
    try Row.fetchOne(try cachedStatement(sql: sql), arguments: arguments)
  }

  func all(_ sql: String, _ arguments: StatementArguments = []) throws -> [Row] {
    try Row.fetchAll(try cachedStatement(sql: sql), arguments: arguments)
  }

  /// The first column of the first row; 0 when there is none or it is null.
  func integer(_ sql: String, _ arguments: StatementArguments = []) throws -> Int {
    try Int.fetchOne(try cachedStatement(sql: sql), arguments: arguments) ?? 0
  }
}

extension Row {
  /// A column that this program wrote as `Value`.
  ///
  /// - Throws: `StoreError.corrupt` that names the column.
  func value<Value: DatabaseValueConvertible>(
    _ column: String, as type: Value.Type = Value.self
  ) throws -> Value {
    let stored: DatabaseValue? = self[column]
    guard let stored, let value = Value.fromDatabaseValue(stored) else {
      throw Self.damaged(column)
    }
    return value
  }

  /// The same for a column that may be null.
  func optional<Value: DatabaseValueConvertible>(
    _ column: String, as type: Value.Type = Value.self
  ) throws -> Value? {
    guard let stored: DatabaseValue = self[column] else { throw Self.damaged(column) }
    if stored.isNull { return nil }
    guard let value = Value.fromDatabaseValue(stored) else { throw Self.damaged(column) }
    return value
  }

  /// A column that holds a case's name.
  func name<Value: RawRepresentable>(
    _ column: String, as type: Value.Type = Value.self
  ) throws -> Value where Value.RawValue == String {
    guard let value = Value(rawValue: try self.value(column)) else { throw Self.damaged(column) }
    return value
  }

  /// A column that holds canonical JSON.
  func json<Value: Decodable>(_ column: String, as type: Value.Type = Value.self) throws -> Value {
    let text: String = try value(column)
    do {
      return try CanonicalJSON.decode(Value.self, from: Data(text.utf8))
    } catch {
      throw Self.damaged(column)
    }
  }

  /// A column that holds an object of texts, or nothing.
  func texts(_ column: String) throws -> ExactDictionary<String>? {
    guard let text = try optional(column, as: String.self) else { return nil }
    guard
      let members = try? JSONReader.parse(Array(text.utf8), file: column, rules: .strict)
        .objectValue
    else { throw Self.damaged(column) }
    var texts = ExactDictionary<String>()
    for (key, value) in zip(members.keys, members.values) {
      guard let value = value.stringValue else { throw Self.damaged(column) }
      texts[key] = value
    }
    return texts
  }

  static func damaged(_ column: String) -> StoreError {
    StoreError(.corrupt, "The database's column \(column) holds something unexpected.")
  }
}

/// Canonical JSON as a column's text.
func jsonText(_ value: some Encodable) throws -> String {
  String(decoding: try CanonicalJSON.encode(value), as: UTF8.self)
}

/// The same of an object of texts, no two of whose keys become one.
func jsonText(_ texts: ExactDictionary<String>) throws -> String {
  let members = try texts.map { "\(try jsonText($0.key)):\(try jsonText($0.value))" }
  return "{" + members.joined(separator: ",") + "}"
}

extension BatchState {
  /// How the `batch.state` column spells it.
  var column: String {
    switch self {
    case .finalizing(let ending): "finalizing_\(ending.rawValue)"
    default: status
    }
  }

  init(column: String) throws {
    switch column {
    case "validating": self = .validating
    case "failed": self = .failed
    case "in_progress": self = .inProgress
    case "finalizing_completed": self = .finalizing(.completed)
    case "finalizing_expired": self = .finalizing(.expired)
    case "completed": self = .completed
    case "expired": self = .expired
    case "cancelling": self = .cancelling
    case "cancelled": self = .cancelled
    default: throw Row.damaged("batch.state")
    }
  }
}
