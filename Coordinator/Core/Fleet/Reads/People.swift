import WireProtocol

// Accounts and what they contributed.
extension Fleet {
  /// All accounts that were not deleted, oldest first.
  var presentAccounts: [AccountRow] {
    accounts.rows.values.filter { $0.deletedAt == nil }.sorted { $0.number < $1.number }
  }

  package var accountProfiles: [AccountProfile] { presentAccounts.map { profile(of: $0) } }

  /// The account that a key opens, nil when the key is unknown or revoked or the account deleted.
  package func profile(keyHash: Digest) -> AccountProfile? {
    guard let key = index.people.accountKeys[keyHash].flatMap({ accountKeys[$0] }),
      key.revokedAt == nil, let account = accounts[key.account], account.deletedAt == nil
    else { return nil }
    return profile(of: account)
  }

  /// Accounts that were not deleted, by credit, falling, and teams with what their present members
  /// contributed.
  package func ranking(at time: Timestamp) -> Ranking {
    let listed = presentAccounts.sorted { left, right in
      if left.tally.credit != right.tally.credit { return left.tally.credit > right.tally.credit }
      return (left.createdAt, left.id) < (right.createdAt, right.id)
    }.map { snapshot(of: $0, at: time) }
    let members = Dictionary(grouping: listed, by: \.team)
    let shown = teams.sorted.map { team in
      let own = members[team.name] ?? []
      return StatisticsSnapshot.Team(
        id: team.id, name: team.name, createdAt: team.createdAt, members: own.count,
        contribution: Contribution(summing: own.map(\.contribution)))
    }.sorted { ($1.contribution.credit, $0.id) < ($0.contribution.credit, $1.id) }
    return Ranking(takenAt: time, accounts: listed, teams: shown)
  }

  private func snapshot(of row: AccountRow, at time: Timestamp) -> StatisticsSnapshot.Account {
    StatisticsSnapshot.Account(
      id: row.id, name: row.name, isNamed: row.isNamed, team: row.team.flatMap { teams[$0]?.name },
      createdAt: row.createdAt, workers: index.people.workersOfAccount[row.id].count,
      streakDays: row.streak.current(on: Day(containing: time)),
      longestStreakDays: row.streak.longest, contribution: Contribution(row.tally, at: time))
  }

  /// Everything that the statistics page and its JSON show.
  package func statistics(at time: Timestamp) -> StatisticsSnapshot {
    let ranking = ranking(at: time)
    let totals = setting.totals
    let listed = workers.rows.values.filter { $0.deletedAt == nil }.sorted { left, right in
      if left.tally.credit != right.tally.credit { return left.tally.credit > right.tally.credit }
      return (left.createdAt, left.id) < (right.createdAt, right.id)
    }
    return StatisticsSnapshot(
      takenAt: time, unitsAccepted: totals.units["accepted"] ?? 0,
      requestsCompleted: totals.completedRequests,
      batches: totals.batches.values.reduce(0, +),
      // Credit of deleted accounts stays in the totals.
      totals: Contribution(
        summing: accounts.rows.values.sorted { $0.number < $1.number }
          .map { Contribution($0.tally, at: time) }),
      accounts: ranking.accounts,
      workers: listed.map { row in
        StatisticsSnapshot.Worker(
          id: row.id, accountID: row.account, name: row.name, trusted: row.trusted,
          createdAt: row.createdAt, lastSeen: row.lastSeen, suspendedUntil: row.suspendedUntil,
          consecutiveValid: row.consecutiveValid, contribution: Contribution(row.tally, at: time),
          machine: row.machine)
      }, teams: ranking.teams)
  }

  /// What one worker and its account have contributed.
  ///
  /// - Throws: `StoreError.notFound`.
  package func standing(ofWorker id: String, at time: Timestamp) throws -> Standing {
    let worker = try requireWorker(id)
    let account = try requireAccount(worker.account)
    let day = Day(containing: time)
    func today(_ rows: [WorkerRow]) -> (accepted: Int, credit: Credit) {
      let own = rows.filter { $0.today == day }
      return (
        own.reduce(0) { $0 + $1.acceptedToday },
        Credit(micro: own.reduce(0) { $0 + $1.creditToday.micro })
      )
    }
    return Standing(
      worker: Standing.Contribution(worker.tally, today: today([worker]), at: time),
      account: Standing.Contribution(
        account.tally, today: today(workers(ofAccount: account.id)), at: time),
      rank: 1 + accounts.rows.values.count { $0.tally.credit > account.tally.credit },
      accounts: accounts.rows.values.count { $0.deletedAt == nil })
  }
}

extension Standing.Contribution {
  fileprivate init(_ tally: Tally, today: (accepted: Int, credit: Credit), at time: Timestamp) {
    self.init(
      units: tally.accepted, tokens: tally.tokens, credit: tally.credit.value,
      recentAverageCredit: tally.average.value(at: time), unitsToday: today.accepted,
      creditToday: today.credit.value)
  }
}

extension Contribution {
  package init(_ tally: Tally, at time: Timestamp) {
    self.init(
      accepted: tally.accepted, rejected: tally.rejected, tokens: tally.tokens,
      credit: tally.credit.value, recentAverageCredit: tally.average.value(at: time),
      energyJoules: tally.energy.joules, estimatedEnergyJoules: tally.energy.estimatedJoules)
  }

  /// What several contributed together.
  package init(summing parts: [Contribution]) {
    self.init(
      accepted: parts.reduce(0) { $0 + $1.accepted },
      rejected: parts.reduce(0) { $0 + $1.rejected }, tokens: parts.reduce(0) { $0 + $1.tokens },
      credit: parts.reduce(0) { $0 + $1.credit },
      recentAverageCredit: parts.reduce(0) { $0 + $1.recentAverageCredit },
      energyJoules: parts.reduce(0) { $0 + $1.energyJoules },
      estimatedEnergyJoules: parts.reduce(0) { $0 + $1.estimatedEnergyJoules })
  }
}
