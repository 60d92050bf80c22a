import WireProtocol

/// Whose result was wrong, and what its account has to bear.
struct Caught {
  let worker: String
  let account: String
  let penalty: AccountPenalty
}

extension Fleet {
  /// Holds back the account of a worker that gave a wrong result. However much it has to show for
  /// itself, nobody joins in the worker's place, and its results are audited like a stranger's.
  ///
  /// - Parameter end: when that worker gets work again: so long, no other may join in its place.
  mutating func penalise(
    account id: String, for wrong: WrongResult, enrolmentFrom end: Timestamp
  ) throws -> AccountPenalty {
    var account = try requireAccount(id)
    account.tally.rejected += 1
    account.noEnrolmentUntil = max(account.noEnrolmentUntil ?? end, end)
    account.confirmations = []
    let since = now.adding(seconds: -AccountStrikes.memorySeconds)
    account.wrongResults.append(wrong)
    account.wrongResults.removeAll { $0.submittedAt < since }
    let results = account.wrongResults
    // An audit may find what was submitted long ago.
    let strikes = AccountStrikes(
      wrongMachines: max(1, Set(results.map(\.worker)).count),
      wrongWork: max(wrong.flops, results.reduce(0) { $0 + $1.flops }),
      accepted: account.tally.accepted, acceptedWork: account.tally.credit.flops,
      tolerance: policy.accountTolerance)
    let penalty = policy.accountPenalty(strikes)
    if let seconds = penalty.seconds {
      let held = now.adding(seconds: seconds)
      account.suspendedUntil = max(account.suspendedUntil ?? held, held)
      account.noEnrolmentUntil = max(account.noEnrolmentUntil ?? held, held)
    }
    put(account)
    return penalty
  }

  /// Takes back what those who were caught have not had verified: of the worker, and of its whole
  /// account when that is suspended.
  mutating func takeBack(_ caught: [Caught]) throws {
    var taken: Set<String> = []
    for one in caught {
      taken.insert(one.worker)
      if case .suspension = one.penalty {
        taken.formUnion(index.people.workersOfAccount[one.account])
      }
    }
    for worker in taken.sorted() { try takeBack(worker: worker) }
  }

  /// Takes back everything of a worker that is not verified yet: its results count for nothing and
  /// its leases end, so that others run those units.
  mutating func takeBack(worker: String) throws {
    for number in index.work.unverified[worker].sorted() {
      guard let before = units[number] else { continue }
      var row = before
      let actions = row.unit.takeBack(worker: worker)
      try settle(row, before: before, actions, summaries: row.acceptedSummaries)
      for place in row.unit.replicas.indices
      where row.unit.replicas[place].state == .takenBack
        && before.unit.replicas[place].state != .takenBack
      {
        try appendReceipt(row, place, .takenBack, nil, Credit(micro: 0))
      }
      for (old, new) in zip(before.unit.replicas, row.unit.replicas)
      where old.isRefusal && !new.isRefusal {
        change(WorkerRow.self, worker) { $0.refusals.removeAll { $0.replica == new.id } }
      }
    }
  }
}
