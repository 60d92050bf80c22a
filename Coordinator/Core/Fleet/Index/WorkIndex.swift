import WireProtocol

/// A replica's place: its unit's number and its own.
package struct ReplicaPlace: Hashable, Comparable, Sendable {
  package let unit: Int64
  package let replica: Int64

  package init(unit: Int64, replica: Int64) {
    self.unit = unit
    self.replica = replica
  }

  package static func < (left: Self, right: Self) -> Bool {
    (left.unit, left.replica) < (right.unit, right.replica)
  }
}

/// A queue among those of its key: by priority, then the one that had least, then the older.
package struct QueuePlace: Hashable, Comparable, Sendable {
  package let priority: Int
  package let virtualTime: Double
  package let number: Int64

  package static func < (left: Self, right: Self) -> Bool {
    if left.priority != right.priority { return left.priority > right.priority }
    return (left.virtualTime, left.number) < (right.virtualTime, right.number)
  }
}

/// A unit among those that lack replicas: by size, then the older.
package struct UnitPlace: Hashable, Comparable, Sendable {
  package let flops: Double
  package let number: Int64

  package static func < (left: Self, right: Self) -> Bool {
    (left.flops, left.number) < (right.flops, right.number)
  }
}

/// What somebody holds of a queue now.
package struct HeldPart: Hashable, Sendable {
  package var leases = 0
  package var sequences = 0
}

/// Batches, jobs, queues and units by what they are looked up by.
package struct WorkIndex: Sendable {
  package var batches: [String: Int64] = [:]
  package var batchesOfKey = SetMap<String, Int64>()
  /// Batches that have not ended, and of those the ones that wait for something.
  package var openBatches = SortedArray<Int64>()
  package var validatingBatches = SortedArray<Int64>()
  package var batchesAwaitingFiles = SortedArray<Int64>()
  package var batchEnds = DueQueue<Int64>()
  package var batchInputs = SetMap<Digest, Int64>()

  package var jobs: [String: Int64] = [:]
  package var jobsOfKey = SetMap<String, Int64>()
  package var openJobs = SortedArray<Int64>()

  package var queuesOfOwner = SetMap<WorkOwner, Int64>()
  package var queuesOfAdapter = SetMap<Digest, Int64>()
  /// Queues that have something to hand out, by their key.
  package var activeQueues: [String: SortedArray<QueuePlace>] = [:]

  /// Units by the id of a lease, and by that of the trusted machine's attempt.
  package var leases: [String: Int64] = [:]
  package var replays: [String: Int64] = [:]
  /// Units that lack replicas: by queue, then by the account that alone takes part in them.
  package var lacking: [Int64: [String: SortedArray<UnitPlace>]] = [:]
  package var running = SetMap<String, ReplicaPlace>()
  package var runningCount = 0
  package var heldByWorker: [String: [Int64: HeldPart]] = [:]
  package var heldByAccount: [String: [Int64: HeldPart]] = [:]
  /// Units that have not ended: of a queue, with requests of a batch, and with replicas of a worker
  /// that are not judged.
  package var openUnits = SetMap<Int64, Int64>()
  package var openUnitsOfBatch = SetMap<Int64, Int64>()
  package var unverified = SetMap<String, Int64>()
  package var awaitingReplay = SortedArray<Int64>()
  package var dueAudits = SortedArray<Int64>()
  package var unitsOfRound = SetMap<TuningRoundRow.Key, Int64>()
  package var leaseEnds = DueQueue<ReplicaPlace>()
  package var lateness = DueQueue<ReplicaPlace>()

  mutating func reindex(batch old: BatchRow?, to new: BatchRow?) {
    if let old, new == nil {
      batches[old.record.id] = nil
      batchesOfKey.remove(old.number, under: old.record.keyID)
      batchInputs.remove(old.number, under: old.record.inputBlob)
    }
    if let new, old == nil {
      batches[new.record.id] = new.number
      batchesOfKey.insert(new.number, under: new.record.keyID)
      batchInputs.insert(new.number, under: new.record.inputBlob)
    }
    if let new, !new.record.state.hasEnded, old?.record.times.expires != new.record.times.expires {
      batchEnds.add(new.number, at: new.record.times.expires)
    }
    guard old?.record.state != new?.record.state else { return }
    if let old {
      openBatches.remove(old.number)
      validatingBatches.remove(old.number)
      batchesAwaitingFiles.remove(old.number)
    }
    if let new {
      if !new.record.state.hasEnded { openBatches.insert(new.number) }
      if new.record.state == .validating { validatingBatches.insert(new.number) }
      if new.record.state.awaitsFiles { batchesAwaitingFiles.insert(new.number) }
    }
  }

  mutating func reindex(job old: TuningJobRow?, to new: TuningJobRow?) {
    if let old {
      jobs[old.record.id] = nil
      jobsOfKey.remove(old.number, under: old.record.job.keyID)
      openJobs.remove(old.number)
    }
    if let new {
      jobs[new.record.id] = new.number
      jobsOfKey.insert(new.number, under: new.record.job.keyID)
      if !new.record.state.hasEnded { openJobs.insert(new.number) }
    }
  }

  mutating func reindex(queue old: QueueRow?, to new: QueueRow?) {
    if let old, new == nil {
      queuesOfOwner.remove(old.number, under: old.owner)
      if let adapter = old.adapter { queuesOfAdapter.remove(old.number, under: adapter) }
    }
    if let new, old == nil {
      queuesOfOwner.insert(new.number, under: new.owner)
      if let adapter = new.adapter { queuesOfAdapter.insert(new.number, under: adapter) }
    }
    let (before, after) = (old?.place, new?.place)
    guard before != after else { return }
    if let old, let before {
      activeQueues[old.keyID]?.remove(before)
      if activeQueues[old.keyID]?.isEmpty == true { activeQueues[old.keyID] = nil }
    }
    if let new, let after { activeQueues[new.keyID, default: SortedArray()].insert(after) }
  }
}

extension QueueRow {
  /// Its place among the active queues of its key; nil when it has nothing to hand out.
  var place: QueuePlace? {
    isActive ? QueuePlace(priority: priority, virtualTime: virtualTime, number: number) : nil
  }
}
