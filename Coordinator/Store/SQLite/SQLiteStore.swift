import CoordinatorCore
import Foundation
import GRDB
import WireProtocol

/// The store in one SQLite file. Writes go through `TransactionQueue`; reads run beside them on
/// snapshots. Several processes may open the same file: a command that adds a key is seen by the
/// running coordinator at once.
package final class SQLiteStore: Store {
  let writer: any DatabaseWriter
  let blobs: any BlobStore
  package let policy: CoordinatorPolicy
  let requests = RecentRequests()
  private let transactions: TransactionQueue

  /// Opens or makes a database and brings its tables up to date.
  ///
  /// - Parameters:
  ///   - path: the database file; its folder must exist.
  ///   - blobs: where unit inputs are written.
  ///   - identifiers: a test passes seeded ones.
  ///   - lots: decide what is audited; a test passes its own.
  ///   - onStatement: called with the text of every statement that runs.
  package static func open(
    path: String, blobs: any BlobStore, policy: CoordinatorPolicy = CoordinatorPolicy(),
    identifiers: Identifiers = .system, lots: Lots = .system,
    onStatement: (@Sendable (String) -> Void)? = nil
  ) throws -> SQLiteStore {
    let pool = try SQLiteFile.open(path: path, onStatement: onStatement)
    return try SQLiteStore(
      pool, blobs: blobs, policy: policy, identifiers: identifiers, lots: lots)
  }

  private init(
    _ writer: any DatabaseWriter, blobs: any BlobStore, policy: CoordinatorPolicy,
    identifiers: Identifiers, lots: Lots
  ) throws {
    self.writer = writer
    self.blobs = blobs
    self.policy = policy
    transactions = TransactionQueue(
      writer: writer, blobs: blobs, policy: policy, identifiers: identifiers, lots: lots)
    guard try !writer.read({ try Migrations.migrator.hasBeenSuperseded($0) }) else {
      throw StoreError(.invalid, "The database was written by a newer program: use that one.")
    }
    try Migrations.migrator.migrate(writer)
    try writer.recountMissing()
    try writer.analyseIfGrown()
  }

  /// Closes the database; calls after it throw.
  package func close() throws {
    try writer.analyseIfGrown()
    try writer.close()
  }

  /// Writes a copy of everything at one moment into a new file, while others read and write.
  ///
  /// - Parameter path: the copy, one file that its owner alone reads.
  package func copy(to path: String) throws {
    try SQLiteFile.copy(writer, to: path)
  }

  /// One decision; durable when it returns.
  func write<Value: Sendable>(
    _ body: @escaping @Sendable (Transaction) throws -> Value
  ) async throws -> Value {
    try await transactions.run(body)
  }

  /// A consistent view.
  func read<Value: Sendable>(
    _ body: @escaping @Sendable (Database) throws -> Value
  ) async throws -> Value {
    try await writer.read(body)
  }

  /// Writes a row, for `/readyz`.
  package func checkReady() async throws {
    try await write { transaction in
      try transaction.db.run(
        "INSERT INTO setting (name, value) VALUES ('ready', 1) ON CONFLICT DO UPDATE SET value = 1")
    }
  }
}

extension SQLiteStore {
  /// A page of `rows`, which were fetched with one more than `limit`.
  static func page<Item>(
    _ rows: [Row], limit: Int, _ item: (Row) throws -> Item
  ) rethrows -> Page<Item> {
    Page(items: try rows.prefix(limit).map(item), hasMore: rows.count > limit)
  }

  /// Where a list goes on: after the number of `cursor`'s row, or from the end that the order
  /// begins at.
  static func start(_ page: PageRequest, number: Int64?) throws -> Int64 {
    if page.after != nil {
      guard let number else {
        throw StoreError(.unknownCursor, "No item of this list has the id given as 'after'.")
      }
      return number
    }
    return page.order == .ascending ? 0 : Int64.max
  }
}

extension SQLiteStore {
  /// What the writing connection has for `journal_mode`, `synchronous` and `foreign_keys`: durable
  /// are "wal", "2", "1".
  package func durabilitySettings() async throws -> [String] {
    try await write { try SQLiteFile.durabilitySettings($0.db) }
  }
}
