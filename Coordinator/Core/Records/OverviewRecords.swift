import WireProtocol

/// What the fleet does at one moment, for everyone to see.
package struct FleetNow: Hashable, Sendable {
  /// Workers that asked for something lately.
  package var activeWorkers: Int
  package var activeAccounts: Int
  package var workers: Int
  package var accounts: Int
  /// Workers with a running lease, and what their finished units showed of their speed together, in
  /// operations a second.
  package var computingWorkers: Int
  package var flopsPerSecond: Double
  package var runningReplicas: Int
  /// Batches and fine-tuning jobs that have not ended.
  package var openJobs: Int
  /// Requests not cut into units yet, and replicas that units wait for.
  package var waitingRequests: Int
  package var missingReplicas: Int
  /// Of all accounts so far.
  package var tokens: Int
  package var acceptedResults: Int
  package var credit: Credit
  /// What workers say that accepted results took, and the part of it that they estimated.
  package var energyJoules: Double = 0
  package var estimatedEnergyJoules: Double = 0
  /// Active workers that the audience may know by name, seen last first; no more than were asked
  /// for.
  package var listedWorkers: [Worker]

  /// One active worker.
  package struct Worker: Hashable, Sendable {
    package var id: String
    package var name: String
    package var accountName: String
    package var lastSeen: Timestamp
    /// What it runs, the oldest lease first.
    package var running: [RunningReplica]

    package init(
      id: String, name: String, accountName: String, lastSeen: Timestamp,
      running: [RunningReplica]
    ) {
      self.id = id
      self.name = name
      self.accountName = accountName
      self.lastSeen = lastSeen
      self.running = running
    }
  }

  package init(
    activeWorkers: Int, activeAccounts: Int, workers: Int, accounts: Int, computingWorkers: Int,
    flopsPerSecond: Double, runningReplicas: Int, openJobs: Int, waitingRequests: Int,
    missingReplicas: Int, tokens: Int, acceptedResults: Int, credit: Credit,
    energyJoules: Double = 0, estimatedEnergyJoules: Double = 0, listedWorkers: [Worker]
  ) {
    self.activeWorkers = activeWorkers
    self.activeAccounts = activeAccounts
    self.workers = workers
    self.accounts = accounts
    self.computingWorkers = computingWorkers
    self.flopsPerSecond = flopsPerSecond
    self.runningReplicas = runningReplicas
    self.openJobs = openJobs
    self.waitingRequests = waitingRequests
    self.missingReplicas = missingReplicas
    self.tokens = tokens
    self.acceptedResults = acceptedResults
    self.credit = credit
    self.energyJoules = energyJoules
    self.estimatedEnergyJoules = estimatedEnergyJoules
    self.listedWorkers = listedWorkers
  }
}

/// A replica that a worker computes now.
package struct RunningReplica: Hashable, Sendable {
  /// The batch or fine-tuning job.
  package var job: String
  package var unit: Digest
  /// The model as its batch or job calls it; nil where a batch names several.
  package var model: String?
  package var issuedAt: Timestamp
  package var deadline: Timestamp
  /// Operations done, as its last heartbeat said, and what the unit was estimated at.
  package var flopsDone: Double
  package var flopsEstimated: Double

  package init(
    job: String, unit: Digest, model: String? = nil, issuedAt: Timestamp, deadline: Timestamp,
    flopsDone: Double, flopsEstimated: Double
  ) {
    self.job = job
    self.unit = unit
    self.model = model
    self.issuedAt = issuedAt
    self.deadline = deadline
    self.flopsDone = flopsDone
    self.flopsEstimated = flopsEstimated
  }
}

/// A work unit of a batch, with its replicas.
package struct UnitOverview: Hashable, Sendable {
  package enum State: String, Hashable, Sendable, CaseIterable {
    case open
    case awaitingReplay = "awaiting_replay"
    case accepted, failed, cancelled
  }
  package struct Replica: Hashable, Sendable {
    package enum State: String, Hashable, Sendable {
      case running, submitted, accepted, rejected, expired, abandoned, revoked
      case takenBack = "taken_back"
      case notNeeded = "not_needed"
    }
    package var state: State
    package var worker: String
    /// Names of the worker and its account; nil where the audience may not know them.
    package var names: Names?
    package var issuedAt: Timestamp
    package var deadline: Timestamp
    package var flopsDone: Double
    /// Seconds that it computed for, once it has a result.
    package var seconds: Double?
    /// What it took, once it has a result, as far as its worker says so in a possible way.
    package var energyJoules: Double?
    package var estimatedEnergyJoules: Double?

    /// Who runs it.
    package struct Names: Hashable, Sendable {
      package var worker: String
      package var account: String

      package init(
        worker: String, account: String
      ) {
        self.worker = worker
        self.account = account
      }
    }

    package init(
      state: State, worker: String, names: Names? = nil, issuedAt: Timestamp, deadline: Timestamp,
      flopsDone: Double, seconds: Double? = nil, energyJoules: Double? = nil,
      estimatedEnergyJoules: Double? = nil
    ) {
      self.state = state
      self.worker = worker
      self.names = names
      self.issuedAt = issuedAt
      self.deadline = deadline
      self.flopsDone = flopsDone
      self.seconds = seconds
      self.energyJoules = energyJoules
      self.estimatedEnergyJoules = estimatedEnergyJoules
    }
  }
  package var digest: Digest
  package var state: State
  /// Why it failed or waits for a replay, as the life cycle calls it.
  package var reason: String?
  package var pool: WorkPool
  package var requests: Int
  package var memoryBytes: Int
  package var flopsEstimated: Double
  /// Replicas to lease out.
  package var missing: Int
  package var verification: Verification?
  package var createdAt: Timestamp
  package var endedAt: Timestamp?
  /// In the order in which they were leased.
  package var replicas: [Replica]

  package init(
    digest: Digest, state: State, reason: String? = nil, pool: WorkPool, requests: Int,
    memoryBytes: Int, flopsEstimated: Double, missing: Int, verification: Verification? = nil,
    createdAt: Timestamp, endedAt: Timestamp? = nil, replicas: [Replica]
  ) {
    self.digest = digest
    self.state = state
    self.reason = reason
    self.pool = pool
    self.requests = requests
    self.memoryBytes = memoryBytes
    self.flopsEstimated = flopsEstimated
    self.missing = missing
    self.verification = verification
    self.createdAt = createdAt
    self.endedAt = endedAt
    self.replicas = replicas
  }
}
