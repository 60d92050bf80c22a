import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  func createKey(_ key: NewKey, now: Timestamp) async throws -> KeyRecord {
    try Self.requireWeight(key.weight)
    let name = try StoreError.checkedName(key.name, of: "key's name")
    return try await write { transaction in
      let id = transaction.identifiers.make("key_")
      try transaction.db.run(
        "INSERT INTO api_key (id, name, hash, weight, created_at) VALUES (?, ?, ?, ?, ?)",
        [id, name, key.hash, key.weight, now])
      return KeyRecord(id: id, name: name, weight: key.weight, createdAt: now)
    }
  }

  func key(hash: Digest) async throws -> KeyRecord? {
    try await read { db in
      try db.first("SELECT * FROM api_key WHERE hash = ? AND revoked_at IS NULL", [hash])
        .map(KeyRecord.init(row:))
    }
  }

  func keys() async throws -> [KeyRecord] {
    try await read { db in
      try db.all("SELECT * FROM api_key ORDER BY created_at, id").map(KeyRecord.init(row:))
    }
  }

  func revokeKey(_ id: String, now: Timestamp) async throws -> Bool {
    try await write { transaction in
      try transaction.db.run(
        "UPDATE api_key SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", [now, id])
      return transaction.db.changesCount > 0
    }
  }
}

extension SQLiteStore {
  /// - Throws: `StoreError.invalid`.
  static func requireWeight(_ weight: Double) throws {
    guard (0.01...100).contains(weight) else {
      throw StoreError(.invalid, "A key's weight is between 0.01 and 100.")
    }
  }
}

extension KeyRecord {
  fileprivate init(row: Row) throws {
    self.init(
      id: try row.value("id"), name: try row.value("name"), weight: try row.value("weight"),
      createdAt: try row.value("created_at"), revokedAt: try row.optional("revoked_at"),
      quota: try row.json("quota"))
  }
}
