import WireProtocol

extension AccountChange {
  /// The change with its texts as they are stored.
  ///
  /// - Throws: `StoreError.invalid`.
  package func checked() throws -> AccountChange {
    var change = self
    func check(_ what: String, _ path: WritableKeyPath<AccountChange, String?>) throws {
      guard let text = self[keyPath: path], !text.isEmpty else { return }
      change[keyPath: path] = try StoreError.checkedName(text, of: what)
    }
    try check("team", \.team)
    try check("country", \.country)
    try check("url", \.url)
    try check("email", \.email)
    if let url = change.url, !url.isEmpty, !url.hasPrefix("https://"), !url.hasPrefix("http://") {
      throw StoreError(.invalid, "The url begins with https:// or http://.")
    }
    return change
  }
}

/// What is known of an account changes. A team is made when it is new, with this account for its
/// founder.
package struct ChangeAccount: FleetEvent {
  package let name: String
  package let change: AccountChange

  /// - Throws: `StoreError.invalid` for a value out of bounds.
  package init(named name: String, _ change: AccountChange) throws {
    self.name = name
    self.change = try change.checked()
  }

  /// - Throws: `StoreError.notFound` for an unknown name; `.conflict` for a new team whose name
  ///   looks like another's; `.tooSoon` for the team within its pause.
  package func decide(in fleet: inout Fleet) throws -> AccountProfile {
    let id = try fleet.requireAccount(named: name).id
    if let team = change.team {
      try fleet.changeTeam(ofAccount: id, to: team, pauseSeconds: change.teamPauseSeconds)
    }
    func stored(_ text: String) -> String? { text.isEmpty ? nil : text }
    fleet.change(AccountRow.self, id) { row in
      if let isNamed = change.isNamed { row.isNamed = isNamed }
      if let country = change.country { row.country = stored(country) }
      if let url = change.url { row.url = stored(url) }
      if let email = change.email { row.email = stored(email) }
    }
    return fleet.profile(of: try fleet.requireAccount(id))
  }
}

extension Fleet {
  /// The account with this name as it is given or as it would be stored: names that were admitted
  /// before there was a rule are found as they are.
  package func account(named name: String) -> AccountRow? {
    let names = [name, (try? Name.checked(name)) ?? name]
    return names.lazy.compactMap { index.people.accountNames[$0] }.first.flatMap { accounts[$0] }
  }

  /// - Throws: `StoreError.notFound`.
  func requireAccount(named name: String) throws -> AccountRow {
    guard let account = account(named: name) else {
      throw StoreError(.notFound, "There is no account \(name).")
    }
    return account
  }

  fileprivate mutating func changeTeam(
    ofAccount id: String, to name: String, pauseSeconds: Int
  ) throws {
    let account = try requireAccount(id)
    if name.isEmpty {
      change(AccountRow.self, id) { $0.team = nil }
      return removeTeamIfEmpty(account.team)
    }
    let known = teams.sorted.first { $0.name.lowercasedASCII == name.lowercasedASCII }
    guard known == nil || known?.id != account.team else { return }
    if let last = account.teamChangedAt, last <= now,
      now.seconds(since: last) < Double(pauseSeconds)
    {
      throw StoreError(.tooSoon, "The team was changed less than \(pauseSeconds) s ago.")
    }
    let team = try known ?? newTeam(named: name, founder: id)
    change(AccountRow.self, id) { [now] in ($0.team, $0.teamChangedAt) = (team.id, now) }
    removeTeamIfEmpty(account.team)
  }

  private mutating func newTeam(named name: String, founder: String) throws -> TeamRow {
    let likeness = NameLikeness.key(of: name)
    if let other = teams.sorted.first(where: { $0.likeness == likeness }) {
      throw StoreError(
        .conflict, "The name looks like that of the team \(other.name), which is another.")
    }
    let team = TeamRow(
      id: Int(nextNumber("team")), name: name, likeness: likeness, founder: founder,
      createdAt: now)
    put(team)
    return team
  }

