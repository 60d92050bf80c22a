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
      try db.accountID(named: name).map { try db.profile($0) }
    }
  }

  func changeAccount(
    named name: String, _ change: AccountChange, now: Timestamp
  ) async throws -> AccountProfile {
    let change = try change.checked()
    return try await write { transaction in
      let db = transaction.db
      let id = try db.requireAccountID(named: name)
      if let isNamed = change.isNamed {
        try db.run("UPDATE account SET named = ? WHERE id = ?", [isNamed, id])
      }
      if let team = change.team {
        try db.changeTeam(
          ofAccount: id, to: team, pauseSeconds: change.teamPauseSeconds, now: now)
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
      let id = try db.requireAccountID(named: name)
      for worker in try db.all("SELECT id FROM worker WHERE account = ?", [id]) {
        let worker: String = try worker.value("id")
        try transaction.revoke(worker: worker, now: now)
        try db.run(
          "UPDATE worker SET name = 'deleted', machine = NULL, deleted_at = ? WHERE id = ?",
          [now, worker])
      }
      try db.run("UPDATE invitation SET uses_left = 0, expires_at = 0 WHERE account = ?", [id])
      try db.run("DELETE FROM account_key WHERE account = ?", [id])
      // The name goes too, so that somebody else may take it; the id is no name.
      try db.run(
        """
        UPDATE account SET name = 'deleted ' || id, likeness = '', named = 0, team = NULL,
          country = NULL, url = NULL, email = NULL, deleted_at = ? WHERE id = ?
        """, [now, id])
      try db.removeEmptyTeams()
    }
  }

  func createAccountKey(
    accountNamed name: String, hash: Digest, now: Timestamp
  ) async throws {
    try await write { transaction in
      let db = transaction.db
      let id = try db.requireAccountID(named: name)
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
        [now, try db.requireAccountID(named: name)])
      return db.changesCount
    }
  }
}

extension Database {
  /// The account with this name as it is given or as it would be stored: names that were admitted
  /// before there was a rule are found as they are.
  fileprivate func accountID(named name: String) throws -> String? {
    let row = try first(
      "SELECT id FROM account WHERE name IN (?, ?) AND deleted_at IS NULL ORDER BY name = ? DESC",
      [name, (try? Name.checked(name)) ?? name, name])
    return try row?.value("id")
  }

  /// - Throws: `StoreError.notFound`.
  fileprivate func requireAccountID(named name: String) throws -> String {
    guard let id = try accountID(named: name) else {
      throw StoreError(.notFound, "There is no account \(name).")
    }
    return id
  }

  fileprivate func changeTeam(
    ofAccount id: String, to name: String, pauseSeconds: Int, now: Timestamp
  ) throws {
    guard let row = try first("SELECT team, team_changed_at FROM account WHERE id = ?", [id]) else {
      throw Row.damaged("account.id")
    }
    if name.isEmpty {
      try run("UPDATE account SET team = NULL WHERE id = ?", [id])
      return try removeEmptyTeams()
    }
    let present: Int? = try row.optional("team")
    let known: Int? = try first("SELECT id FROM team WHERE name = ?", [name])?.value("id")
    guard known == nil || known != present else { return }
    if let last: Timestamp = try row.optional("team_changed_at"), last <= now,
      now.seconds(since: last) < Double(pauseSeconds)
    {
      throw StoreError(.tooSoon, "The team was changed less than \(pauseSeconds) s ago.")
    }
    let team = try known ?? newTeam(named: name, founder: id, now: now)
    try run("UPDATE account SET team = ?, team_changed_at = ? WHERE id = ?", [team, now, id])
    try removeEmptyTeams()
  }

  private func newTeam(named name: String, founder: String, now: Timestamp) throws -> Int {
    let likeness = NameLikeness.key(of: name)
    if let other = try first("SELECT name FROM team WHERE likeness = ?", [likeness]) {
      let other: String = try other.value("name")
      throw StoreError(
        .conflict, "The name looks like that of the team \(other), which is another.")
    }
    try run(
      "INSERT INTO team (name, likeness, founder, created_at) VALUES (?, ?, ?, ?)",
      [name, likeness, founder, now])
    return Int(lastInsertedRowID)
  }

  /// A team ends with its last member: its name is free again, and nobody can pile teams up.
  fileprivate func removeEmptyTeams() throws {
    try run("DELETE FROM team WHERE id NOT IN (SELECT team FROM account WHERE team IS NOT NULL)")
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
