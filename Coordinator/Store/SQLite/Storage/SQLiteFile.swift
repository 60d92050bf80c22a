import Foundation
import GRDB

/// How a database of the coordinator is opened, copied and looked at.
enum SQLiteFile {
  /// Opens or makes a database.
  ///
  /// - Parameter onStatement: called with the text of every statement that runs.
  static func open(
    path: String, onStatement: (@Sendable (String) -> Void)?
  ) throws -> any DatabaseWriter {
    let pool = try DatabasePool(path: path, configuration: configuration(onStatement))
    // GRDB sets NORMAL with WAL, which loses the last commits when the power fails.
    try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
    return pool
  }

  private static func configuration(
    _ onStatement: (@Sendable (String) -> Void)?
  ) -> Configuration {
    var configuration = Configuration()
    if let onStatement {
      configuration.prepareDatabase { db in
        db.trace { event in
          if case .statement(let statement) = event { onStatement(statement.sql) }
        }
      }
    }
    // GRDB's own wish is a higher priority, which Linux refuses to users, and libdispatch says so.
    configuration.qos = .default
    configuration.foreignKeysEnabled = true
    configuration.busyMode = .timeout(20)
    configuration.maximumReaderCount = 4
    return configuration
  }

  /// Writes a copy of everything at one moment into a new file, while others read and write.
  ///
  /// - Parameter path: the copy, one file that its owner alone reads.
  static func copy(_ writer: any DatabaseWriter, to path: String) throws {
    let copy = try DatabaseQueue(path: path)
    guard chmod(path, 0o600) == 0 else {
      throw FileIO.failure("chmod", path)
    }
    try writer.backup(to: copy)
    // The copy says of itself that it has a log beside it, as the original has.
    try copy.writeWithoutTransaction { try $0.execute(sql: "PRAGMA journal_mode = DELETE") }
    try copy.close()
  }

  /// What a connection has for `journal_mode`, `synchronous` and `foreign_keys`: durable are "wal",
  /// "2", "1".
  static func durabilitySettings(_ db: Database) throws -> [String] {
    try ["PRAGMA journal_mode", "PRAGMA synchronous", "PRAGMA foreign_keys"].map { pragma in
      let value: DatabaseValue? = try Row.fetchOne(db, sql: pragma)?[0]
      return value.flatMap {
        String.fromDatabaseValue($0) ?? Int.fromDatabaseValue($0).map(String.init)
      } ?? ""
    }
  }
}
