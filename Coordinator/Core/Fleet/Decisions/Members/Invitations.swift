import WireProtocol

extension StoreError {
  /// A name as it is stored.
  ///
  /// - Parameter what: what has the name, in a word.
  /// - Throws: `StoreError.invalid` that says what is wrong with it.
  package static func checkedName(_ text: String, of what: String) throws -> String {
    do {
      return try Name.checked(text)
    } catch {
      throw StoreError(.invalid, "The \(what) \(error.description)")
    }
  }
}

/// The operator invites somebody; the account is made when it is new.
package struct CreateInvitation: FleetEvent {
  package let invitation: NewInvitation

  /// - Throws: `StoreError.invalid`.
  package init(_ invitation: NewInvitation) throws {
    guard invitation.uses > 0 else {
      throw StoreError(.invalid, "An invitation admits at least one worker.")
    }
    self.invitation = invitation
  }

  /// - Throws: `StoreError.invalid` for what is no name; `.conflict` for one that looks like
  ///   another's, for a banned account, and for a secret that another invitation has.
  package func decide(in fleet: inout Fleet) throws -> InvitationRecord {
    guard fleet.index.people.invitations[invitation.secretHash] == nil else {
      throw StoreError(.conflict, "There is an invitation with this secret already.")
    }
    var account = try fleet.account(madeFor: invitation.accountName)
    if account.bannedAt != nil {
      throw StoreError(
        .conflict, "The account \(invitation.accountName) is banned: end the ban first.")
    }
    if invitation.isNamed {
      account.isNamed = true
      fleet.put(account)
    }
    let row = InvitationRow(
      id: fleet.newID("invitation_"), secretHash: invitation.secretHash, account: account.id,
      usesLeft: invitation.uses, expiresAt: invitation.expiresAt, trusted: invitation.trusted,
      createdAt: fleet.now)
    fleet.put(row)
    return fleet.record(of: row, account)
  }
}

/// An invitation is useless from now on; false when there is none.
package struct RevokeInvitation: FleetEvent {
  package let id: String

  package init(id: String) { self.id = id }

  package func decide(in fleet: inout Fleet) throws -> Bool {
    guard let row = fleet.invitations[id], row.expiresAt.milliseconds > 0 else { return false }
    fleet.end(row)
    return true
  }
}

extension Fleet {
  mutating func end(_ invitation: InvitationRow) {
    var row = invitation
    row.usesLeft = 0
    row.expiresAt = Timestamp(milliseconds: 0)
    put(row)
  }

  fileprivate func record(of row: InvitationRow, _ account: AccountRow) -> InvitationRecord {
    InvitationRecord(
      id: row.id, account: account.record, usesLeft: row.usesLeft, expiresAt: row.expiresAt,
      trusted: row.trusted, createdAt: row.createdAt)
  }

  /// Invitations that admit somebody, the oldest first.
  package func invitationRecords(at time: Timestamp) -> [InvitationRecord] {
    invitations.rows.values.filter { $0.usesLeft > 0 && $0.expiresAt > time }
      .sorted { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
      .compactMap { row in accounts[row.account].map { record(of: row, $0) } }
  }

  /// The account with this name, made when it is new.
  fileprivate mutating func account(madeFor name: String) throws -> AccountRow {
    if let known = index.people.accountNames[name].flatMap({ accounts[$0] }) { return known }
    let name = try StoreError.checkedName(name, of: "account's name")
    if let known = index.people.accountNames[name].flatMap({ accounts[$0] }) { return known }
    let likeness = NameLikeness.key(of: name)
    if let other = index.people.likenesses[likeness].sorted().compactMap({ accounts[$0] }).first {
      throw StoreError(
        .conflict, "The name \(name) looks like that of the account \(other.name): choose another."
      )
    }
    let account = AccountRow(
      id: newID("account_"), number: Int(nextNumber("account")), name: name, likeness: likeness,
      createdAt: now, crossProjectID: newID(""))
    put(account)
    return account
  }
}
