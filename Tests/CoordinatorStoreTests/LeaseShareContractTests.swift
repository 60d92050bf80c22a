import CoordinatorCore
import CoordinatorStore
import Foundation
import Testing
import WirePayloads
import WireProtocol

/// How much of the work each worker is given, and in which order.
@Suite("Store contract: shares of work")
struct LeaseShareContractTests {
  @Test(
    "a worker cannot hoard leases, and gets more when it has given some back",
    arguments: StoreKind.allCases)
  func hoarding(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 1_000, pool: .trusted)
      let t = try await lab.worker("t", account: "lab", trusted: true)
      var held: [Lease] = []
      while let lease = try await lab.lease(t).first, held.count < 100 { held.append(lease) }
      #expect(held.count == CoordinatorPolicy().maximumRunningLeases)
      #expect(try await lab.idleReasons(t) == [.holdsEnough: 1])
      try await lab.abandon(held[0], by: t, .shuttingDown)
      #expect(try await lab.lease(t).count == 1)
    }
  }

  @Test(
    "nobody holds more than a share of a queue, and one alone may hold all of it",
    arguments: StoreKind.allCases)
  func shares(kind: StoreKind) async throws {
    for accounts in [1, 2, 11] {
      try await kind.withLaboratory { lab async throws in
        _ = try await lab.runningBatch(lines: 400)
        var workers: [WorkerRecord] = []
        for index in 0..<accounts {
          let worker = try await lab.worker("w\(index)", account: "account-\(index)")
          // Everyone is there, but the others have no memory for the work.
          _ = try await lab.store.lease(
            worker: worker.id, request: Laboratory.leaseRequest(memory: 1), now: Laboratory.start)
          workers.append(worker)
        }
        var held = 0
        while let lease = try await lab.lease(workers[0]).first {
          held += try await lab.inputs(lease.specification).sequences.count
        }
        let share = min(1, 2 / Double(accounts + 1))
        let most = min(Double(CoordinatorPolicy().maximumRunningLeases * 4), share * 400 + 4)
        #expect(Double(held) <= most && Double(held) >= min(most - 8, 120), "\(accounts): \(held)")
        guard accounts > 1 else { return }
        let told = try await lab.idleReasons(workers[0])
        #expect((told[.holdsEnough] ?? 0) > 0 && told[.paused] == nil, "\(accounts): \(told)")
      }
    }
  }

  @Test("units grow with the speed that a worker has shown", arguments: StoreKind.allCases)
  func sizing(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 2_000, pool: .trusted, maxTokens: 10)
      let fast = try await lab.worker("fast", account: "lab", trusted: true)
      let slow = try await lab.worker("slow", account: "lab", trusted: true)
      // A request is about 15 tokens of 1 GFLOP.
      for (worker, seconds) in [(fast, 0.4), (slow, 400)] {
        let lease = try #require(try await lab.lease(worker).first)
        #expect(try await lab.inputs(lease.specification).sequences.count == 4)
        try await lab.submit(
          lease, by: worker, seconds: seconds, now: Laboratory.start.adding(seconds: seconds))
      }
      let big = try #require(try await lab.lease(fast).first)
      let small = try #require(try await lab.lease(slow).first)
      #expect(try await lab.inputs(big.specification).sequences.count == 256)
      #expect(try await lab.inputs(small.specification).sequences.count == 1)
      let several = try await lab.lease(fast, units: 3)
      #expect(several.count == 3 && Set(several.map(\.unit)).count == 3)
    }
  }

  @Test(
    "speed is learnt from accepted results alone, and at most doubles with one",
    arguments: StoreKind.allCases)
  func claimedSpeed(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 6_000)
      let liar = try await lab.worker("liar", account: "mallory")
      let other = try await lab.worker("other", account: "ann")
      func size(_ lease: Lease) async throws -> Int {
        try await lab.inputs(lease.specification).sequences.count
      }
      func speed(now: Timestamp) async throws -> Double? {
        try await lab.store.fleet(now: now).workers.first { $0.id == liar.id }?.flopsPerSecond
      }
      var now = Laboratory.start
      for _ in 0..<10 {
        let lease = try #require(try await lab.lease(liar, now: now).first)
        #expect(try await size(lease) == 4)
        now = now.adding(seconds: 10)
        try await lab.submit(lease, by: liar, seconds: 1e-12, now: now)
        #expect(try await speed(now: now) == nil, "an unverified claim shows nothing")
      }
      // Its results are right: it gets units of what it did in the time since the lease.
      for _ in 0..<10 {
        let lease = try #require(try await lab.lease(other, now: now).first)
        now = now.adding(seconds: 10)
        try await lab.submit(lease, by: other, seconds: 10, now: now)
      }
      let learnt = try #require(try await speed(now: now))
      #expect(learnt > 3e9 && learnt < 2e10, "about 60 GFLOP in 10 seconds: \(learnt)")
      let lease = try #require(try await lab.lease(liar, now: now).first)
      #expect(try await size(lease) < 80)
    }
  }

  @Test(
    "a slow worker is given units of its size, and a large replica only when nothing else is left",
    arguments: StoreKind.allCases)
  func largeReplicas(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 300)
      let fast = try await lab.worker("fast", account: "ann")
      let slow = try await lab.worker("slow", account: "bob")
      for (worker, seconds) in [(fast, 0.1), (slow, 1_000)] {
        try await lab.submit(
          try #require(try await lab.lease(worker).first), by: worker, seconds: seconds,
          now: Laboratory.start.adding(seconds: seconds))
      }
      let large = try #require(try await lab.lease(fast).first)
      #expect(try await lab.inputs(large.specification).sequences.count > 100)
      var sizes: [Int] = []
      var last: Lease?
      while let lease = try await lab.lease(slow).first {
        sizes.append(try await lab.inputs(lease.specification).sequences.count)
        try await lab.submit(
          lease, by: slow, seconds: 1_000, now: Laboratory.start.adding(seconds: 2_000))
        last = lease
      }
      #expect(sizes.count > 100 && sizes.dropLast().allSatisfy { $0 <= 4 }, "\(sizes)")
      #expect(last?.unit == large.unit)
    }
  }

  @Test("a batch of 5,000 lines does not starve ten of another key", arguments: StoreKind.allCases)
  func fairShares(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 5_000)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      // Ann runs far ahead: hundreds of units wait for a second account.
      for _ in 0..<100 {
        for lease in try await lab.lease(a) { try await lab.submit(lease, by: a, seconds: 1000) }
      }
      let small = try await lab.withKey("small").runningBatch(lines: 10)
      var leases = 0
      while try await lab.batch(small.id).state == .inProgress, leases < 100 {
        for worker in [a, b] {
          for lease in try await lab.lease(worker) {
            try await lab.submit(lease, by: worker, seconds: 1000)
            leases += 1
          }
        }
      }
      #expect(leases < 60, "ten requests, twice each, in turns with the other key")
      #expect(try await lab.batch(small.id).completed == 10)
    }
  }

  @Test(
    "within a key, priority decides, then the batches take turns", arguments: StoreKind.allCases)
  func priorities(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let normal = try await lab.runningBatch(lines: 100, pool: .trusted)
      let urgent = try await lab.runningBatch(lines: 8, pool: .trusted, priority: 5)
      let t = try await lab.worker("t", account: "lab", trusted: true)
      let lease = try #require(try await lab.lease(t).first)
      try await lab.submit(lease, by: t)
      #expect(try await lab.batch(urgent.id).completed == 4)
      #expect(try await lab.batch(normal.id).completed == 0)
    }
  }
}
