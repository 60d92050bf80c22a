/// `POST /worker/v1/lease`: a worker says what it can do and asks for work.
package struct LeaseRequest: Codable, Hashable, Sendable {
  package var versions: PeerVersions
  /// Threads that the worker computes with.
  package var threads: Int
  /// Memory that a unit may use, in bytes: weights, cache and scratch together.
  package var memoryLimitBytes: Int
  /// Room in the worker's blob cache for a model that it does not have yet, in bytes.
  package var cacheFreeBytes: Int
  /// Manifests whose every chunk is in the worker's cache.
  package var cachedModels: [Digest]
  /// Floating-point operations a second over the worker's recent units; nil before its first.
  package var measuredFlopsPerSecond: Double?
  /// How many seconds of work the worker would like.
  package var secondsWanted: Int
  /// At most this many units.
  package var maximumUnits: Int
  /// Which work the worker takes; nil: any.
  package var choices: WorkChoices?
  /// What the worker runs on; nil when its owner does not say.
  package var machine: MachineFacts?
  /// Names the worker's process, at random at each start, so that copies of its folder are noticed;
  /// nil from a program that is older.
  package var run: String?

  package init(
    versions: PeerVersions = PeerVersions(), threads: Int, memoryLimitBytes: Int,
    cacheFreeBytes: Int, cachedModels: [Digest], measuredFlopsPerSecond: Double?,
    secondsWanted: Int, maximumUnits: Int, choices: WorkChoices? = nil,
    machine: MachineFacts? = nil, run: String? = nil
  ) {
    self.versions = versions
    self.threads = threads
    self.memoryLimitBytes = memoryLimitBytes
    self.cacheFreeBytes = cacheFreeBytes
    self.cachedModels = cachedModels
    self.measuredFlopsPerSecond = measuredFlopsPerSecond
    self.secondsWanted = secondsWanted
    self.maximumUnits = maximumUnits
    self.choices = choices
    self.machine = machine
    self.run = run
  }
}

/// One leased replica of a unit. Times are relative, so that the two clocks need not agree.
package struct Lease: Codable, Hashable, Sendable {
  /// Names the lease in the routes below: `lease_` and 24 letters or digits.
  package var id: String
  /// SHA-256 of the specification's canonical JSON; the worker checks it.
  package var unit: Digest
  package var specification: UnitSpecification
  /// The coordinator's estimate of the unit's floating-point operations.
  package var estimatedFlops: Double
  /// Seconds until the lease ends unless a heartbeat extends it.
  package var deadlineSeconds: Int
  /// Seconds between heartbeats.
  package var heartbeatSeconds: Int
  /// What the unit is about; nil from a coordinator that is older.
  package var work: WorkDescription?

  package init(
    id: String, unit: Digest, specification: UnitSpecification, estimatedFlops: Double,
    deadlineSeconds: Int, heartbeatSeconds: Int, work: WorkDescription? = nil
  ) {
    self.id = id
    self.unit = unit
    self.specification = specification
    self.estimatedFlops = estimatedFlops
    self.deadlineSeconds = deadlineSeconds
    self.heartbeatSeconds = heartbeatSeconds
    self.work = work
  }
}

/// Why a worker was given no unit, or fewer than it asked for.
package enum IdleReason: String, Codable, CodingKeyRepresentable, Hashable, Sendable, CaseIterable {
  /// No job waits.
  case noWork
  /// Units wait, but this account runs or ran another replica of each.
  case sameAccount
  /// Units wait in pools that this worker does not serve.
  case otherPool
  /// Units wait whose model needs more memory than the worker offers.
  case needsMoreMemory
  /// Units wait whose model does not fit into the worker's cache.
  case needsMoreDisk
  /// The account or worker was suspended after a wrong result.
  case suspended
  /// Units ended here without a result of late: the worker or its account waits a while, or gets no
  /// more units of a model that it could not compute. No accusation.
  case failedLately
  /// The coordinator gives out no work now.
  case paused
  /// Units wait, but the worker or its account holds as many as it may at one time.
  case holdsEnough
  /// The operator wants no results of the account or worker; the answer's message says why.
  case banned
  /// Units wait that the worker's owner did not choose. Sent to workers that sent choices only.
  case notChosen
}

/// The answer to `LeaseRequest`.
package struct LeaseResponse: Codable, Hashable, Sendable {
  package var leases: [Lease]
  /// Units that were passed over, by reason; `noWork` counts as 1.
  package var reasons: [IdleReason: Int]
  /// Seconds after which to ask again when there was nothing.
  package var retryAfterSeconds: Int
  /// What the operator tells volunteers, such as when maintenance will be; nil for nothing.
  package var message: String?
  /// `https://host:port` to which the coordinator will move; nil: it stays, or is older.
  package var nextAddress: String?

  package init(
    leases: [Lease], reasons: [IdleReason: Int], retryAfterSeconds: Int, message: String? = nil,
    nextAddress: String? = nil
  ) {
    self.leases = leases
    self.reasons = reasons
    self.retryAfterSeconds = retryAfterSeconds
    self.message = message
    self.nextAddress = nextAddress
  }

  /// Leaves out reasons that this program does not know: a newer coordinator may have more.
  package init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    leases = try values.decode([Lease].self, forKey: .leases)
    let counts = try values.decode([String: Int].self, forKey: .reasons)
    reasons = [:]
    for (name, count) in counts {
      if let reason = IdleReason(rawValue: name) { reasons[reason] = count }
    }
    retryAfterSeconds = try values.decode(Int.self, forKey: .retryAfterSeconds)
    message = try values.decodeIfPresent(String.self, forKey: .message)
    nextAddress = try values.decodeIfPresent(String.self, forKey: .nextAddress)
  }
}

/// `POST /worker/v1/leases/{id}/heartbeat`.
package struct Heartbeat: Codable, Hashable, Sendable {
  package var versions: PeerVersions
  /// Floating-point operations done so far, for progress only: credit is computed from the accepted
  /// result.
  package var flopsDone: Double

  package init(versions: PeerVersions = PeerVersions(), flopsDone: Double) {
    self.versions = versions
    self.flopsDone = flopsDone
  }
}

/// The answer to `Heartbeat`.
package struct HeartbeatResponse: Codable, Hashable, Sendable {
  package enum Verdict: String, Codable, Hashable, Sendable {
    case proceed
    /// The unit is cancelled, settled or leased to another: stop without a result.
    case abandon
  }
  package var verdict: Verdict
  /// The new deadline, in seconds from now.
  package var deadlineSeconds: Int
  /// Why to abandon, for the log.
  package var reason: String?

  package init(verdict: Verdict, deadlineSeconds: Int, reason: String? = nil) {
    self.verdict = verdict
    self.deadlineSeconds = deadlineSeconds
    self.reason = reason
  }
}

/// `POST /worker/v1/leases/{id}/abandon`: the worker gives the lease back.
package struct Abandonment: Codable, Hashable, Sendable {
  package enum Reason: String, Codable, Hashable, Sendable {
    case shuttingDown
    case outOfMemory
    case blobUnavailable
    /// The unit's inputs or model are invalid for this program; `detail` says how.
    case invalidUnit
    case failed
  }
  package var versions: PeerVersions
  package var reason: Reason
  /// For the operator's log; at most 1,000 characters are kept.
  package var detail: String

  package init(versions: PeerVersions = PeerVersions(), reason: Reason, detail: String) {
    self.versions = versions
    self.reason = reason
    self.detail = detail
  }
}
