import CoordinatorCore
import CoordinatorStore

/// `GET /stats`: what everyone has contributed. Times are seconds since 1970. Accounts and workers
/// are listed whose owner agreed to be named; the totals count everyone.
package struct StatisticsObject: Encodable, Hashable, Sendable {
  package struct Numbers: Encodable, Hashable, Sendable {
    package var accepted: Int
    package var rejected: Int
    package var tokens: Int
    package var credit: Double
    package var recentAverageCredit: Double
    /// What workers say that accepted results took, and the part of it that they estimated.
    package var energyJoules: Double
    package var energyEstimatedJoules: Double

    init(_ contribution: Contribution) {
      accepted = contribution.accepted
      rejected = contribution.rejected
      tokens = contribution.tokens
      credit = contribution.credit
      recentAverageCredit = contribution.recentAverageCredit
      energyJoules = contribution.energyJoules
      energyEstimatedJoules = contribution.estimatedEnergyJoules
    }

    private enum CodingKeys: String, CodingKey {
      case accepted, rejected, tokens, credit
      case recentAverageCredit = "recent_average_credit"
      case energyJoules = "energy_joules"
      case energyEstimatedJoules = "energy_estimated_joules"
    }
  }

  package struct Account: Encodable, Hashable, Sendable {
    package var id: String
    package var name: String
    @Nullable package var team: String?
    package var createdAt: Int
    package var workers: Int
    /// Days in a row with an accepted result, and the longest run of them.
    package var streakDays: Int
    package var longestStreakDays: Int
    package var badges: [Badge]
    package var contribution: Numbers

    private enum CodingKeys: String, CodingKey {
      case id, name, team, workers, badges, contribution
      case createdAt = "created_at"
      case streakDays = "streak_days"
      case longestStreakDays = "longest_streak_days"
    }
  }

  package struct Badge: Encodable, Hashable, Sendable {
    package var name: String
    package var title: String
  }

  package struct Team: Encodable, Hashable, Sendable {
    package var name: String
    package var createdAt: Int
    package var members: Int
    package var contribution: Numbers

    private enum CodingKeys: String, CodingKey {
      case name, members, contribution
      case createdAt = "created_at"
    }
  }

  package struct Worker: Encodable, Hashable, Sendable {
    package var id: String
    package var accountID: String
    package var name: String
    package var trusted: Bool
    package var createdAt: Int
    @Nullable package var lastSeenAt: Int?
    @Nullable package var suspendedUntil: Int?
    package var consecutiveValid: Int
    package var contribution: Numbers

    private enum CodingKeys: String, CodingKey {
      case id, name, trusted, contribution
      case accountID = "account_id"
      case createdAt = "created_at"
      case lastSeenAt = "last_seen_at"
      case suspendedUntil = "suspended_until"
      case consecutiveValid = "consecutive_valid"
    }
  }

  package let object = "tally.statistics"
  package var takenAt: Int
  package var unitsAccepted: Int
  package var requestsCompleted: Int
  package var batches: Int
  package var totals: Numbers
  /// All there are, also those that are not listed.
  package var accountsTotal: Int
  package var workersTotal: Int
  package var teams: [Team]
  package var accounts: [Account]
  package var workers: [Worker]

  package init(_ snapshot: StatisticsSnapshot) {
    takenAt = snapshot.takenAt.seconds
    unitsAccepted = snapshot.unitsAccepted
    requestsCompleted = snapshot.requestsCompleted
    batches = snapshot.batches
    totals = Numbers(snapshot.totals)
    accountsTotal = snapshot.accounts.count
    workersTotal = snapshot.workers.count
    teams = snapshot.teams.map {
      Team(
        name: $0.name, createdAt: $0.createdAt.seconds, members: $0.members,
        contribution: Numbers($0.contribution))
    }
    let named = snapshot.accounts.filter(\.isNamed)
    accounts = named.map {
      Account(
        id: $0.id, name: $0.name, team: $0.team, createdAt: $0.createdAt.seconds,
        workers: $0.workers, streakDays: $0.streakDays, longestStreakDays: $0.longestStreakDays,
        badges: $0.badges.map { Badge(name: $0.name, title: $0.title) },
        contribution: Numbers($0.contribution))
    }
    let shown = Set(named.map(\.id))
    workers = snapshot.workers.filter { shown.contains($0.accountID) }.map {
      Worker(
        id: $0.id, accountID: $0.accountID, name: $0.name, trusted: $0.trusted,
        createdAt: $0.createdAt.seconds, lastSeenAt: $0.lastSeen?.seconds,
        suspendedUntil: $0.suspendedUntil?.seconds, consecutiveValid: $0.consecutiveValid,
        contribution: Numbers($0.contribution))
    }
  }

  private enum CodingKeys: String, CodingKey {
    case object, batches, totals, teams, accounts, workers
    case accountsTotal = "accounts_total"
    case workersTotal = "workers_total"
    case takenAt = "taken_at"
    case unitsAccepted = "units_accepted"
    case requestsCompleted = "requests_completed"
  }
}
