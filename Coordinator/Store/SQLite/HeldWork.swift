import CoordinatorCore
import GRDB
import WireProtocol

/// What a worker and its account hold now, queue by queue.
struct HeldWork {
  enum Measure { case requests, replicas }

  private struct Part {
    var leases = 0
    var sequences = 0
  }

  private var own: [Int64: Part] = [:]
  private var account: [Int64: Part] = [:]
  /// Of the worker, in all queues.
  private(set) var leases = 0
  /// Operations of those that are not done yet.
  private(set) var flops = 0.0

  init(of worker: WorkerRecord, _ db: Database) throws {
    for row in try db.all(
      """
      SELECT unit.queue, replica.worker, count(*) AS leases,
        sum(json_array_length(unit.prompt_tokens)) AS sequences,
        sum(max(0, unit.estimated_flops - replica.flops_done)) AS flops
      FROM replica JOIN unit ON unit.number = replica.unit
      WHERE replica.account = ? AND replica.state = 'running' GROUP BY 1, 2
      """, [worker.accountID])
    {
      let queue: Int64 = try row.value("queue")
      let part = Part(leases: try row.value("leases"), sequences: try row.value("sequences"))
      account[queue, default: Part()].leases += part.leases
      account[queue, default: Part()].sequences += part.sequences
      guard try row.value("worker", as: String.self) == worker.id else { continue }
      own[queue] = part
      leases += part.leases
      flops += try row.value("flops")
    }
  }

  mutating func add(_ unit: StoredUnit, in queue: WorkQueue) {
    for path in [\HeldWork.own, \HeldWork.account] {
      self[keyPath: path][queue.id, default: Part()].leases += 1
      self[keyPath: path][queue.id, default: Part()].sequences += unit.promptTokens.count
    }
    leases += 1
    flops += unit.estimatedFlops
  }

  /// Requests or replicas that worker and account may still take of a queue; without a bound as
  /// long as they hold little of it, so that units are filled up from other queues.
  func room(for measure: Measure, in queue: WorkQueue, _ fleet: FleetPresence) -> Int {
    let left = measure == .requests ? queue.waitingRequests : queue.missingReplicas
    func room(_ part: Part?, share: Double) -> Int {
      guard let part, part.leases >= LeaseShare.freeLeases else { return .max }
      let held = measure == .requests ? part.sequences : part.leases
      return LeaseShare.room(held: held, left: left, share: share)
    }
    return min(
      room(own[queue.id], share: LeaseShare.ofWorker(among: fleet.workers(queue.pool))),
      room(account[queue.id], share: LeaseShare.ofAccount(among: fleet.accounts(queue.pool))))
  }
}
