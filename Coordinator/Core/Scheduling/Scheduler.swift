import WireProtocol

/// Decides which queues a worker may work on and in which order. Replicas that units wait for come
/// before fresh units of the same queue; that is the store's loop, since only it sees the units.
package enum Scheduler {
  package struct Order: Hashable, Sendable {
    /// Queues to try, best first.
    package var queues: [WorkQueue]
    /// Units and requests that were passed over, by reason.
    package var passedOver: [IdleReason: Int]
  }

  /// - Parameters:
  ///   - queues: all queues with waiting requests or missing replicas.
  ///   - present: the virtual time at which the key that was served last started.
  package static func order(
    _ queues: [WorkQueue], for worker: WorkerProfile, present: Double, now: Timestamp
  ) -> Order {
    if let until = worker.suspendedUntil, until > now {
      return Order(queues: [], passedOver: [.suspended: 1])
    }
    if let until = worker.heldBackUntil, until > now {
      return Order(queues: [], passedOver: [.failedLately: 1])
    }
    var passedOver: [IdleReason: Int] = [:]
    var fitting: [WorkQueue] = []
    for queue in queues {
      if let reason = misfit(queue, worker) {
        passedOver[reason, default: 0] += queue.waitingRequests + queue.missingReplicas
      } else {
        fitting.append(queue)
      }
    }
    if queues.isEmpty { passedOver[.noWork] = 1 }
    fitting.sort { precedes($0, $1, present) }
    return Order(queues: fitting, passedOver: passedOver)
  }

  /// Key by key, then by priority, then the queue that had least, then the older.
  private static func precedes(_ left: WorkQueue, _ right: WorkQueue, _ present: Double) -> Bool {
    if left.keyID != right.keyID {
      let leftStart = FairShare.start(own: left.keyVirtualTime, present: present)
      let rightStart = FairShare.start(own: right.keyVirtualTime, present: present)
      return (leftStart, left.keyID) < (rightStart, right.keyID)
    }
    if left.priority != right.priority { return left.priority > right.priority }
    return (left.virtualTime, left.id) < (right.virtualTime, right.id)
  }

  /// Why a worker can take nothing of a queue, whatever its units are; nil when it can.
  static func misfit(_ queue: WorkQueue, _ worker: WorkerProfile) -> IdleReason? {
    if queue.pool == .trusted, !worker.trusted { return .otherPool }
    if let choices = worker.choices, !choices.takes(queue.kind, queue.work) { return .notChosen }
    if worker.refusedModels.contains(queue.model) { return .failedLately }
    if UnitMemory.leastBytes(queue.cost, queue.cache) > worker.memoryLimitBytes {
      return .needsMoreMemory
    }
    if !worker.cachedModels.contains(queue.model), queue.cost.diskBytes > worker.cacheFreeBytes {
      return .needsMoreDisk
    }
    return nil
  }
}

/// How much memory a unit takes on a worker.
package enum UnitMemory {
  /// Room for activations and the program itself.
  package static let scratchBytes = 64 << 20

  /// Bytes without any key/value cache: weights and a tenth for packing, and scratch.
  package static func leastBytes(_ cost: ModelCost, _ cache: CacheType) -> Int {
    cost.weightBytes + cost.weightBytes / 10 + scratchBytes
  }

  /// Bytes of key/value cache for `tokens` tokens in all sequences.
  package static func cacheBytes(_ cost: ModelCost, _ cache: CacheType, tokens: Int) -> Int {
    let factor = cache == .f32 ? 2 : 1
    let (product, overflow) = cost.cacheBytesPerToken.multipliedReportingOverflow(
      by: tokens * factor)
    return overflow ? Int.max / 2 : product
  }
}
