import WireProtocol

/// The queues that a worker may work on, best first, as far as they were looked at: key by key by
/// where it stands (`FairShare`), and a key's queues by priority, then the one that had least, then
/// the older.
struct QueueWalk {
  private struct KeyPlace: Comparable {
    let start: Double
    let id: String

    static func < (left: Self, right: Self) -> Bool {
      left.start == right.start ? left.id < right.id : left.start < right.start
    }
  }
  /// Keys that are looked for one by one before the rest is put in order.
  private static let sought = 4

  private let profile: WorkerProfile
  private var keys: [KeyPlace]
  private var taken = 0
  private var rest: [QueuePlace] = []
  private var isRestSorted = false
  /// Queues so far.
  private var queues: [WorkQueue] = []
  /// Units and requests that were passed over, by reason.
  private(set) var passedOver: [IdleReason: Int] = [:]

  init(for profile: WorkerProfile, in fleet: Fleet) {
    self.profile = profile
    let present = fleet.setting.virtualTime
    keys = fleet.index.work.activeQueues.keys.compactMap { id in
      fleet.keys[id].map { key in
        KeyPlace(start: FairShare.start(own: key.virtualTime, present: present), id: id)
      }
    }
    if keys.isEmpty { passedOver[.noWork] = 1 }
  }

  /// The queue at a rank, from 0; nil beyond the last.
  mutating func queue(at rank: Int, in fleet: Fleet) -> WorkQueue? {
    while queues.count <= rank, let place = nextPlace(in: fleet) {
      guard let row = fleet.queues[place.number], let queue = try? fleet.workQueue(row) else {
        continue
      }
      if let reason = Scheduler.misfit(queue, profile) {
        passedOver[reason, default: 0] += queue.waitingRequests + queue.missingReplicas
      } else {
        queues.append(queue)
      }
    }
    return rank < queues.count ? queues[rank] : nil
  }

  private mutating func nextPlace(in fleet: Fleet) -> QueuePlace? {
    while rest.isEmpty {
      guard let key = nextKey() else { return nil }
      rest = (fleet.index.work.activeQueues[key.id] ?? SortedArray()).reversed()
    }
    return rest.popLast()
  }

  private mutating func nextKey() -> KeyPlace? {
    if isRestSorted { return keys.popLast() }
    if taken >= Self.sought {
      keys.sort(by: >)
      isRestSorted = true
      return keys.popLast()
    }
    taken += 1
    guard var least = keys.indices.first else { return nil }
    for index in keys.indices where keys[index] < keys[least] { least = index }
    keys.swapAt(least, keys.count - 1)
    return keys.popLast()
  }
}

extension Fleet {
  /// A queue as the scheduler sees it.
  ///
  /// - Throws: `StoreError.corrupt` when its manifest or key is not there.
  package func workQueue(_ row: QueueRow) throws -> WorkQueue {
    guard let manifest = manifests[row.model], let key = keys[row.keyID] else {
      throw StoreError(.corrupt, "The queue \(row.number) has no manifest or no key.")
    }
    return WorkQueue(
      id: row.number, keyID: row.keyID, keyVirtualTime: key.virtualTime,
      virtualTime: row.virtualTime, priority: row.priority, pool: row.pool, model: row.model,
      cache: row.cache, cost: manifest.cost, waitingRequests: row.waiting,
      missingReplicas: row.missing, kind: row.kind, adapter: row.adapter, models: manifest.names,
      licence: manifest.licence)
  }
}
