import WireProtocol

/// How much of a queue one unit takes: as many requests as fill the worker's time, within its
/// memory, without taking so much of the rest that other workers stand idle at the end.
package struct UnitSizing: Hashable, Sendable {
  /// What one request would add to a unit.
  package struct Request: Hashable, Sendable {
    package var sequences: Int
    package var flops: Double
    /// Tokens of key/value cache that all its sequences are expected to take.
    package var cacheTokens: Int
    /// Tokens of the longest sequence, should it run to its limit: what a worker needs room for at
    /// least, since it may run them one after the other.
    package var longestTokens: Int

    package init(sequences: Int, flops: Double, cacheTokens: Int, longestTokens: Int) {
      self.sequences = sequences
      self.flops = flops
      self.cacheTokens = cacheTokens
      self.longestTokens = longestTokens
    }
  }

  /// Operations that fill the unit's time.
  package let flops: Double
  package let sequences: Int
  package let cacheBytes: Int
  package let requests: Int
  private let cost: ModelCost
  private let cache: CacheType

  private var takenFlops = 0.0
  private var takenSequences = 0
  private var takenCacheTokens = 0
  /// Requests taken so far.
  package private(set) var count = 0

  /// - Parameters:
  ///   - secondsLeft: seconds of work that the worker still wants.
  ///   - activeWorkers: workers that share what waits.
  ///   - room: requests that the worker may still hold.
  package init(
    queue: WorkQueue, worker: WorkerProfile, secondsLeft: Double, activeWorkers: Int,
    room: Int = .max, _ policy: CoordinatorPolicy
  ) {
    let seconds = min(Double(policy.targetUnitSeconds), max(1, secondsLeft))
    flops = worker.speed(policy) * seconds
    sequences =
      worker.flopsPerSecond == nil
      ? min(policy.firstUnitSequences, policy.maximumSequencesPerUnit)
      : policy.maximumSequencesPerUnit
    cacheBytes = worker.memoryLimitBytes - UnitMemory.leastBytes(queue.cost, queue.cache)
    // Guided self-scheduling: an equal part of what is left, so that all finish together.
    let workers = max(1, activeWorkers)
    requests = max(1, min(room, (queue.waitingRequests + workers - 1) / workers))
    cost = queue.cost
    cache = queue.cache
  }

  /// Whether the worker has the memory for a request alone; where it has not, none of its units may
  /// hold the request.
  package func mayHold(_ request: Request) -> Bool {
    UnitMemory.cacheBytes(cost, cache, tokens: request.longestTokens) <= cacheBytes
  }

  /// Adds a request if it fits. The first does, however long it takes, if the worker may hold it.
  package mutating func take(_ request: Request) -> Bool {
    let cacheTokens = takenCacheTokens + request.cacheTokens
    let fits =
      takenFlops + request.flops <= flops && takenSequences + request.sequences <= sequences
      && UnitMemory.cacheBytes(cost, cache, tokens: cacheTokens) <= cacheBytes && count < requests
    guard mayHold(request), fits || count == 0 else { return false }
    takenFlops += request.flops
    takenSequences += request.sequences
    takenCacheTokens = cacheTokens
    count += 1
    return true
  }
}

/// How many tokens a sequence will generate, learned from the queue's finished ones: most stop long
/// before their limit.
package struct GenerationEstimate: Hashable, Sendable {
  private static let assumedTokens = 256.0
  private static let sequencesToLearnFrom = 8
  /// Tokens generated and sequences finished so far.
  package var tokens: Int
  package var sequences: Int

  package init(tokens: Int = 0, sequences: Int = 0) {
    self.tokens = tokens
    self.sequences = sequences
  }

  /// Tokens expected of a sequence that may generate `limit`, at least 1.
  package func tokens(limit: Int) -> Int {
    let mean =
      sequences >= Self.sequencesToLearnFrom
      ? Double(tokens) / Double(sequences) * 1.2 : Self.assumedTokens
    return max(1, min(limit, Int(mean.rounded(.up))))
  }
}
