/// `GET /stats`: what everyone has contributed. Times are seconds since 1970. Accounts and workers
/// are listed whose owner agreed to be named; the totals count everyone.
package struct StatisticsObject: Codable, Hashable, Sendable {
  package struct Numbers: Codable, Hashable, Sendable {
    package var accepted: Int
    package var rejected: Int
    package var tokens: Int
    package var credit: Double
    package var recentAverageCredit: Double
    /// What workers say that accepted results took, and the part of it that they estimated; nil
    /// from coordinators that do not say.
    @Nullable package var energyJoules: Double?
    @Nullable package var energyEstimatedJoules: Double?

    package init(
      accepted: Int, rejected: Int, tokens: Int, credit: Double, recentAverageCredit: Double,
      energyJoules: Double?, energyEstimatedJoules: Double?
    ) {
      self.accepted = accepted
      self.rejected = rejected
      self.tokens = tokens
      self.credit = credit
      self.recentAverageCredit = recentAverageCredit
      self.energyJoules = energyJoules
      self.energyEstimatedJoules = energyEstimatedJoules
    }

    private enum CodingKeys: String, CodingKey {
      case accepted, rejected, tokens, credit
      case recentAverageCredit = "recent_average_credit"
      case energyJoules = "energy_joules"
      case energyEstimatedJoules = "energy_estimated_joules"
    }
  }

  package struct Account: Codable, Hashable, Sendable {
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

    package init(
      id: String, name: String, team: String?, createdAt: Int, workers: Int, streakDays: Int,
      longestStreakDays: Int, badges: [Badge], contribution: Numbers
    ) {
      self.id = id
      self.name = name
      self.team = team
      self.createdAt = createdAt
      self.workers = workers
      self.streakDays = streakDays
      self.longestStreakDays = longestStreakDays
      self.badges = badges
      self.contribution = contribution
    }

    private enum CodingKeys: String, CodingKey {
      case id, name, team, workers, badges, contribution
      case createdAt = "created_at"
      case streakDays = "streak_days"
      case longestStreakDays = "longest_streak_days"
    }
  }

  package struct Badge: Codable, Hashable, Sendable {
    package var name: String
    package var title: String

    package init(name: String, title: String) {
      self.name = name
      self.title = title
    }
  }

  package struct Team: Codable, Hashable, Sendable {
    package var name: String
    package var createdAt: Int
    package var members: Int
    package var contribution: Numbers

    package init(name: String, createdAt: Int, members: Int, contribution: Numbers) {
      self.name = name
      self.createdAt = createdAt
      self.members = members
      self.contribution = contribution
    }

    private enum CodingKeys: String, CodingKey {
      case name, members, contribution
      case createdAt = "created_at"
    }
  }

  package struct Worker: Codable, Hashable, Sendable {
    package var id: String
    package var accountID: String
    package var name: String
    package var trusted: Bool
    package var createdAt: Int
    @Nullable package var lastSeenAt: Int?
    @Nullable package var suspendedUntil: Int?
    package var consecutiveValid: Int
    package var contribution: Numbers

    package init(
      id: String, accountID: String, name: String, trusted: Bool, createdAt: Int, lastSeenAt: Int?,
      suspendedUntil: Int?, consecutiveValid: Int, contribution: Numbers
    ) {
      self.id = id
      self.accountID = accountID
      self.name = name
      self.trusted = trusted
      self.createdAt = createdAt
      self.lastSeenAt = lastSeenAt
      self.suspendedUntil = suspendedUntil
      self.consecutiveValid = consecutiveValid
      self.contribution = contribution
    }

    private enum CodingKeys: String, CodingKey {
      case id, name, trusted, contribution
      case accountID = "account_id"
      case createdAt = "created_at"
      case lastSeenAt = "last_seen_at"
      case suspendedUntil = "suspended_until"
      case consecutiveValid = "consecutive_valid"
    }
  }

  package private(set) var object = "tally.statistics"
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

  package init(
    takenAt: Int, unitsAccepted: Int, requestsCompleted: Int, batches: Int, totals: Numbers,
    accountsTotal: Int, workersTotal: Int, teams: [Team], accounts: [Account], workers: [Worker]
  ) {
    self.takenAt = takenAt
    self.unitsAccepted = unitsAccepted
    self.requestsCompleted = requestsCompleted
    self.batches = batches
    self.totals = totals
    self.accountsTotal = accountsTotal
    self.workersTotal = workersTotal
    self.teams = teams
    self.accounts = accounts
    self.workers = workers
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
