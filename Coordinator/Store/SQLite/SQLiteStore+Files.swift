import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  func createFile(_ file: NewFile, now: Timestamp) async throws -> FileRecord {
    try await write { transaction in
      try transaction.requireQuota(.file(bytes: file.bytes), key: file.keyID, now: now)
      return try transaction.insert(file, now: now)
    }
  }

  func file(_ id: String, key: String, now: Timestamp) async throws -> FileRecord? {
    try await read { db in
      try db.first(
        "SELECT * FROM file WHERE id = ? AND key_id = ? AND ifnull(expires_at > ?, 1)",
        [id, key, now]
      ).map(FileRecord.init(row:))
    }
  }

  func files(
    key: String, purpose: FilePurpose?, page: PageRequest, now: Timestamp
  ) async throws -> Page<FileRecord> {
    try await read { db in
      let cursor = try page.after.flatMap { after in
        try Int64.fetchOne(
          db, sql: "SELECT number FROM file WHERE id = ? AND key_id = ?", arguments: [after, key])
      }
      let start = try Self.start(page, number: cursor)
      let arguments: StatementArguments = [
        key, start, now, purpose?.rawValue, purpose?.rawValue, page.limit + 1,
      ]
      let rows =
        switch page.order {
        case .ascending:
          try db.all(
            """
            SELECT * FROM file WHERE key_id = ? AND number > ? AND ifnull(expires_at > ?, 1)
              AND (? IS NULL OR purpose = ?) ORDER BY number LIMIT ?
            """, arguments)
        case .descending:
          try db.all(
            """
            SELECT * FROM file WHERE key_id = ? AND number < ? AND ifnull(expires_at > ?, 1)
              AND (? IS NULL OR purpose = ?) ORDER BY number DESC LIMIT ?
            """, arguments)
        }
      return try Self.page(rows, limit: page.limit, FileRecord.init(row:))
    }
  }

  func deleteFile(_ id: String, key: String) async throws -> Bool {
    try await write { transaction in
      try transaction.db.run("DELETE FROM file WHERE id = ? AND key_id = ?", [id, key])
      return transaction.db.changesCount > 0
    }
  }
}

extension Transaction {
  func insert(_ file: NewFile, now: Timestamp) throws -> FileRecord {
    let id = identifiers.make("file-")
    try db.run(
      """
      INSERT INTO file (id, key_id, purpose, filename, bytes, blob, created_at, expires_at)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)
      """,
      [
        id, file.keyID, file.purpose.rawValue, file.filename, file.bytes, file.blob, now,
        file.expiresAt,
      ])
    return FileRecord(
      id: id, keyID: file.keyID, purpose: file.purpose, filename: file.filename, bytes: file.bytes,
      blob: file.blob, createdAt: now, expiresAt: file.expiresAt)
  }
}

extension FileRecord {
  fileprivate init(row: Row) throws {
    self.init(
      id: try row.value("id"), keyID: try row.value("key_id"), purpose: try row.name("purpose"),
      filename: try row.value("filename"), bytes: try row.value("bytes"),
      blob: try row.value("blob"), createdAt: try row.value("created_at"),
      expiresAt: try row.optional("expires_at"))
  }
}
