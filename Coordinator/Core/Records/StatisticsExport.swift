import WireProtocol

/// What BOINC's statistics files are written from: people, teams and machines by number.
package struct StatisticsExport: Hashable, Sendable {
  /// Credit so far, and its average as it stood when some was last granted.
  package struct Standing: Hashable, Sendable {
    package var credit: Credit
    package var average: RecentAverage

    package init(
      credit: Credit, average: RecentAverage
    ) {
      self.credit = credit
      self.average = average
    }
  }
  package struct Account: Hashable, Sendable {
    package var number: Int
    package var name: String
    package var createdAt: Timestamp
    package var standing: Standing
    package var crossProjectID: String
    package var email: String?
    package var country: String?
    package var url: String?
    package var team: Int?

    package init(
      number: Int, name: String, createdAt: Timestamp, standing: Standing, crossProjectID: String,
      email: String?, country: String?, url: String?, team: Int?
    ) {
      self.number = number
      self.name = name
      self.createdAt = createdAt
      self.standing = standing
      self.crossProjectID = crossProjectID
      self.email = email
      self.country = country
      self.url = url
      self.team = team
    }
  }
  package struct Team: Hashable, Sendable {
    package var id: Int
    package var name: String
    /// The founder's number.
    package var founder: Int
    /// Nil where the founder's name is not public.
    package var founderName: String?
    package var createdAt: Timestamp
    /// Of all its members of now, public or not.
    package var standing: Standing

    package init(
      id: Int, name: String, founder: Int, founderName: String?, createdAt: Timestamp,
      standing: Standing
    ) {
      self.id = id
      self.name = name
      self.founder = founder
      self.founderName = founderName
      self.createdAt = createdAt
      self.standing = standing
    }
  }
  package struct Worker: Hashable, Sendable {
    package var number: Int
    package var id: String
    /// The number of its account; nil where that is not public.
    package var account: Int?
    package var createdAt: Timestamp
    package var lastSeen: Timestamp?
    package var standing: Standing
    /// As its finished units showed, in operations a second.
    package var flopsPerSecond: Double?
    /// Mean seconds from lease to result; 0 before the first.
    package var turnaroundSeconds: Double
    /// What its owner lets the coordinator know of the machine; nil where the account is not
    /// public.
    package var machine: MachineFacts?

    package init(
      number: Int, id: String, account: Int?, createdAt: Timestamp, lastSeen: Timestamp?,
      standing: Standing, flopsPerSecond: Double?, turnaroundSeconds: Double,
      machine: MachineFacts? = nil
    ) {
      self.number = number
      self.id = id
      self.account = account
      self.createdAt = createdAt
      self.lastSeen = lastSeen
      self.standing = standing
      self.flopsPerSecond = flopsPerSecond
      self.turnaroundSeconds = turnaroundSeconds
      self.machine = machine
    }
  }
  package struct Deleted: Hashable, Sendable {
    package var number: Int
    /// What the identifier is made from, as for those who are there.
    package var key: String

    package init(
      number: Int, key: String
    ) {
      self.number = number
      self.key = key
    }
  }
  package var takenAt: Timestamp
  /// Accounts that are public and have credit, by number.
  package var accounts: [Account]
  package var teams: [Team]
  /// Workers with credit, by number.
  package var workers: [Worker]
  package var deletedAccounts: [Deleted]
  package var deletedWorkers: [Deleted]
  /// All accounts, teams and workers with credit, public or not.
  package var accountsTotal: Int
  package var teamsTotal: Int
  package var workersTotal: Int
  package var credit: Credit

  package init(
    takenAt: Timestamp, accounts: [Account], teams: [Team], workers: [Worker],
    deletedAccounts: [Deleted], deletedWorkers: [Deleted], accountsTotal: Int, teamsTotal: Int,
    workersTotal: Int, credit: Credit
  ) {
    self.takenAt = takenAt
    self.accounts = accounts
    self.teams = teams
    self.workers = workers
    self.deletedAccounts = deletedAccounts
    self.deletedWorkers = deletedWorkers
    self.accountsTotal = accountsTotal
    self.teamsTotal = teamsTotal
    self.workersTotal = workersTotal
    self.credit = credit
  }
}

/// What waits and runs, for an operator's monitoring. All counts are of the moment unless they say
/// that they only grow.
package struct FleetGauges: Hashable, Sendable {
  /// Accepted units that the trusted machine computes again.
  package struct Audits: Hashable, Sendable {
    package var due: Int
    package var passed: Int
    package var failed: Int
    /// Failed ones whose wrong result had been delivered.
    package var failedDelivered: Int

    package init(due: Int, passed: Int, failed: Int, failedDelivered: Int) {
      self.due = due
      self.passed = passed
      self.failed = failed
      self.failedDelivered = failedDelivered
    }
  }
  /// By the state's name: `open`, `awaiting_replay`, `accepted`, `failed`, `cancelled`.
  package var units: [String: Int]
  /// By status as the API spells it.
  package var batches: [String: Int]
  /// By state: `validating`, `running`, `paused`, `succeeded`, `failed`, `cancelled`.
  package var fineTuningJobs: [String: Int]
  package var runningLeases: Int
  /// Requests not cut into units yet, and replicas that open units wait for.
  package var waitingRequests: Int
  package var missingReplicas: Int
  package var workers: Int
  /// Workers that asked for something lately, and those that get no work after a wrong result.
  package var activeWorkers: Int
  package var suspendedWorkers: Int
  /// Accounts that get no work after wrong results.
  package var suspendedAccounts: Int
  package var accounts: Int
  package var audits: Audits
  /// These only grow.
  package var acceptedResults: Int
  package var rejectedResults: Int
  package var tokens: Int
  package var energy: Energy
  package var credit: Credit
  package var receipts: Int
  package var completedRequests: Int
  package var failedRequests: Int
  /// Seconds since the oldest batch that is not finished was created; 0 when there is none.
  package var oldestBatchSeconds: Double

  package init(
    units: [String: Int], batches: [String: Int], fineTuningJobs: [String: Int],
    runningLeases: Int, waitingRequests: Int, missingReplicas: Int, workers: Int,
    activeWorkers: Int, suspendedWorkers: Int, suspendedAccounts: Int, accounts: Int,
    audits: Audits, acceptedResults: Int, rejectedResults: Int, tokens: Int, energy: Energy,
    credit: Credit, receipts: Int, completedRequests: Int, failedRequests: Int,
    oldestBatchSeconds: Double
  ) {
    self.units = units
    self.batches = batches
    self.fineTuningJobs = fineTuningJobs
    self.runningLeases = runningLeases
    self.waitingRequests = waitingRequests
    self.missingReplicas = missingReplicas
    self.workers = workers
    self.activeWorkers = activeWorkers
    self.suspendedWorkers = suspendedWorkers
    self.suspendedAccounts = suspendedAccounts
    self.accounts = accounts
    self.audits = audits
    self.acceptedResults = acceptedResults
    self.rejectedResults = rejectedResults
    self.tokens = tokens
    self.energy = energy
    self.credit = credit
    self.receipts = receipts
    self.completedRequests = completedRequests
    self.failedRequests = failedRequests
    self.oldestBatchSeconds = oldestBatchSeconds
  }
}
