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

@Suite("Lease terms")
struct LeaseTermsTests {
  let policy = CoordinatorPolicy()

  private func terms(
    _ own: Double, queued: Double = 0, usual: Double = 240, slowest: Double = 240,
    download: Int = 0, isAwaited: Bool = false
  ) -> LeaseTerms {
    LeaseTerms(
      LeaseTerms.Expectation(own: own, queued: queued, usual: usual, slowest: slowest),
      downloadBytes: download, isAwaited: isAwaited, now: noon, policy)
  }

  private func seconds(_ time: Timestamp) -> Double { time.seconds(since: noon) }

  @Test("deadlines follow the worker's speed, within bounds")
  func deadlines() {
    func first(_ own: Double, queued: Double = 0) -> Double {
      seconds(terms(own, queued: queued).deadline)
    }
    #expect(first(1) == 120)
    #expect(first(100) == 200)
    #expect(first(100, queued: 100) == 400)
    // Who says nothing has no unit for longer than that, however slow it is.
    #expect(first(100, queued: 400) == 600)
    #expect(first(1e9) == 600 && first(.infinity) == 600)
    // What a round waits for does not stay with a worker that is gone, however long it takes.
    let awaited = terms(10_800, queued: 60, usual: 10_800, slowest: 1e6, isAwaited: true)
    #expect(seconds(awaited.deadline) == 240)
    #expect(seconds(awaited.lastDeadline) == 86_400)
    // Nor with one that says that it is there, for more than ten times as long as it should take.
    #expect(seconds(terms(90, isAwaited: true).lastDeadline) == 900)
    #expect(seconds(terms(0.01, isAwaited: true).lastDeadline) == 480)
  }

  @Test("a worker that seems slow on purpose holds a unit little longer than others")
  func feignedSlowness() {
    let batch = terms(1e6, queued: 1e6, slowest: 20)
    #expect(seconds(batch.deadline) == 600 && seconds(batch.idleDeadline) == 3_600)
    #expect(seconds(batch.late) == 720 && seconds(batch.lastDeadline) == 3_600)
    let shard = terms(1e6, queued: 1e6, usual: 900, slowest: 5_000, isAwaited: true)
    #expect(seconds(shard.deadline) == 240 && seconds(shard.idleDeadline) == 840)
    #expect(seconds(shard.late) == 2_700 && seconds(shard.lastDeadline) == 10_000)
    // What it has to do before counts for its patience alone.
    let queued = terms(100, queued: 1e6, isAwaited: true)
    #expect(queued.late == terms(100, isAwaited: true).late)
  }

  @Test("an honest machine that is ten times slower than planned ends its unit")
  func honestSlowness() {
    for isAwaited in [false, true] {
      for own in [60.0, 600, 3_000] {
        let terms = self.terms(own, usual: own, slowest: 4 * own, isAwaited: isAwaited)
        var deadline = terms.deadline
        var now = noon
        while seconds(now) < 10 * own {
          now = now.adding(seconds: policy.heartbeatSeconds)
          let share = seconds(now) / (10 * own)
          deadline = LeaseTerms.extended(
            deadline, idle: terms.idleDeadline, last: terms.lastDeadline,
            LeaseTerms.Progress(issued: noon, latest: now, share: share), now: now, policy)
          guard deadline >= now else { break }
        }
        #expect(seconds(deadline) >= 10 * own, "\(own) s, awaited: \(isAwaited)")
      }
    }
  }

  @Test("a replica is late after three times its time; a download of the model is allowed for")
  func late() {
    func late(_ own: Double, download: Int = 0) -> Double {
      seconds(terms(own, download: download).late)
    }
    #expect(late(1) == 120 && late(100) == 300)
    #expect(late(100, download: 100_000_000) == 400)
    #expect(late(100, download: .max) == 3_900)
  }

  @Test("heartbeats extend a lease, but not for ever")
  func extension_() {
    let terms = self.terms(60)
    var deadline = terms.deadline
    var now = noon
    while deadline > now {
      now = now.adding(seconds: policy.heartbeatSeconds)
      let next = LeaseTerms.extended(
        deadline, idle: terms.idleDeadline, last: terms.lastDeadline,
        LeaseTerms.Progress(issued: noon, latest: now, share: 1), now: now, policy)
      #expect(next >= deadline)
      deadline = next
    }
    #expect(deadline == noon.adding(seconds: policy.minimumExtensionSeconds))
  }

