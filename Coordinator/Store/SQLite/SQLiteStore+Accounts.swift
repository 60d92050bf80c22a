import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  func accounts() async throws -> [AccountProfile] {
    try await read { db in
      try db.all(
        """
        SELECT account.*, team.name AS team_name FROM account
        LEFT JOIN team ON team.id = account.team
        WHERE account.deleted_at IS NULL ORDER BY account.number
        """
      ).map(AccountProfile.init(row:))
    }
  }

  func account(named name: String) async throws -> AccountProfile? {
    try await read { db in
      try db.first(
        """
        SELECT account.*, team.name AS team_name FROM account
        LEFT JOIN team ON team.id = account.team
        WHERE account.name = ? AND account.deleted_at IS NULL
        """, [name]
      ).map(AccountProfile.init(row:))
    }
  }

  func changeAccount(
    named name: String, _ change: AccountChange, now: Timestamp
  ) async throws -> AccountProfile {
    try change.check()
    return try await write { transaction in
      let db = transaction.db
      let id = try db.accountID(named: name)
      if let isNamed = change.isNamed {
        try db.run("UPDATE account SET named = ? WHERE id = ?", [isNamed, id])
      }
      if let team = change.team {
        try db.run(
          "UPDATE account SET team = ? WHERE id = ?",
          [team.isEmpty ? nil : try db.team(named: team, founder: id, now: now), id])
      }
      if let country = change.country {
        try db.run("UPDATE account SET country = nullif(?, '') WHERE id = ?", [country, id])
      }
      if let url = change.url {
        try db.run("UPDATE account SET url = nullif(?, '') WHERE id = ?", [url, id])
      }
      if let email = change.email {
        try db.run("UPDATE account SET email = nullif(?, '') WHERE id = ?", [email, id])
      }
      return try db.profile(id)
    }
  }

  func deleteAccount(named name: String, now: Timestamp) async throws {
    try await write { transaction in
      let db = transaction.db
      let id = try db.accountID(named: name)
      for worker in try db.all("SELECT id FROM worker WHERE account = ?", [id]) {
        let worker: String = try worker.value("id")
        try db.run("UPDATE certificate SET revoked = 1 WHERE worker = ?", [worker])
        try transaction.takeBack(worker: worker, now: now)
        try db.run(
          "UPDATE worker SET name = 'deleted', machine = NULL, deleted_at = ? WHERE id = ?",
          [now, worker])
      }
      try db.run("UPDATE invitation SET uses_left = 0, expires_at = 0 WHERE account = ?", [id])
      try db.run("DELETE FROM account_key WHERE account = ?", [id])
      // The name goes too, so that somebody else may take it; the id is no name.
      try db.run(
        """
        UPDATE account SET name = 'deleted ' || id, named = 0, team = NULL, country = NULL,
          url = NULL, email = NULL, deleted_at = ? WHERE id = ?
        """, [now, id])
    }
  }

  func createAccountKey(
    accountNamed name: String, hash: Digest, now: Timestamp
  ) async throws {
    try await write { transaction in
      let db = transaction.db
      let id = try db.accountID(named: name)
      try db.run(
        "INSERT INTO account_key (hash, account, created_at) VALUES (?, ?, ?)", [hash, id, now])
      // Any machine of the account may ask for keys: they must not pile up.
      try db.run(
        """
        DELETE FROM account_key WHERE account = ? AND number NOT IN (
          SELECT number FROM account_key WHERE account = ? AND revoked_at IS NULL
          ORDER BY number DESC LIMIT ?)
        """, [id, id, StoreLimit.accountKeys])
    }
  }

  func account(keyHash: Digest) async throws -> AccountProfile? {
    try await read { db in
      try db.first(
        """
        SELECT account.*, team.name AS team_name
        FROM account_key JOIN account ON account.id = account_key.account
          LEFT JOIN team ON team.id = account.team
        WHERE account_key.hash = ? AND account_key.revoked_at IS NULL
          AND account.deleted_at IS NULL
        """, [keyHash]
      ).map(AccountProfile.init(row:))
    }
  }

  func revokeAccountKeys(accountNamed name: String, now: Timestamp) async throws -> Int {
    try await write { transaction in
      let db = transaction.db
      try db.run(
        "UPDATE account_key SET revoked_at = ? WHERE account = ? AND revoked_at IS NULL",
        [now, try db.accountID(named: name)])
      return db.changesCount
    }
  }
}

extension AccountChange {
  /// - Throws: `StoreError.invalid`.
  fileprivate func check() throws {
    for (name, text) in [("team", team), ("country", country), ("url", url), ("email", email)] {
      guard let text else { continue }
      guard text.count <= Self.longest, !text.unicodeScalars.contains(where: \.isControl) else {
        throw StoreError(
          .invalid, "The \(name) has at most \(Self.longest) characters, on one line.")
      }
    }
    if let url, !url.isEmpty, !url.hasPrefix("https://"), !url.hasPrefix("http://") {
      throw StoreError(.invalid, "The url begins with https:// or http://.")
    }
  }
}

extension Unicode.Scalar {
  fileprivate var isControl: Bool { properties.generalCategory == .control }
}

extension Database {
  /// - Throws: `StoreError.notFound`.
  fileprivate func accountID(named name: String) throws -> String {
    guard
      let row = try first("SELECT id FROM account WHERE name = ? AND deleted_at IS NULL", [name])
    else { throw StoreError(.notFound, "There is no account \(name).") }
    return try row.value("id")
  }

  /// The team with this name, made when it is new. Capital letters make no other team.
  fileprivate func team(named name: String, founder: String, now: Timestamp) throws -> Int {
    try run(
      """
      INSERT INTO team (name, founder, created_at) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING
      """, [name, founder, now])
    return try integer("SELECT id FROM team WHERE name = ?", [name])
  }

  fileprivate func profile(_ id: String) throws -> AccountProfile {
    guard
      let row = try first(
        """
        SELECT account.*, team.name AS team_name FROM account
        LEFT JOIN team ON team.id = account.team WHERE account.id = ?
        """, [id])
    else { throw Row.damaged("account.id") }
    return try AccountProfile(row: row)
  }
}

extension AccountProfile {
  /// From a row of `account` with its `team_name`.
  init(row: Row) throws {
    self.init(
      account: AccountRecord(
        id: try row.value("id"), name: try row.value("name"),
        createdAt: try row.value("created_at")),
      isNamed: try row.value("named"), team: try row.optional("team_name"),
      country: try row.optional("country"), url: try row.optional("url"),
      email: try row.optional("email"))
  }
}
