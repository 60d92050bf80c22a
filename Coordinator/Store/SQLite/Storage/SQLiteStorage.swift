import CoordinatorCore
import Foundation
import GRDB
import WireProtocol

/// A fleet's rows in one SQLite file. A group of changes is one transaction; reads run beside it on
/// snapshots.
package final class SQLiteStorage: FleetStorage {
  let writer: any DatabaseWriter
  private let blobs: any BlobStore

  /// Opens or makes a database and brings its tables up to date.
  ///
  /// - Parameters:
  ///   - path: the database file; its folder must exist.
  ///   - blobs: where what groups bring of blobs is kept.
  ///   - onStatement: called with the text of every statement that runs.
  package static func open(
    path: String, blobs: any BlobStore, onStatement: (@Sendable (String) -> Void)? = nil
  ) throws -> SQLiteStorage {
    try SQLiteStorage(SQLiteFile.open(path: path, onStatement: onStatement), blobs: blobs)
  }

  private init(_ writer: any DatabaseWriter, blobs: any BlobStore) throws {
    self.writer = writer
    self.blobs = blobs
    guard try !writer.read({ try Migrations.fleetMigrator.hasBeenSuperseded($0) }) else {
      throw StoreError(.invalid, "The database was written by a newer program: use that one.")
    }
    try Migrations.fleetMigrator.migrate(writer)
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
  package func copy(to path: String) throws { try SQLiteFile.copy(writer, to: path) }

  /// What the writing connection has for `journal_mode`, `synchronous` and `foreign_keys`: durable
  /// are "wal", "2", "1".
  package func durabilitySettings() async throws -> [String] {
    try await writer.writeWithoutTransaction { try SQLiteFile.durabilitySettings($0) }
  }

  /// A consistent view.
  func read<Value: Sendable>(
    _ body: @escaping @Sendable (Database) throws -> Value
  ) async throws -> Value {
    try await writer.read(body)
  }

  package func load() async throws -> WorkingSet {
    try await read { db in
      var set = WorkingSet()
      try db.loadPeople(into: &set)
      try db.loadClients(into: &set)
      try db.loadSettings(into: &set)
      try db.loadBatches(into: &set)
      try db.loadTuning(into: &set)
      try db.loadUnits(into: &set)
      return set
    }
  }

  package func apply(_ changes: FleetChanges) async throws {
    var data: [Digest: Data] = [:]
    for case .blob(let digest, let bytes) in changes.effects { data[digest] = bytes }
    try await write { [blobs, data] db in
      // Rows may name rows that are written after them. Preparing it is what sets it, each time.
      try db.execute(sql: "PRAGMA defer_foreign_keys = ON")
      try db.writeClients(changes)
      try db.writePeople(changes)
      try db.writeBatches(changes)
      try db.writeTuningJobs(changes)
      try db.writeQueues(changes)
      try db.writeUnits(changes)
      for effect in changes.effects { try db.apply(effect) }
      try db.writeSettings(changes)
      // SQLite ends a transaction by itself when the disk is full or fails.
      guard db.isInsideTransaction else {
        throw StoreError(.corrupt, "The database gave up a transaction.")
      }
      if !data.isEmpty { try blobs.persist(data) }
    }
  }

  package func checkReady() async throws {
    try await write { db in
      try db.run(
        "INSERT INTO setting (name, value) VALUES ('ready', 1) ON CONFLICT DO UPDATE SET value = 1")
    }
  }

  private func write(_ body: @escaping @Sendable (Database) throws -> Void) async throws {
    try await writer.writeWithoutTransaction { db in
      try db.inTransaction(.immediate) {
        try body(db)
        return .commit
      }
    }
  }
}
