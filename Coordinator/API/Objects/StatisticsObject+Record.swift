import APIObjects
import CoordinatorCore
import CoordinatorStore

extension StatisticsObject {
  package init(_ snapshot: StatisticsSnapshot) {
    let named = snapshot.accounts.filter(\.isNamed)
    let shown = Set(named.map(\.id))
    self.init(
      takenAt: snapshot.takenAt.seconds, unitsAccepted: snapshot.unitsAccepted,
      requestsCompleted: snapshot.requestsCompleted, batches: snapshot.batches,
      totals: Numbers(snapshot.totals), accountsTotal: snapshot.accounts.count,
      workersTotal: snapshot.workers.count,
      teams: snapshot.teams.map {
        Team(
          name: $0.name, createdAt: $0.createdAt.seconds, members: $0.members,
          contribution: Numbers($0.contribution))
      },
      accounts: named.map {
        Account(
          id: $0.id, name: $0.name, team: $0.team, createdAt: $0.createdAt.seconds,
          workers: $0.workers, streakDays: $0.streakDays, longestStreakDays: $0.longestStreakDays,
          badges: $0.badges.map { Badge(name: $0.name, title: $0.title) },
          contribution: Numbers($0.contribution))
      },
      workers: snapshot.workers.filter { shown.contains($0.accountID) }.map {
        Worker(
          id: $0.id, accountID: $0.accountID, name: $0.name, trusted: $0.trusted,
          createdAt: $0.createdAt.seconds, lastSeenAt: $0.lastSeen?.seconds,
          suspendedUntil: $0.suspendedUntil?.seconds, consecutiveValid: $0.consecutiveValid,
          contribution: Numbers($0.contribution))
      })
  }
}

extension StatisticsObject.Numbers {
  fileprivate init(_ contribution: Contribution) {
    self.init(
      accepted: contribution.accepted, rejected: contribution.rejected,
      tokens: contribution.tokens, credit: contribution.credit,
      recentAverageCredit: contribution.recentAverageCredit,
      energyJoules: contribution.energyJoules,
      energyEstimatedJoules: contribution.estimatedEnergyJoules)
  }
}

extension HistoryObject {
  package init(_ history: [DayContribution]) {
    self.init(
      days: history.map {
        Entry(
          day: $0.day.spelled, accepted: $0.accepted, rejected: $0.rejected, tokens: $0.tokens,
          credit: $0.credit.value, energyJoules: $0.energyJoules,
          energyEstimatedJoules: $0.estimatedEnergyJoules)
      })
  }
}
