import WireProtocol

/// What the scheduler knows of the requests of one batch that run on one model, or of the units of
/// one kind of a fine-tuning job.
package struct WorkQueue: Hashable, Sendable {
  package var id: Int64
  package var keyID: String
  package var keyVirtualTime: Double
  package var virtualTime: Double
  /// Higher runs first among a key's queues.
  package var priority: Int
  package var pool: WorkPool
  package var model: Digest
  package var cache: CacheType
  package var cost: ModelCost
  /// What a worker's owner chooses by: the names and the licence of the model, and the pool.
  package var kind: UnitKind
  /// The digest of the adapter that requests run with; units that learn name one each.
  package var adapter: Digest?
  package var models: [String]
  package var licence: String?
  /// Requests not cut into units yet.
  package var waitingRequests: Int
  /// Replicas of open units to lease out.
  package var missingReplicas: Int

  package init(
    id: Int64, keyID: String, keyVirtualTime: Double, virtualTime: Double, priority: Int,
    pool: WorkPool, model: Digest, cache: CacheType, cost: ModelCost, waitingRequests: Int,
    missingReplicas: Int, kind: UnitKind = .generate, adapter: Digest? = nil,
    models: [String] = [], licence: String? = nil
  ) {
    self.id = id
    self.keyID = keyID
    self.keyVirtualTime = keyVirtualTime
    self.virtualTime = virtualTime
    self.priority = priority
    self.pool = pool
    self.model = model
    self.cache = cache
    self.cost = cost
    self.waitingRequests = waitingRequests
    self.missingReplicas = missingReplicas
    self.kind = kind
    self.adapter = adapter
    self.models = models
    self.licence = licence
  }

  /// What a lease says of the queue's units.
  package var work: WorkDescription {
    WorkDescription(models: models, licence: licence, pool: pool.rawValue)
  }

  /// Whether requests of both may be in one unit.
  package func sharesUnits(with other: WorkQueue) -> Bool {
    pool == other.pool && model == other.model && cache == other.cache && kind == other.kind
      && adapter == other.adapter
  }
}

/// What the scheduler knows of the worker that asks.
package struct WorkerProfile: Hashable, Sendable {
  package var trusted: Bool
  /// After a wrong result.
  package var suspendedUntil: Timestamp?
  /// After units that failed, or that were given back too often.
  package var heldBackUntil: Timestamp?
  /// Manifests of which it called units invalid, several times of late.
  package var refusedModels: Set<Digest>
  package var threads: Int
  package var memoryLimitBytes: Int
  package var cacheFreeBytes: Int
  package var cachedModels: Set<Digest>
  /// Operations a second, as its accepted units showed; nil before the first.
  package var flopsPerSecond: Double?
  /// Which work its owner chose; nil: any.
  package var choices: WorkChoices?

  package init(
    trusted: Bool, suspendedUntil: Timestamp?, threads: Int, memoryLimitBytes: Int,
    cacheFreeBytes: Int, cachedModels: Set<Digest>, flopsPerSecond: Double?,
    choices: WorkChoices? = nil, heldBackUntil: Timestamp? = nil, refusedModels: Set<Digest> = []
  ) {
    self.trusted = trusted
    self.suspendedUntil = suspendedUntil
    self.heldBackUntil = heldBackUntil
    self.refusedModels = refusedModels
    self.threads = threads
    self.memoryLimitBytes = memoryLimitBytes
    self.cacheFreeBytes = cacheFreeBytes
    self.cachedModels = cachedModels
    self.flopsPerSecond = flopsPerSecond
    self.choices = choices
  }

  /// The speed to plan with.
  package func speed(_ policy: CoordinatorPolicy) -> Double {
    if let flopsPerSecond, flopsPerSecond.isFinite, flopsPerSecond > 0 { return flopsPerSecond }
    return policy.assumedFlopsPerCore
      * Double(min(max(threads, 1), CoordinatorPolicy.assumedCores))
  }
}
