import WireProtocol

/// What a worker and its account hold now, queue by queue.
struct HeldWork {
  enum Measure { case requests, replicas }

  let worker: String
  let account: String
  /// Of the worker, in all queues.
  let leases: Int
  /// Operations of those that are not done yet.
  private(set) var flops = 0.0

  init(of worker: WorkerRow, in fleet: Fleet) {
    (self.worker, account) = (worker.id, worker.account)
    let places = fleet.index.work.running[worker.id].sorted()
    leases = places.count
    for place in places {
      guard let unit = fleet.units[place.unit], let index = unit.index(ofReplica: place.replica),
        unit.leases.indices.contains(index)
      else { continue }
      flops += max(0, unit.estimatedFlops - unit.leases[index].flopsDone)
    }
  }

  mutating func add(_ unit: UnitRow) { flops += unit.estimatedFlops }

  /// Requests or replicas that worker and account may still take of a queue; without a bound as
  /// long as they hold little of it, so that units are filled up from other queues.
  func room(
    for measure: Measure, in queue: WorkQueue, _ presence: FleetPresence, _ index: WorkIndex
  ) -> Int {
    let left = measure == .requests ? queue.waitingRequests : queue.missingReplicas
    func room(_ part: HeldPart?, share: Double) -> Int {
      guard let part, part.leases >= LeaseShare.freeLeases else { return .max }
      let held = measure == .requests ? part.sequences : part.leases
      return LeaseShare.room(held: held, left: left, share: share)
    }
    return min(
      room(
        index.heldByWorker[worker]?[queue.id],
        share: LeaseShare.ofWorker(among: presence.workers(queue.pool))),
      room(
        index.heldByAccount[account]?[queue.id],
        share: LeaseShare.ofAccount(among: presence.accounts(queue.pool))))
  }
}