  @Test("a lease lives as far as its worker has got with the unit, if it may have got there")
  func progress() {
    let terms = self.terms(60)
    /// When a lease ends whose worker says this once, so many seconds after it began, and nothing
    /// new afterwards; nil: when it was is not known.
    func end(share: Double, after began: Int?) -> Double {
      var deadline = terms.deadline
      var now = noon
      while deadline > now {
        now = now.adding(seconds: policy.heartbeatSeconds)
        let latest = began.map { noon.adding(seconds: $0) }
        let isSaid = latest.map { $0 <= now } ?? true
        deadline = LeaseTerms.extended(
          deadline, idle: terms.idleDeadline, last: terms.lastDeadline,
          LeaseTerms.Progress(
            issued: noon, latest: isSaid ? latest : nil, share: isSaid ? share : 0),
          now: now, policy)
      }
      return seconds(deadline)
    }
    for share in [0, -1, Double.nan] { #expect(end(share: share, after: nil) == 600) }
    #expect(end(share: 0.5, after: nil) == 2_100 && end(share: 7, after: nil) == 3_600)
    // A claim is worth as long again as it took, and the patience.
    #expect(end(share: 1, after: 30) == 660 && end(share: 7, after: 30) == 660)
    #expect(end(share: 1, after: 540) == 1_680)
    #expect(end(share: 0.1, after: 540) == 900, "nor more than its share")
  }

  @Test("measured speed moves by a quarter, and at most doubles with a unit")
  func speed() {
    #expect(MeasuredSpeed.updated(nil, flops: 1e12, seconds: 20) == 5e10)
    #expect(MeasuredSpeed.updated(nil, flops: 1e12, seconds: 1e-3, first: 3e10) == 3e10)
    #expect(MeasuredSpeed.updated(1e11, flops: 1e12, seconds: 5) == 1.25e11)
    #expect(MeasuredSpeed.updated(1e11, flops: 0, seconds: 5) == 1e11)
    #expect(MeasuredSpeed.updated(1e11, flops: 1e12, seconds: 1e-12) == 2e11)
  }

  @Test(
    "a claim counts between what passed since the result before and what passed since the lease")
  func claims() {
    func seconds(_ claimed: Double?, before: Int? = nil) -> Double {
      MeasuredSpeed.seconds(
        claimed: claimed, issued: noon, before: before.map { noon.adding(seconds: $0) },
        now: noon.adding(seconds: 20))
    }
    #expect(seconds(1e-12) == 20 && seconds(nil) == 20 && seconds(.nan) == 20)
    #expect(seconds(1e-12, before: -100) == 20)
    #expect(seconds(1e-12, before: 15) == 5)
    #expect(seconds(8, before: 15) == 8)
    #expect(seconds(90, before: 15) == 20)
  }
}

@Suite("Shares and draws")
struct ShareTests {
  let policy = CoordinatorPolicy()

  @Test("one alone may hold all of a queue, one of many little more than its part")
  func shares() {
    func room(_ held: Int, _ left: Int, among workers: Int) -> Int {
      LeaseShare.room(held: held, left: left, share: LeaseShare.ofWorker(among: workers))
    }
    #expect(room(0, 6_000, among: 1) == 6_000 && room(5_000, 1_000, among: 1) == 1_000)
    #expect(room(0, 6_000, among: 2) == 4_000 && room(4_000, 2_000, among: 2) == 0)
    #expect(room(0, 6_000, among: 11) == 1_000 && room(100, 0, among: 3) == 0)
    #expect(LeaseShare.ofAccount(among: 1) == 1 && LeaseShare.ofAccount(among: 100) == 0.5)
  }

  @Test("giving back is free for restarts, and then as rare as they are")
  func returns() {
    var (counted, waited): (Timestamp?, [Double]) = (nil, [])
    for _ in 0..<13 {
      let sum = ReturnRate.adding(to: counted, workers: 1, now: noon, policy)
      counted = sum
      waited.append(max(0, ReturnRate.heldBackUntil(sum, policy).seconds(since: noon)))
    }
    #expect(waited == Array(repeating: 0, count: 10) + [120, 240, 360])
    // A day later nothing of it counts; an account of many machines may give back as much for each.
    let tomorrow = noon.adding(seconds: 86_400)
    let sum = ReturnRate.adding(to: counted, workers: 60, now: tomorrow, policy)
    #expect(sum == tomorrow.adding(seconds: 2))
  }

  @Test("SipHash-2-4 is that of its authors")
  func sipHash() {
    let key: (UInt64, UInt64) = (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908)
    #expect(SipHash.hash([], key: key) == 0x726f_db47_dd0e_0e31)
    #expect(SipHash.hash(Array(0..<15), key: key) == 0xa129_ca61_49be_45e5)
  }

  @Test("one account of all is drawn on average, then twice as many with each epoch")
  func draws() {
    let draw = Sortition(secret: "abcdefghijkl0123456789xyz")
    func drawn(after seconds: Int, candidates: Int = 16, places: Int = 1) -> Double {
      var count = 0
      for unit in 0..<500 {
        for account in 0..<candidates
        where draw.isDrawn(
          "account-\(account)", unit: "\(unit)", since: noon, now: noon.adding(seconds: seconds),
          places: places, candidates: candidates, epochSeconds: 10)
        { count += 1 }
      }
      return Double(count) / 500
    }
    #expect(abs(drawn(after: 0) - 1) < 0.2 && abs(drawn(after: 9) - 1) < 0.2)
    #expect(abs(drawn(after: 10) - 2) < 0.3)
    #expect(abs(drawn(after: 0, places: 2) - 2) < 0.3)
    #expect(abs(drawn(after: 30) - 8) < 0.6)
    #expect(drawn(after: 40) == 16 && drawn(after: Int.max / 2000) == 16)
    #expect(drawn(after: 0, candidates: 1) == 1, "with one other account nobody waits")
  }

  @Test("who was drawn stays drawn, and another secret draws others")
  func circles() {
    let draw = Sortition(secret: "abcdefghijkl0123456789xyz")
    let other = Sortition(secret: "abcdefghijkm0123456789xyz")
    var differing = 0
    for unit in 0..<200 {
      var wasDrawn = false
      for epoch in 0..<6 {
        let now = noon.adding(seconds: epoch * 10)
        func isDrawn(_ draw: Sortition) -> Bool {
          draw.isDrawn(
            "ann", unit: "\(unit)", since: noon, now: now, places: 1, candidates: 30,
            epochSeconds: 10)
        }
        if isDrawn(draw) != isDrawn(other) { differing += 1 }
        #expect(isDrawn(draw) || !wasDrawn)
        wasDrawn = isDrawn(draw)
      }
      #expect(wasDrawn)
    }
    #expect(differing > 50)
  }
}
