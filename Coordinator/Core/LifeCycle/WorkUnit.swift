import WireProtocol

/// What a unit's verified result rests on.
package struct Acceptance: Hashable, Sendable {
  package var result: Digest
  package var verification: Verification
  /// Equal results, the trusted machine's own among them.
  package var replicas: Int

  package init(result: Digest, verification: Verification, replicas: Int) {
    self.result = result
    self.verification = verification
    self.replicas = replicas
  }
}

/// The life of a unit: an event comes in, the states change, and what follows for others comes out.
///
///     open -> accepted | awaitingReplay | failed
///     awaitingReplay -> accepted | failed | open
///     open, awaitingReplay -> cancelled
///     accepted -> accepted, with the right result, when an audit finds the accepted one wrong
package struct WorkUnit: Hashable, Sendable {
  package enum ReplayReason: String, Hashable, Sendable {
    /// Replicas have different digests.
    case disagreement
    /// Too many replicas were lost.
    case lostReplicas
    /// Several accounts said that the unit cannot be computed.
    case calledInvalid
  }

  package enum State: Hashable, Sendable {
    /// Replicas run or are wanted.
    case open
    /// The trusted machine is to compute it.
    case awaitingReplay(ReplayReason)
    case accepted(Acceptance)
    case failed(reason: String)
    /// No batch needs it any more.
    case cancelled
  }

  /// What an event means for others than the unit and its replicas.
  package enum Action: Hashable, Sendable {
    /// Its requests have their answer.
    case complete(Acceptance)
    /// Its requests get an error line.
    case fail(reason: String)
    /// This replica's worker and account get the credit of the unit.
    case grant(replica: Int64)
    /// This replica's worker gave a wrong result.
    case reject(replica: Int64)
    /// This replica's result was accepted and is wrong: it loses its credit and is rejected.
    case revoke(replica: Int64)
    /// This replica's worker called the unit invalid, and the trusted machine computed it.
    case refute(replica: Int64)
  }

  package let pool: WorkPool
  /// Accounts whose results must be equal. It stays as it was when the unit was cut, whatever is
  /// set later.
  package let wanted: Int
  package var state: State
  package var replicas: [Replica]
  /// Attempts of the trusted machine that failed.
  package var failedReplays: Int
  /// Why the verification rule decided as it did last; nil before it was asked.
  package var verdict: String?

  /// - Parameter wanted: see `CoordinatorPolicy.accountsWanted`; nil for the least of the pool.
  package init(
    pool: WorkPool, wanted: Int? = nil, state: State = .open, replicas: [Replica] = [],
    failedReplays: Int = 0
  ) {
    self.pool = pool
    self.wanted = wanted ?? pool.leastAccounts
    self.state = state
    self.replicas = replicas
    self.failedReplays = failedReplays
  }

  /// Accounts with a replica that runs or waits for verification.
  package var accounts: Set<String> { Set(replicas.lazy.filter(\.takesPart).map(\.account)) }

  /// Replicas to lease out now. A unit that waits for the trusted machine because replicas were
  /// lost, or called it invalid, stays open: another account may be quicker.
  package var missing: Int {
    switch state {
    case .open, .awaitingReplay(.lostReplicas), .awaitingReplay(.calledInvalid):
      max(0, wanted - promised.count)
    case .awaitingReplay(.disagreement), .accepted, .failed, .cancelled: 0
    }
  }

  /// Accounts from which a result is there or expected. Once one result is there, a late replica
  /// holds no place: a spare one is leased out, and the first of both counts.
  private var promised: Set<String> {
    let hasResult = replicas.contains { $0.state == .submitted }
    return Set(
      replicas.lazy.filter { replica in
        replica.state == .submitted || (replica.takesPart && !(hasResult && replica.isLate))
      }.map(\.account))
  }

  /// Who counts once for the unit, however many replicas it has: an account in the public pool, a
  /// machine in the trusted one, where all machines may be of one account.
  private func party(of replica: Replica) -> String {
    pool == .trusted ? replica.worker : replica.account
  }

  func parties(where isCounted: (Replica) -> Bool) -> Set<String> {
    Set(replicas.lazy.filter(isCounted).map(party))
  }

  /// Accounts (machines in the trusted pool) that have or had a replica.
  package var everyParty: Int { parties { _ in true }.count }

  /// Whether a worker, or another of its account in the public pool, gave up a replica: then the
  /// unit goes back to it last.
  package func wasGivenUp(by worker: String, of account: String) -> Bool {
    parties(where: \.wasGivenUp).contains(pool == .trusted ? worker : account)
  }

  /// Whether a worker, or another of its account in the public pool, said that the unit cannot be
  /// computed.
  package func wasRefused(by worker: String, of account: String) -> Bool {
    parties(where: \.isRefusal).contains(pool == .trusted ? worker : account)
  }

  /// Whether an account may be given a replica. One that gave a replica up may try again when
  /// nobody else is there: with few accounts there may be no other.
  package func mayLease(account: String) -> Bool {
    missing > 0 && !accounts.contains(account)
  }
}
