import WireProtocol

/// The operator bans a worker or an account: no leases from now on, what it has not had verified is
/// taken back and given to others, and the account's invitations are useless. Repeating it replaces
/// the reason.
package struct BanMember: FleetEvent {
  package let subject: BanSubject
  /// Shown to the volunteer.
  package let reason: String

  /// - Throws: `StoreError.invalid` when the reason is too long.
  package init(_ subject: BanSubject, reason: String) throws {
    try StoreLimit.requireShort(reason)
    self.subject = subject
    self.reason = reason
  }

  /// - Throws: `StoreError.notFound`.
  package func decide(in fleet: inout Fleet) throws {
    let now = fleet.now
    let banned: [String]
    switch subject {
    case .worker(let id):
      guard fleet.workers[id] != nil else { throw subject.unknown }
      fleet.change(WorkerRow.self, id) { ($0.bannedAt, $0.banReason) = (now, reason) }
      banned = [id]
    case .account(let id):
      guard fleet.accounts[id] != nil else { throw subject.unknown }
      fleet.change(AccountRow.self, id) { ($0.bannedAt, $0.banReason) = (now, reason) }
      banned = fleet.workers(ofAccount: id).map(\.id)
    }
    for worker in banned { try fleet.takeBack(worker: worker) }
  }
}

/// A ban ends; false when there was none.
package struct UnbanMember: FleetEvent {
  package let subject: BanSubject

  package init(_ subject: BanSubject) { self.subject = subject }

  /// - Throws: `StoreError.notFound`.
  package func decide(in fleet: inout Fleet) throws -> Bool {
    switch subject {
    case .worker(let id):
      guard let worker = fleet.workers[id] else { throw subject.unknown }
      guard worker.bannedAt != nil else { return false }
      fleet.change(WorkerRow.self, id) { ($0.bannedAt, $0.banReason) = (nil, nil) }
    case .account(let id):
      guard let account = fleet.accounts[id] else { throw subject.unknown }
      guard account.bannedAt != nil else { return false }
      fleet.change(AccountRow.self, id) { ($0.bannedAt, $0.banReason) = (nil, nil) }
    }
    return true
  }
}

extension BanSubject {
  fileprivate var unknown: StoreError {
    switch self {
    case .worker(let id): StoreError(.notFound, "There is no worker \(id).")
    case .account(let id): StoreError(.notFound, "There is no account \(id).")
    }
  }
}

extension AccountRow {
  package var ban: Ban? {
    bannedAt.map { Ban(reason: banReason ?? "", since: $0, coversAccount: true) }
  }
}

extension Fleet {
  /// A worker's own ban, or its account's; nil when there is none.
  package func ban(of worker: WorkerRow) -> Ban? {
    if let since = worker.bannedAt {
      return Ban(reason: worker.banReason ?? "", since: since, coversAccount: false)
    }
    return accounts[worker.account]?.ban
  }

  /// Until when a worker or its account gets no work after wrong results; nil when it does.
  package func suspension(of worker: WorkerRow, at time: Timestamp) -> Timestamp? {
    [worker.suspendedUntil, accounts[worker.account]?.suspendedUntil].compactMap(\.self)
      .filter { $0 > time }.max()
  }
}