  /// A team ends with its last member: its name is free again, and nobody can pile teams up.
  mutating func removeTeamIfEmpty(_ team: Int?) {
    guard let team, index.people.membersOfTeam[team].isEmpty else { return }
    remove(TeamRow.self, team)
  }

  /// An account as its owner and the operator know it.
  package func profile(of account: AccountRow) -> AccountProfile {
    AccountProfile(
      account: account.record, isNamed: account.isNamed,
      team: account.team.flatMap { teams[$0]?.name }, country: account.country, url: account.url,
      email: account.email)
  }
}

extension String {
  /// Without the difference of capital letters of ASCII.
  fileprivate var lowercasedASCII: [UInt8] {
    utf8.map { (65...90).contains($0) ? $0 + 32 : $0 }
  }
}

/// Everything that tells who an account was is forgotten; its workers and invitations end, and it
/// is listed as deleted. Its credit stays in the totals.
package struct DeleteAccount: FleetEvent {
  package let name: String

  package init(named name: String) { self.name = name }

  /// - Throws: `StoreError.notFound` for an unknown name.
  package func decide(in fleet: inout Fleet) throws {
    let (account, now) = (try fleet.requireAccount(named: name), fleet.now)
    let id = account.id
    for worker in fleet.workers(ofAccount: id) {
      try fleet.revoke(worker: worker.id)
      fleet.change(WorkerRow.self, worker.id) { row in
        row.name = "deleted"
        row.machine = nil
        row.deletedAt = now
      }
    }
    for invitation in fleet.index.people.invitationsOfAccount[id].sorted() {
      if let row = fleet.invitations[invitation] { fleet.end(row) }
    }
    for key in fleet.index.people.keysOfAccount[id].sorted() {
      fleet.remove(AccountKeyRow.self, key)
    }
    fleet.change(AccountRow.self, id) { row in
      // The name goes too, so that somebody else may take it; the id is no name.
      row.name = "deleted \(id)"
      row.likeness = ""
      row.isNamed = false
      (row.team, row.country, row.url, row.email) = (nil, nil, nil, nil)
      row.deletedAt = now
    }
    fleet.removeTeamIfEmpty(account.team)
  }
}

/// A key opens an account's page; of an account's keys the newest `StoreLimit.accountKeys` stay.
package struct CreateAccountKey: FleetEvent {
  package let account: String
  /// SHA-256 of the key's UTF-8 bytes.
  package let hash: Digest

  package init(accountNamed name: String, hash: Digest) {
    account = name
    self.hash = hash
  }

  /// - Throws: `StoreError.notFound` for an unknown name; `.conflict` for a key that there is.
  package func decide(in fleet: inout Fleet) throws {
    let id = try fleet.requireAccount(named: account).id
    guard fleet.index.people.accountKeys[hash] == nil else {
      throw StoreError(.conflict, "There is a key with this secret already.")
    }
    fleet.put(
      AccountKeyRow(
        number: fleet.nextNumber("account key"), hash: hash, account: id, createdAt: fleet.now))
    // Any machine of the account may ask for keys: they must not pile up.
    let keys = fleet.index.people.keysOfAccount[id].sorted(by: >)
    let kept = keys.filter { fleet.accountKeys[$0]?.revokedAt == nil }
      .prefix(StoreLimit.accountKeys)
    for key in keys where !kept.contains(key) { fleet.remove(AccountKeyRow.self, key) }
  }
}

/// Every key of an account is useless; says how many those were.
package struct RevokeAccountKeys: FleetEvent {
  package let account: String

  package init(accountNamed name: String) { account = name }

  /// - Throws: `StoreError.notFound` for an unknown name.
  package func decide(in fleet: inout Fleet) throws -> Int {
    let (id, now) = (try fleet.requireAccount(named: account).id, fleet.now)
    let keys = fleet.index.people.keysOfAccount[id].sorted()
      .filter { fleet.accountKeys[$0]?.revokedAt == nil }
    for key in keys { fleet.change(AccountKeyRow.self, key) { $0.revokedAt = now } }
    return keys.count
  }
}
