import WireProtocol

/// What happens to a unit. Each event gives the actions that follow for others.
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
  package mutating func revive(_ replica: Int64, until deadline: Timestamp) -> Bool {
    guard let index = index(of: replica), replicas[index].state == .expired,
      replicas[index].result == nil, mayLease(account: replicas[index].account)
    else { return false }
    replicas[index].state = .running(deadline: deadline)
    return true
  }

  /// A lease runs for longer than it should.
  package mutating func noteLate(_ replica: Int64) {
    guard let index = index(of: replica), case .running = replicas[index].state else { return }
    replicas[index].isLate = true
  }

  /// A lease ends without a result, where more accounts are there than any rule asks for.
  @discardableResult
  package mutating func lose(
    _ replica: Int64, as state: Replica.State, _ policy: CoordinatorPolicy
  ) -> [Action] {
    lose(replica, as: state, among: .max, policy)
  }

  /// A lease ends without a result.
  ///
  /// One account counts once: as long as another may compute the unit, no account alone sends it to
  /// the trusted machine by losing it or by calling it invalid. No number of strangers fails it by
  /// their word: that is for the trusted machine, and for the machines of the trusted pool.
  ///
  /// - Parameters:
  ///   - detail: what the worker says of it.
  ///   - parties: accounts of the pool that were there of late, machines in the trusted pool; asked
  ///     only where it decides.
  @discardableResult
  package mutating func lose(
    _ replica: Int64, as state: Replica.State, detail: String = "",
    among parties: @autoclosure () throws -> Int, _ policy: CoordinatorPolicy
  ) rethrows -> [Action] {
    guard let index = index(of: replica), case .running = replicas[index].state else { return [] }
    replicas[index].state = state
    switch self.state {
    case .open, .awaitingReplay(.lostReplicas), .awaitingReplay(.calledInvalid): break
    case .awaitingReplay(.disagreement), .accepted, .failed, .cancelled: return []
    }
    // A result shows that the unit can be computed.
    if state == .abandoned(.invalidUnit), !replicas.contains(where: { $0.state == .submitted }),
      self.parties(where: \.isRefusal).count
        >= min(policy.maximumInvalidReports, max(wanted, try parties()))
    {
      return believeRefusals(detail: detail)
    }
    guard self.state == .open else { return [] }
    if replicas.lazy.filter(\.countsAsLost).count >= policy.maximumLostReplicas,
      self.parties(where: \.countsAsLost).count
        >= min(policy.maximumLostReplicas, max(wanted, try parties()))
    {
      self.state = .awaitingReplay(.lostReplicas)
    }
    return []
  }

  /// A worker's first result for a lease arrives.
  package mutating func submit(_ replica: Int64, result: Digest) -> [Action] {
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
      return verify()
    }
  }

  /// The trusted machine computed the unit: these are its bits. They are taken also when the unit
  /// went back to work meanwhile. Who called the unit invalid was wrong.
  package mutating func settle(byReplay result: Digest) -> [Action] {
    switch state {
    case .open, .awaitingReplay:
      let refuted = replicas.filter(\.isRefusal).map { Action.refute(replica: $0.id) }
      return apply(ReplaySettlement().verdict(on: replicas, truth: result)) + refuted
    case .accepted, .failed, .cancelled: return []
    }
  }

  /// The trusted machine computed a unit that was accepted: these are its bits. When they are not
  /// the accepted ones, they take their place, and who gave the accepted ones is caught.
  package mutating func audit(truth: Digest) -> [Action] {
    guard case .accepted(let believed) = state, believed.result != truth else { return [] }
    var actions: [Action] = []
    for index in replicas.indices
    where replicas[index].state == .accepted && replicas[index].result != truth {
      replicas[index].state = .rejected
      actions.append(.revoke(replica: replicas[index].id))
    }
    // A late result that differed from the accepted one was dropped, and may be the right one.
    var right = Set(replicas.lazy.filter { $0.state == .accepted }.map(\.account))
    for index in replicas.indices
    where replicas[index].state == .notNeeded && replicas[index].result == truth {
      guard right.insert(replicas[index].account).inserted else { continue }
      replicas[index].state = .accepted
      actions.append(.grant(replica: replicas[index].id))
    }
    state = .accepted(
      Acceptance(result: truth, verification: .replay, replicas: right.count + 1))
    return actions
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

  /// A worker was caught or revoked: what it has not had verified counts for nothing. A dispute
  /// that only its result made is over, and the unit goes back to work.
  package mutating func takeBack(worker: String) -> [Action] {
    switch state {
    case .open, .awaitingReplay: break
    case .accepted, .failed, .cancelled: return []
    }
    for index in replicas.indices where replicas[index].worker == worker {
      switch replicas[index].state {
      case .submitted: replicas[index].state = .takenBack
      case .running, .expired, .abandoned, .notNeeded:
        if replicas[index].result == nil { replicas[index].state = .revoked }
      case .accepted, .rejected, .takenBack, .revoked: break
      }
    }
    let left = replicas.lazy.filter { $0.state == .submitted }.compactMap(\.result)
    guard case .awaitingReplay(.disagreement) = state, Set(left).count < 2 else { return [] }
    state = .open
    return verify()
  }
}

extension WorkUnit {
  private func index(of replica: Int64) -> Int? { replicas.firstIndex { $0.id == replica } }

  /// Asks the pool's policy what the results mean.
  private mutating func verify() -> [Action] {
    // A disagreement is the trusted machine's to settle; what is lost or refused may still be made
    // good.
    if case .awaitingReplay(.disagreement) = state { return [] }
    let rule: any VerificationPolicy =
      switch pool {
      case .public: DigestQuorum(accounts: wanted)
      case .trusted: TrustedPool()
      }
    return apply(rule.verdict(on: replicas))
  }

  private mutating func apply(_ verdict: Verdict) -> [Action] {
    switch verdict {
    case .wait(let reason):
      self.verdict = reason
      return []
    case .replay(let reason):
      self.verdict = reason
      state = .awaitingReplay(.disagreement)
      return []
    case .accept(let acceptance, let reason):
      self.verdict = reason
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

  /// Enough workers called the unit invalid, and nobody computed it.
  ///
  /// - Parameter detail: what the last of them said.
  private mutating func believeRefusals(detail: String) -> [Action] {
    switch pool {
    case .public:
      state = .awaitingReplay(.calledInvalid)
      return []
    case .trusted:
      state = .failed(reason: detail)
      releaseAll()
      return [.fail(reason: detail)]
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
