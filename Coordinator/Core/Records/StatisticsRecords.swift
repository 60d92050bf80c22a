import Foundation
import WirePayloads
import WireProtocol

/// What an account, a worker or everyone has contributed.
package struct Contribution: Hashable, Sendable, Codable {
  /// Results that were verified, and results that were wrong.
  package var accepted: Int
  package var rejected: Int
  /// Tokens generated in accepted results.
  package var tokens: Int
  /// 200 for each GFLOPS-day of accepted results.
  package var credit: Double
  /// Credit a day, averaged with a half-life of seven days, as of the snapshot.
  package var recentAverageCredit: Double
  /// What workers say that accepted results took, and the part of it that they estimated.
  package var energyJoules: Double = 0
  package var estimatedEnergyJoules: Double = 0

  package init(
    accepted: Int, rejected: Int, tokens: Int, credit: Double, recentAverageCredit: Double,
    energyJoules: Double = 0, estimatedEnergyJoules: Double = 0
  ) {
    self.accepted = accepted
    self.rejected = rejected
    self.tokens = tokens
    self.credit = credit
    self.recentAverageCredit = recentAverageCredit
    self.energyJoules = energyJoules
    self.estimatedEnergyJoules = estimatedEnergyJoules
  }
}

/// One consistent view of what everyone contributed.
package struct StatisticsSnapshot: Hashable, Sendable, Codable {
  package struct Account: Hashable, Sendable, Codable {
    package var id: String
    package var name: String
    /// Whether its owner agreed that its name is public.
    package var isNamed: Bool
    /// The name of its team.
    package var team: String?
    package var createdAt: Timestamp
    package var workers: Int
    /// Days in a row with an accepted result, up to the snapshot, and the longest run ever.
    package var streakDays: Int
    package var longestStreakDays: Int
    package var contribution: Contribution

    /// What it has earned.
    package var badges: [Badge] {
      Badge.earned(
        results: contribution.accepted, tokens: contribution.tokens,
        longestStreak: longestStreakDays)
    }

    package init(
      id: String, name: String, isNamed: Bool, team: String? = nil, createdAt: Timestamp,
      workers: Int, streakDays: Int, longestStreakDays: Int, contribution: Contribution
    ) {
      self.id = id
      self.name = name
      self.isNamed = isNamed
      self.team = team
      self.createdAt = createdAt
      self.workers = workers
      self.streakDays = streakDays
      self.longestStreakDays = longestStreakDays
      self.contribution = contribution
    }
  }
  package struct Team: Hashable, Sendable, Codable {
    package var id: Int
    package var name: String
    package var createdAt: Timestamp
    package var members: Int
    package var contribution: Contribution

    package init(
      id: Int, name: String, createdAt: Timestamp, members: Int, contribution: Contribution
    ) {
      self.id = id
      self.name = name
      self.createdAt = createdAt
      self.members = members
      self.contribution = contribution
    }
  }
  package struct Worker: Hashable, Sendable, Codable {
    package var id: String
    package var accountID: String
    package var name: String
    package var trusted: Bool
    package var createdAt: Timestamp
    package var lastSeen: Timestamp?
    package var suspendedUntil: Timestamp?
    /// Valid replicated results in a row; an invalid one makes it 0.
    package var consecutiveValid: Int
    package var contribution: Contribution
    /// What its owner lets the coordinator know of the machine.
    package var machine: MachineFacts?

    package init(
      id: String, accountID: String, name: String, trusted: Bool, createdAt: Timestamp,
      lastSeen: Timestamp? = nil, suspendedUntil: Timestamp? = nil, consecutiveValid: Int,
      contribution: Contribution, machine: MachineFacts? = nil
    ) {
      self.id = id
      self.accountID = accountID
      self.name = name
      self.trusted = trusted
      self.createdAt = createdAt
      self.lastSeen = lastSeen
      self.suspendedUntil = suspendedUntil
      self.consecutiveValid = consecutiveValid
      self.contribution = contribution
      self.machine = machine
    }
  }
  package var takenAt: Timestamp
  /// Units whose result is verified.
  package var unitsAccepted: Int
  /// Requests answered.
  package var requestsCompleted: Int
  package var batches: Int
  package var totals: Contribution
  /// By credit, falling.
  package var accounts: [Account]
  package var workers: [Worker]
  package var teams: [Team]

  package init(
    takenAt: Timestamp, unitsAccepted: Int, requestsCompleted: Int, batches: Int,
    totals: Contribution, accounts: [Account], workers: [Worker], teams: [Team]
  ) {
    self.takenAt = takenAt
    self.unitsAccepted = unitsAccepted
    self.requestsCompleted = requestsCompleted
    self.batches = batches
    self.totals = totals
    self.accounts = accounts
    self.workers = workers
    self.teams = teams
  }
}

/// Accounts and teams by what they contributed, without their workers.
package struct Ranking: Hashable, Sendable {
  package var takenAt: Timestamp
  /// By credit, falling.
  package var accounts: [StatisticsSnapshot.Account]
  package var teams: [StatisticsSnapshot.Team]

  package init(
    takenAt: Timestamp, accounts: [StatisticsSnapshot.Account], teams: [StatisticsSnapshot.Team]
  ) {
    self.takenAt = takenAt
    self.accounts = accounts
    self.teams = teams
  }
}

/// A link of the receipt chain. Each hash covers the body and the hash before it, so none can be
/// changed unnoticed.
package struct ReceiptRecord: Hashable, Sendable {
  /// What a receipt says, digested as canonical JSON.
  package struct Body: Hashable, Sendable, Codable {
    package enum Verdict: String, Hashable, Sendable, Codable {
      case accepted
      case rejected
      /// Unverified result of a worker that was caught with a wrong one.
      case takenBack
    }
    package var sequence: Int
    package var unit: Digest
    package var result: Digest
    /// Nil for the coordinator's own runner.
    package var worker: String?
    package var account: String?
    package var verdict: Verdict
    package var verification: Verification?
    /// Millionths of a credit.
    package var microcredit: Int64
    package var time: Timestamp

    package init(
      sequence: Int, unit: Digest, result: Digest, worker: String? = nil, account: String? = nil,
      verdict: Verdict, verification: Verification? = nil, microcredit: Int64, time: Timestamp
    ) {
      self.sequence = sequence
      self.unit = unit
      self.result = result
      self.worker = worker
      self.account = account
      self.verdict = verdict
      self.verification = verification
      self.microcredit = microcredit
      self.time = time
    }
  }
  package var body: Body
  /// The hash of the receipt before; 64 zeros for the first.
  package var previous: Digest
  /// SHA-256 of the previous hash in hexadecimal, a line end, and the body's canonical JSON.
  package var hash: Digest

  package init(
    body: Body, previous: Digest, hash: Digest
  ) {
    self.body = body
    self.previous = previous
    self.hash = hash
  }
}

extension ReceiptRecord {
  /// What the first receipt has for a previous hash.
  package static let start =
    Digest(bytes: [UInt8](repeating: 0, count: 32)) ?? BlobDigest.sha256(Data())

  /// - Parameter body: as canonical JSON.
  package static func hash(previous: Digest, body: String) -> Digest {
    BlobDigest.sha256(Data("\(previous.hex)\n\(body)".utf8))
  }
}

/// The result of checking the receipt chain.
package enum ReceiptChainCheck: Hashable, Sendable {
  /// Every link holds; the hash of the last, which an outsider can keep to notice a rewrite.
  case intact(count: Int, head: Digest)
  /// The first link that does not hold.
  case broken(sequence: Int, reason: String)
}
