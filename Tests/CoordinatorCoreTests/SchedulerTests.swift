import CoordinatorCore
import TestSupport
import Testing
import WireProtocol

private let cost = ModelCost(
  bodyFlopsPerToken: 1e9, headFlopsPerToken: 0, attentionFlopsPerPosition: 0,
  weightBytes: 1 << 30, cacheBytesPerToken: 1 << 10, diskBytes: 2 << 30)

private func queue(
  _ id: Int64, key: String = "key", keyTime: Double = 0, time: Double = 0, priority: Int = 0,
  pool: WorkPool = .public, waiting: Int = 10, missing: Int = 0, models: [String] = ["tiny"],
  licence: String? = nil
) -> WorkQueue {
  WorkQueue(
    id: id, keyID: key, keyVirtualTime: keyTime, virtualTime: time, priority: priority, pool: pool,
    model: digest("d"), cache: .f16, cost: cost, waitingRequests: waiting, missingReplicas: missing,
    models: models, licence: licence)
}

private func worker(
  trusted: Bool = false, suspendedUntil: Timestamp? = nil, memory: Int = 8 << 30,
  disk: Int = 8 << 30, cached: Set<Digest> = [], speed: Double? = 1e12
) -> WorkerProfile {
  WorkerProfile(
    trusted: trusted, suspendedUntil: suspendedUntil, threads: 4, memoryLimitBytes: memory,
    cacheFreeBytes: disk, cachedModels: cached, flopsPerSecond: speed)
}

@Suite("Scheduler")
struct SchedulerTests {
  private func order(_ queues: [WorkQueue], _ worker: WorkerProfile = worker()) -> Scheduler.Order {
    Scheduler.order(queues, for: worker, present: 0, now: noon)
  }

  @Test("the key that is furthest behind comes first, then priority, then the queue that had least")
  func ranking() {
    let ranked = order([
      queue(1, key: "a", keyTime: 10), queue(2, key: "b", keyTime: 5, time: 3),
      queue(3, key: "b", keyTime: 5, time: 1), queue(4, key: "b", keyTime: 5, time: 9, priority: 1),
    ])
    #expect(ranked.queues.map(\.id) == [4, 3, 2, 1])
  }

  @Test("a key that idled gets no more than its share")
  func idleKey() {
    // Served last at virtual time 100: the key that comes back at 0 stands at 100, level with the
    // other.
    let ranked = Scheduler.order(
      [queue(1, key: "b", keyTime: 0), queue(2, key: "a", keyTime: 100)], for: worker(),
      present: 100, now: noon)
    #expect(ranked.queues.map(\.keyID) == ["a", "b"])
  }

  @Test("each misfit is counted under its reason")
  func reasons() {
    #expect(order([]).passedOver == [.noWork: 1])
    #expect(order([queue(1, pool: .trusted, waiting: 7, missing: 2)]).passedOver == [.otherPool: 9])
    #expect(order([queue(1)], worker(memory: 1 << 30)).passedOver == [.needsMoreMemory: 10])
    #expect(order([queue(1)], worker(disk: 1 << 30)).passedOver == [.needsMoreDisk: 10])
    #expect(
      order([queue(1)], worker(suspendedUntil: noon.adding(seconds: 1))).passedOver
        == [.suspended: 1])
    #expect(order([queue(1)], worker(suspendedUntil: noon)).queues.count == 1)
    var failed = worker()
    failed.heldBackUntil = noon.adding(seconds: 1)
    #expect(order([queue(1)], failed).passedOver == [.failedLately: 1])
    failed.heldBackUntil = noon
    #expect(order([queue(1)], failed).queues.count == 1)
    failed.refusedModels = [digest("d")]
    #expect(order([queue(1)], failed).passedOver == [.failedLately: 10])
  }

  @Test("what the owner did not choose is passed over, and counted as that")
  func choices() {
    var chooser = worker(trusted: true)
    chooser.choices = WorkChoices(models: ["-llama*"], licences: ["apache-2.0"], pools: ["public"])
    let ranked = order(
      [
        queue(1, waiting: 3, licence: "apache-2.0"),
        queue(2, waiting: 5, models: ["llama-1b"], licence: "apache-2.0"),
        queue(3, waiting: 7, missing: 1, licence: nil),
        queue(4, pool: .trusted, waiting: 11, licence: "apache-2.0"),
      ], chooser)
    #expect(ranked.queues.map(\.id) == [1])
    #expect(ranked.passedOver == [.notChosen: 5 + 8 + 11])
    // A pool that is closed to it is no choice of the owner.
    chooser.trusted = false
    #expect(order([queue(4, pool: .trusted)], chooser).passedOver == [.otherPool: 10])
    chooser.choices = nil
    #expect(order([queue(2, models: ["llama-1b"])], chooser).queues.count == 1)
  }

  @Test("a model in the cache needs no more disk; trusted workers serve both pools")
  func fits() {
    #expect(order([queue(1)], worker(disk: 0, cached: [digest("d")])).queues.count == 1)
    #expect(
      order([queue(1), queue(2, pool: .trusted)], worker(trusted: true)).queues.count == 2)
  }

  @Test("50,000 lines do not starve ten: the small key's work is done within twice its own length")
  func fairShares() {
    var keys = ["big": 0.0, "small": 0.0]
    var waiting = ["big": 50_000, "small": 0]
    var present = 0.0
    var servedBetween = 0
    for step in 0..<2_000 {
      if step == 1_000 { waiting["small"] = 10 }
      let queues = waiting.filter { $0.value > 0 }.map { name, count in
        queue(name == "big" ? 1 : 2, key: name, keyTime: keys[name] ?? 0, waiting: count)
      }
      guard
        let next = Scheduler.order(queues, for: worker(), present: present, now: noon).queues.first
      else { break }
      let start = FairShare.start(own: next.keyVirtualTime, present: present)
      present = max(present, start)
      keys[next.keyID] = FairShare.finish(start: start, flops: 1, weight: 1)
      waiting[next.keyID, default: 0] -= 1
      if step >= 1_000, next.keyID == "big", waiting["small", default: 0] > 0 { servedBetween += 1 }
    }
    #expect(waiting["small"] == 0)
    #expect(servedBetween <= 11)
  }

  @Test("shares follow the weights")
  func weights() {
    var times = ["a": 0.0, "b": 0.0]
    var served = ["a": 0, "b": 0]
    var present = 0.0
    for _ in 0..<4_000 {
      let queues = [
        queue(1, key: "a", keyTime: times["a"] ?? 0), queue(2, key: "b", keyTime: times["b"] ?? 0),
      ]
      guard
        let next = Scheduler.order(queues, for: worker(), present: present, now: noon).queues.first
      else { break }
      let start = FairShare.start(own: next.keyVirtualTime, present: present)
      present = max(present, start)
      times[next.keyID] = FairShare.finish(
        start: start, flops: 1, weight: next.keyID == "a" ? 3 : 1)
      served[next.keyID, default: 0] += 1
    }
    #expect(abs((served["a"] ?? 0) - 3_000) <= 3)
  }
}

