import CoordinatorStore

/// `GET /stats`: what everyone has contributed. Times are seconds since 1970.
package struct StatisticsObject: Encodable, Hashable, Sendable {
  package struct Numbers: Encodable, Hashable, Sendable {
    package var accepted: Int
    package var rejected: Int
    package var tokens: Int
    package var credit: Double
    package var recentAverageCredit: Double

    init(_ contribution: Contribution) {
      accepted = contribution.accepted
      rejected = contribution.rejected
      tokens = contribution.tokens
      credit = contribution.credit
      recentAverageCredit = contribution.recentAverageCredit
    }

    private enum CodingKeys: String, CodingKey {
      case accepted, rejected, tokens, credit
      case recentAverageCredit = "recent_average_credit"
    }
  }

  package struct Account: Encodable, Hashable, Sendable {
    package var id: String
    package var name: String
    package var createdAt: Int
    package var workers: Int
    package var contribution: Numbers

    private enum CodingKeys: String, CodingKey {
      case id, name, workers, contribution
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
  package var accounts: [Account]
  package var workers: [Worker]

  package init(_ snapshot: StatisticsSnapshot) {
    takenAt = snapshot.takenAt.seconds
    unitsAccepted = snapshot.unitsAccepted
    requestsCompleted = snapshot.requestsCompleted
    batches = snapshot.batches
    totals = Numbers(snapshot.totals)
    accounts = snapshot.accounts.map {
      Account(
        id: $0.id, name: $0.name, createdAt: $0.createdAt.seconds, workers: $0.workers,
        contribution: Numbers($0.contribution))
    }
    workers = snapshot.workers.map {
      Worker(
        id: $0.id, accountID: $0.accountID, name: $0.name, trusted: $0.trusted,
        createdAt: $0.createdAt.seconds, lastSeenAt: $0.lastSeen?.seconds,
        suspendedUntil: $0.suspendedUntil?.seconds, consecutiveValid: $0.consecutiveValid,
        contribution: Numbers($0.contribution))
    }
  }

  private enum CodingKeys: String, CodingKey {
    case object, batches, totals, accounts, workers
    case takenAt = "taken_at"
    case unitsAccepted = "units_accepted"
    case requestsCompleted = "requests_completed"
  }
}
