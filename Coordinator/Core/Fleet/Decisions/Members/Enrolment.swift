import WireProtocol

/// A machine joins with an invitation, which is used once; a repetition with the same key gives the
/// same worker.
package struct Enrol: FleetEvent {
  package let worker: NewWorker

  package init(_ worker: NewWorker) { self.worker = worker }

  /// - Throws: `StoreError.invitationInvalid`; `.membershipEnded` for the key of a worker that was
  ///   revoked.
  package func decide(in fleet: inout Fleet) throws -> WorkerRecord {
    let invalid = StoreError(
      .invitationInvalid, "The invitation is unknown, used up or expired: ask for a new one.")
    guard let id = fleet.index.people.invitations[worker.secretHash],
      var invitation = fleet.invitations[id], invitation.expiresAt > fleet.now
    else { throw invalid }
    let account = try fleet.requireAccount(invitation.account)
    if account.bannedAt != nil {
      throw StoreError(
        .invitationInvalid,
        "The coordinator's operator has banned the account that the invitation is for.")
    }
    let others = fleet.index.people.workersOfInvitation[id].sorted()
      .compactMap { fleet.workers[$0] }
    if let present = others.first(where: { $0.publicKey == worker.publicKey }) {
      try present.requireMembership()
      return fleet.record(of: present)
    }
    if let reason = fleet.refusal(of: account, others) {
      throw StoreError(.invitationInvalid, reason)
    }
    guard invitation.usesLeft > 0 else { throw invalid }
    invitation.usesLeft -= 1
    fleet.put(invitation)
    let row = WorkerRow(
      id: fleet.newID("worker_"), number: Int(fleet.nextNumber("worker")), account: account.id,
      name: Name.cleaned(worker.name) ?? "unnamed", trusted: invitation.trusted, invitation: id,
      publicKey: worker.publicKey, createdAt: fleet.now)
    fleet.put(row)
    return fleet.record(of: row)
  }
}

extension Fleet {
  /// Why an invitation admits no further machine though it has uses left; nil when it does.
  ///
  /// - Parameter others: the workers that joined with it.
  fileprivate func refusal(of account: AccountRow, _ others: [WorkerRow]) -> String? {
    if account.noEnrolmentUntil.map({ $0 > now }) ?? false {
      return "A machine of the account that the invitation is for gave wrong results: no other "
        + "may join for now."
    }
    if others.contains(where: { $0.bannedAt != nil }) {
      return "The coordinator's operator has banned a machine that joined with this invitation: "
        + "ask for a new one."
    }
    if others.contains(where: { $0.revokedAt != nil }) {
      return
        "The coordinator's operator has ended the membership of a machine that joined with this "
        + "invitation: ask for a new one."
    }
    return nil
  }
}

extension WorkerRow {
  /// - Throws: `StoreError.membershipEnded` when the operator ended it, or its account was deleted.
  func requireMembership() throws {
    guard revokedAt != nil else { return }
    throw StoreError(
      .membershipEnded,
      "The coordinator's operator has ended this worker's membership. To join anew, ask for a new "
        + "invitation.")
  }
}

/// A worker's membership ends for good; false when there is none.
package struct RevokeWorker: FleetEvent {
  package let id: String

  package init(id: String) { self.id = id }

  package func decide(in fleet: inout Fleet) throws -> Bool {
    guard fleet.workers[id] != nil else { return false }
    try fleet.revoke(worker: id)
    return true
  }
}

extension Fleet {
  /// Ends a worker's membership: its certificates, and what it has unverified.
  mutating func revoke(worker id: String) throws {
    change(WorkerRow.self, id) { [now] in $0.revokedAt = $0.revokedAt ?? now }
    for fingerprint in index.people.certificatesOfWorker[id].sorted() {
      change(CertificateRow.self, fingerprint) { $0.isRevoked = true }
    }
    try takeBack(worker: id)
  }
}