@Suite("Unit sizing")
struct UnitSizingTests {
  let policy = CoordinatorPolicy()
  private let request = UnitSizing.Request(
    sequences: 1, flops: 1e12, cacheTokens: 100, longestTokens: 100)

  private func taken(
    _ worker: WorkerProfile, waiting: Int = 100_000, seconds: Double = 1e6, workers: Int = 1,
    _ request: UnitSizing.Request
  ) -> Int {
    var sizing = UnitSizing(
      queue: queue(1, waiting: waiting), worker: worker, secondsLeft: seconds,
      activeWorkers: workers, policy)
    while sizing.take(request) {}
    return sizing.count
  }

  @Test("a unit fills the target's seconds at the worker's speed")
  func time() {
    #expect(taken(worker(speed: 1e12), request) == policy.targetUnitSeconds)
    #expect(taken(worker(speed: 2e12), request) == 2 * policy.targetUnitSeconds)
    #expect(taken(worker(speed: 1e12), seconds: 5, request) == 5)
  }

  @Test("at least one request, however slow the worker; at most the limit, however fast")
  func bounds() {
    #expect(taken(worker(speed: 1), request) == 1)
    #expect(taken(worker(speed: 1e18), request) == policy.maximumSequencesPerUnit)
    let wide = UnitSizing.Request(sequences: 100, flops: 1, cacheTokens: 1, longestTokens: 1)
    #expect(taken(worker(speed: 1e18), wide) == policy.maximumSequencesPerUnit / 100)
  }

  @Test("a worker that has shown nothing yet starts small")
  func unknown() {
    let tiny = UnitSizing.Request(sequences: 1, flops: 1, cacheTokens: 1, longestTokens: 1)
    #expect(taken(worker(speed: nil), tiny) == policy.firstUnitSequences)
  }

  @Test("the cache of all sequences fits into memory")
  func memory() {
    let room = UnitMemory.leastBytes(cost, .f16) + 1000 * 100 * cost.cacheBytesPerToken / 10
    #expect(taken(worker(memory: room, speed: 1e18), request) == 100)
  }

  @Test("a request whose longest sequence exceeds the worker's memory is not even taken first")
  func tooLong() {
    let room = UnitMemory.leastBytes(cost, .f16) + 1000 * cost.cacheBytesPerToken
    var long = request
    long.longestTokens = 1000
    #expect(taken(worker(memory: room, speed: 1), long) == 1)
    long.longestTokens = 1001
    #expect(taken(worker(memory: room, speed: 1), long) == 0)
  }

  @Test("the end of a queue is shared out between the workers")
  func guided() {
    #expect(taken(worker(speed: 1e18), waiting: 24, workers: 4, request) == 6)
    #expect(taken(worker(speed: 1e18), waiting: 1, workers: 4, request) == 1)
  }

  @Test("lengths are learned from finished sequences")
  func estimate() {
    #expect(GenerationEstimate().tokens(limit: 2000) == 256)
    #expect(GenerationEstimate().tokens(limit: 20) == 20)
    #expect(GenerationEstimate(tokens: 500, sequences: 10).tokens(limit: 2000) == 60)
    #expect(GenerationEstimate(tokens: 0, sequences: 10).tokens(limit: 2000) == 1)
  }
}
