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
///     awaitingReplay -> accepted | failed
///     open, awaitingReplay -> cancelled
package struct WorkUnit: Hashable, Sendable {
  package enum ReplayReason: String, Hashable, Sendable {
    /// Replicas have different digests.
    case disagreement
    /// Too many replicas were lost.
    case lostReplicas
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
  }

  package let pool: WorkPool
  package var state: State
  package var replicas: [Replica]
  /// Attempts of the trusted machine that failed.
  package var failedReplays: Int

  package init(
    pool: WorkPool, state: State = .open, replicas: [Replica] = [], failedReplays: Int = 0
  ) {
    self.pool = pool
    self.state = state
    self.replicas = replicas
    self.failedReplays = failedReplays
  }

  /// Accounts with a replica that runs or waits for verification.
  package var accounts: Set<String> { Set(replicas.lazy.filter(\.takesPart).map(\.account)) }

  /// Replicas to lease out now. A unit that waits for the trusted machine because replicas were
  /// lost stays open: another account may be quicker.
  package func missing(_ policy: CoordinatorPolicy) -> Int {
    switch state {
    case .open, .awaitingReplay(.lostReplicas): max(0, wanted(policy) - promised.count)
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

  private func parties(where isCounted: (Replica) -> Bool) -> Set<String> {
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

  private func wanted(_ policy: CoordinatorPolicy) -> Int {
    switch pool {
    case .public: policy.quorum
    case .trusted: 1
    }
  }

  /// Whether an account may be given a replica. One that gave a replica up may try again when
  /// nobody else is there: with few accounts there may be no other.
  package func mayLease(account: String, _ policy: CoordinatorPolicy) -> Bool {
    missing(policy) > 0 && !accounts.contains(account)
  }
}

extension WorkUnit {
  /// A replica is leased out.
  package mutating func lease(
    _ id: Int64, worker: String, account: String, until deadline: Timestamp
  ) {
    replicas.append(
      Replica(id: id, worker: worker, account: account, state: .running(deadline: deadline)))
  }

  /// A lease that expired goes on, since its worker is still at it: after an outage of the
  /// coordinator, say. False when its place was taken meanwhile.
  package mutating func revive(
    _ replica: Int64, until deadline: Timestamp, _ policy: CoordinatorPolicy
  ) -> Bool {
    guard let index = index(of: replica), replicas[index].state == .expired,
      replicas[index].result == nil, mayLease(account: replicas[index].account, policy)
    else { return false }
    replicas[index].state = .running(deadline: deadline)
    return true
  }

  /// A lease runs for longer than it should.
  package mutating func noteLate(_ replica: Int64) {
    guard let index = index(of: replica), case .running = replicas[index].state else { return }
    replicas[index].isLate = true
  }

  /// A lease ends without a result.
  ///
  /// One account counts once: as long as another may compute the unit, no account alone sends it to
  /// the trusted machine by losing it, or fails it by calling it invalid.
  ///
  /// - Parameters:
  ///   - detail: what the worker says of it.
  ///   - parties: accounts of the pool that were there of late, machines in the trusted pool; asked
  ///     only where it decides.
  @discardableResult
  package mutating func lose(
    _ replica: Int64, as state: Replica.State, detail: String = "",
    among parties: @autoclosure () throws -> Int = .max, _ policy: CoordinatorPolicy
  ) rethrows -> [Action] {
    guard let index = index(of: replica), case .running = replicas[index].state else { return [] }
    replicas[index].state = state
    switch self.state {
    case .open, .awaitingReplay(.lostReplicas): break
    case .awaitingReplay(.disagreement), .accepted, .failed, .cancelled: return []
    }
    // A result shows that the unit can be computed.
    if state == .abandoned(.invalidUnit), !replicas.contains(where: { $0.state == .submitted }),
      self.parties(where: \.isRefusal).count
        >= min(policy.maximumInvalidReports, max(wanted(policy), try parties()))
    {
      self.state = .failed(reason: detail)
      releaseAll()
      return [.fail(reason: detail)]
    }
    if replicas.lazy.filter(\.countsAsLost).count >= policy.maximumLostReplicas,
      self.parties(where: \.countsAsLost).count
        >= min(policy.maximumLostReplicas, max(wanted(policy), try parties()))
    {
      self.state = .awaitingReplay(.lostReplicas)
    }
    return []
  }

  /// A worker's first result for a lease arrives.
  package mutating func submit(
    _ replica: Int64, result: Digest, _ policy: CoordinatorPolicy
  ) -> [Action] {
    guard let index = index(of: replica), replicas[index].result == nil else { return [] }
    replicas[index].result = result
    if replicas[index].state == .revoked { return [] }
    switch state {
    case .failed, .cancelled:
      replicas[index].state = .notNeeded
      return []
    case .accepted(let acceptance):
      return judgeLate(index, acceptance)
    case .open, .awaitingReplay:
      if repeatsItsAccount(index, result) {
        replicas[index].state = .notNeeded
        return []
      }
      replicas[index].state = .submitted
      releaseOtherRuns(of: replicas[index].account)
      return verify(policy)
    }
  }

  /// The trusted machine computed the unit: these are its bits.
  package mutating func settle(byReplay result: Digest) -> [Action] {
    guard case .awaitingReplay = state else { return [] }
    return apply(ReplaySettlement().verdict(on: replicas, truth: result))
  }

  /// The trusted machine could not compute the unit.
  package mutating func failReplay(reason: String, _ policy: CoordinatorPolicy) -> [Action] {
    guard case .awaitingReplay = state else { return [] }
    failedReplays += 1
    guard failedReplays >= policy.maximumReplays else { return [] }
    state = .failed(reason: reason)
    releaseAll()
    return [.fail(reason: reason)]
  }

  /// No batch needs the unit any more.
  package mutating func cancel() {
    switch state {
    case .open, .awaitingReplay:
      state = .cancelled
      releaseAll()
    case .accepted, .failed, .cancelled: break
    }
  }

  /// A worker was caught or revoked: what it has not had verified counts for nothing.
  package mutating func takeBack(worker: String) {
    switch state {
    case .open, .awaitingReplay: break
    case .accepted, .failed, .cancelled: return
    }
    for index in replicas.indices where replicas[index].worker == worker {
      switch replicas[index].state {
      case .submitted: replicas[index].state = .takenBack
      case .running, .expired, .abandoned, .notNeeded:
        if replicas[index].result == nil { replicas[index].state = .revoked }
      case .accepted, .rejected, .takenBack, .revoked: break
      }
    }
  }
}

extension WorkUnit {
  private func index(of replica: Int64) -> Int? { replicas.firstIndex { $0.id == replica } }

  /// Asks the pool's policy what the results mean.
  private mutating func verify(_ policy: CoordinatorPolicy) -> [Action] {
    // A disagreement is the trusted machine's to settle; lost replicas may still be made good.
    if case .awaitingReplay(.disagreement) = state { return [] }
    let rule: any VerificationPolicy =
      switch pool {
      case .public: DigestQuorum(accounts: policy.quorum)
      case .trusted: TrustedPool()
      }
    return apply(rule.verdict(on: replicas))
  }

  private mutating func apply(_ verdict: Verdict) -> [Action] {
    switch verdict {
    case .wait: return []
    case .replay:
      state = .awaitingReplay(.disagreement)
      return []
    case .accept(let acceptance, _):
      state = .accepted(acceptance)
      var actions: [Action] = [.complete(acceptance)]
      for index in replicas.indices {
        switch replicas[index].state {
        case .submitted:
          actions.append(judge(index, acceptance.result))
        case .running:
          replicas[index].state = .notNeeded
        default: break
        }
      }
      return actions
    }
  }

  private mutating func judge(_ index: Int, _ truth: Digest) -> Action {
    if replicas[index].result == truth {
      replicas[index].state = .accepted
      return .grant(replica: replicas[index].id)
    }
    replicas[index].state = .rejected
    return .reject(replica: replicas[index].id)
  }

  /// A result for a unit whose bits are known: it is paid when it is the same. When it differs,
  /// only a replay has shown who is wrong; neither a majority nor a single run accuses anyone.
  private mutating func judgeLate(_ index: Int, _ acceptance: Acceptance) -> [Action] {
    let account = replicas[index].account
    let isRight = replicas[index].result == acceptance.result
    let isCounted = replicas.contains { $0.account == account && $0.state == .accepted }
    let isJudged =
      switch acceptance.verification {
      case .replay: !(isRight && isCounted)
      case .quorum: isRight && !isCounted
      case .trustedPool: false
      }
    guard isJudged else {
      replicas[index].state = .notNeeded
      return []
    }
    return [judge(index, acceptance.result)]
  }

  /// Whether another replica of the same account already gave this result.
  private func repeatsItsAccount(_ index: Int, _ result: Digest) -> Bool {
    replicas.contains { other in
      other.id != replicas[index].id && other.account == replicas[index].account
        && other.state == .submitted && other.result == result
    }
  }

  private mutating func releaseOtherRuns(of account: String) {
    for index in replicas.indices where replicas[index].account == account {
      if case .running = replicas[index].state { replicas[index].state = .notNeeded }
    }
  }

  private mutating func releaseAll() {
    for index in replicas.indices where replicas[index].takesPart {
      replicas[index].state = .notNeeded
    }
  }
}
