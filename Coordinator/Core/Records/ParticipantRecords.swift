import WireProtocol

/// One worker, as its page shows it.
package struct WorkerOverview: Hashable, Sendable {
  package var id: String
  package var name: String
  package var accountID: String
  package var accountName: String
  /// Whether the account's owner agreed that its name and contribution are public.
  package var isNamed: Bool
  /// Serves the trusted pool too.
  package var trusted: Bool
  package var createdAt: Timestamp
  package var lastSeen: Timestamp?
  /// Whether it asked for something lately.
  package var isActive: Bool
  /// Operations a second, as its finished units showed; nil before the first.
  package var flopsPerSecond: Double?
  /// Valid replicated results in a row; an invalid one makes it 0.
  package var consecutiveValid: Int
  /// Until when it or its account gets no work after a wrong result; nil when it does.
  package var suspendedUntil: Timestamp?
  /// Its own ban or its account's.
  package var ban: Ban?
  /// What it computes now, the oldest lease first.
  package var running: [RunningReplica]
  package var contribution: Contribution

  package init(
    id: String, name: String, accountID: String, accountName: String, isNamed: Bool,
    trusted: Bool, createdAt: Timestamp, lastSeen: Timestamp? = nil, isActive: Bool,
    flopsPerSecond: Double? = nil, consecutiveValid: Int, suspendedUntil: Timestamp? = nil,
    ban: Ban? = nil, running: [RunningReplica], contribution: Contribution
  ) {
    self.id = id
    self.name = name
    self.accountID = accountID
    self.accountName = accountName
    self.isNamed = isNamed
    self.trusted = trusted
    self.createdAt = createdAt
    self.lastSeen = lastSeen
    self.isActive = isActive
    self.flopsPerSecond = flopsPerSecond
    self.consecutiveValid = consecutiveValid
    self.suspendedUntil = suspendedUntil
    self.ban = ban
    self.running = running
    self.contribution = contribution
  }
}

/// One account with its workers, as its owner sees it.
package struct AccountOverview: Hashable, Sendable {
  package var profile: AccountProfile
  /// Its place by credit; accounts with equal credit share one.
  package var rank: Int
  package var accounts: Int
  /// Days in a row with an accepted result, up to now, and the longest run ever.
  package var streakDays: Int
  package var longestStreakDays: Int
  package var contribution: Contribution
  package var ban: Ban?
  /// Workers that may still join with the account's invitations, and when the last of these ends.
  package var invitationsLeft: Int
  package var invitationsEnd: Timestamp?
  /// Seen last first.
  package var workers: [WorkerOverview]

  /// What it has earned.
  package var badges: [Badge] {
    Badge.earned(
      results: contribution.accepted, tokens: contribution.tokens, longestStreak: longestStreakDays)
  }

  package init(
    profile: AccountProfile, rank: Int, accounts: Int, streakDays: Int, longestStreakDays: Int,
    contribution: Contribution, ban: Ban? = nil, invitationsLeft: Int,
    invitationsEnd: Timestamp? = nil, workers: [WorkerOverview]
  ) {
    self.profile = profile
    self.rank = rank
    self.accounts = accounts
    self.streakDays = streakDays
    self.longestStreakDays = longestStreakDays
    self.contribution = contribution
    self.ban = ban
    self.invitationsLeft = invitationsLeft
    self.invitationsEnd = invitationsEnd
    self.workers = workers
  }
}
