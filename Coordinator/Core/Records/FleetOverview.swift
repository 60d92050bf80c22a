import WireProtocol

/// Who a ban is for.
package enum BanSubject: Hashable, Sendable {
  case worker(String)
  case account(String)
}

/// The fleet as its operator sees it.
package struct FleetOverview: Hashable, Sendable {
  package struct Account: Hashable, Sendable {
    package var id: String
    package var name: String
    package var createdAt: Timestamp
    package var workers: Int
    package var runningUnits: Int
    package var accepted: Int
    package var rejected: Int
    package var credit: Credit
    package var ban: Ban?
    /// Until when none of its workers gets work after wrong results; nil when they do.
    package var suspendedUntil: Timestamp?

    package init(
      id: String, name: String, createdAt: Timestamp, workers: Int, runningUnits: Int,
      accepted: Int, rejected: Int, credit: Credit, ban: Ban? = nil,
      suspendedUntil: Timestamp? = nil
    ) {
      self.id = id
      self.name = name
      self.createdAt = createdAt
      self.workers = workers
      self.runningUnits = runningUnits
      self.accepted = accepted
      self.rejected = rejected
      self.credit = credit
      self.ban = ban
      self.suspendedUntil = suspendedUntil
    }
  }
  package struct Worker: Hashable, Sendable {
    package var id: String
    package var name: String
    package var accountID: String
    package var accountName: String
    package var trusted: Bool
    package var lastSeen: Timestamp?
    /// Operations a second, as its finished units showed; nil before the first.
    package var flopsPerSecond: Double?
    package var runningUnits: Int
    /// Valid replicated results in a row; an invalid one makes it 0.
    package var consecutiveValid: Int
    package var rejected: Int
    /// Until when it or its account gets no work after a wrong result; nil when it does.
    package var suspendedUntil: Timestamp?
    /// Its own ban or its account's.
    package var ban: Ban?
    /// What its owner lets the coordinator know of the machine.
    package var machine: MachineFacts?
    /// Whether several processes work with its key.
    package var hasClones: Bool

    package init(
      id: String, name: String, accountID: String, accountName: String, trusted: Bool,
      lastSeen: Timestamp? = nil, flopsPerSecond: Double? = nil, runningUnits: Int,
      consecutiveValid: Int, rejected: Int, suspendedUntil: Timestamp? = nil, ban: Ban? = nil,
      machine: MachineFacts? = nil, hasClones: Bool
    ) {
      self.id = id
      self.name = name
      self.accountID = accountID
      self.accountName = accountName
      self.trusted = trusted
      self.lastSeen = lastSeen
      self.flopsPerSecond = flopsPerSecond
      self.runningUnits = runningUnits
      self.consecutiveValid = consecutiveValid
      self.rejected = rejected
      self.suspendedUntil = suspendedUntil
      self.ban = ban
      self.machine = machine
      self.hasClones = hasClones
    }
  }
  /// By name.
  package var accounts: [Account]
  /// Seen last first.
  package var workers: [Worker]

  package init(
    accounts: [Account], workers: [Worker]
  ) {
    self.accounts = accounts
    self.workers = workers
  }
}
