import WireProtocol

/// Accounts and workers by what they are looked up by.
package struct PeopleIndex: Sendable {
  /// Accounts that were not deleted, by name.
  package var accountNames: [String: String] = [:]
  package var likenesses = SetMap<String, String>()
  package var membersOfTeam = SetMap<Int, String>()
  package var accountKeys: [Digest: Int64] = [:]
  package var keysOfAccount = SetMap<String, Int64>()
  package var invitations: [Digest: String] = [:]
  package var invitationsOfAccount = SetMap<String, String>()
  package var workersOfAccount = SetMap<String, String>()
  package var workersOfInvitation = SetMap<String, String>()
  package var certificatesOfWorker = SetMap<String, Digest>()
  /// Grows with everything that decides whether a worker is there and may be given work.
  package var presenceVersion = 0

  mutating func reindex(account old: AccountRow?, to new: AccountRow?) {
    if let old {
      if old.deletedAt == nil { accountNames[old.name] = nil }
      if !old.likeness.isEmpty { likenesses.remove(old.id, under: old.likeness) }
      if let team = old.team { membersOfTeam.remove(old.id, under: team) }
    }
    if let new {
      if new.deletedAt == nil { accountNames[new.name] = new.id }
      if !new.likeness.isEmpty { likenesses.insert(new.id, under: new.likeness) }
      if let team = new.team { membersOfTeam.insert(new.id, under: team) }
    }
    if old?.standing != new?.standing { presenceVersion += 1 }
  }

  mutating func reindex(worker old: WorkerRow?, to new: WorkerRow?) {
    if let old, new == nil {
      workersOfAccount.remove(old.id, under: old.account)
      workersOfInvitation.remove(old.id, under: old.invitation)
    }
    if let new, old == nil {
      workersOfAccount.insert(new.id, under: new.account)
      workersOfInvitation.insert(new.id, under: new.invitation)
    }
    if old?.standing != new?.standing { presenceVersion += 1 }
  }
}

/// What decides whether a worker, or an account's workers, may be given work.
struct HeldStanding: Hashable, Sendable {
  var suspended: Timestamp?
  var backoff: Timestamp?
  var returns: Timestamp?
  var isBanned: Bool
  var hasSpeed = false
  /// Minutes since 1970 in which it was seen.
  var seen: Int64?
}

extension AccountRow {
  var standing: HeldStanding {
    HeldStanding(
      suspended: suspendedUntil, backoff: backoffUntil, returns: returnsUntil,
      isBanned: bannedAt != nil)
  }
}

extension WorkerRow {
  var standing: HeldStanding {
    HeldStanding(
      suspended: suspendedUntil, backoff: backoffUntil, returns: nil, isBanned: bannedAt != nil,
      hasSpeed: speed != nil, seen: lastSeen.map { $0.milliseconds / 60_000 })
  }
}
