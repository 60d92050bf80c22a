import CoordinatorCore
import CoordinatorStore
import Foundation
import Testing
import WirePayloads
import WireProtocol

/// How leases end without a result, and what that means for worker, account and unit.
@Suite("Store contract: ends of leases")
struct LeaseEndContractTests {
  @Test(
    "a lease ends in silence, lives on heartbeats, and its unit goes to another",
    arguments: StoreKind.allCases)
  func expiry(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let start = Laboratory.start
      _ = try await lab.runningBatch(lines: 4)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      let c = try await lab.worker("c", account: "carl")
      let first = try #require(try await lab.lease(a).first)
      let second = try #require(try await lab.lease(b).first)
      let half = start.adding(seconds: first.deadlineSeconds - 1)
      #expect(try await lab.store.tick(now: half).expiredLeases == 0)
      let alive = try await lab.store.heartbeat(
        lease: first.id, worker: a.id, flopsDone: 5, now: half)
      #expect(alive.verdict == .proceed && alive.deadlineSeconds == 120)
      let later = half.adding(seconds: 10)
      #expect(try await lab.store.tick(now: later).expiredLeases == 1)
      let third = try #require(try await lab.lease(c, now: later).first)
      #expect(third.unit == first.unit)
      #expect(
        try await lab.store.heartbeat(lease: second.id, worker: b.id, flopsDone: 0, now: later)
          .verdict == .abandon)
      try await lab.submit(first, by: a, now: later)
      #expect(try await lab.submit(third, by: c, now: later).state == .accepted)
      // Too late to be needed, right all the same: paid once, like the others.
      let late = try await lab.submit(second, by: b, now: later)
      #expect(late.state == .accepted && late.credit > 0)
      #expect(try await lab.submit(second, by: b, now: later) == late)
    }
  }

  @Test(
    "after an outage of the coordinator, workers that are still at it go on",
    arguments: StoreKind.allCases)
  func outage(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 4)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      let c = try await lab.worker("c", account: "carl")
      let first = try #require(try await lab.lease(a).first)
      let second = try #require(try await lab.lease(b).first)
      let back = Laboratory.start.adding(seconds: 1_200)
      #expect(try await lab.store.tick(now: back).expiredLeases == 2)
      let alive = try await lab.store.heartbeat(
        lease: first.id, worker: a.id, flopsDone: first.estimatedFlops / 2, now: back)
      #expect(alive.verdict == .proceed && alive.deadlineSeconds == 120)
      #expect(
        try await lab.store.mayRead(
          blob: first.specification.inputs, worker: a.id, now: back))
      // The other's place is taken before it is heard of; when its result comes, it counts.
      let third = try #require(try await lab.lease(c, now: back).first)
      #expect(third.unit == second.unit)
      #expect(
        try await lab.store.heartbeat(lease: second.id, worker: b.id, flopsDone: 5, now: back)
          .verdict == .abandon)
      try await lab.submit(second, by: b, now: back)
      #expect(try await lab.submit(first, by: a, now: back).state == .accepted)
      let tooLong = Laboratory.start.adding(seconds: 4_000)
      #expect(
        try await lab.store.heartbeat(lease: third.id, worker: c.id, flopsDone: 5, now: tooLong)
          .verdict == .abandon)
    }
  }

  @Test(
    "a worker that fails waits longer each time; one that shuts down does not",
    arguments: StoreKind.allCases)
  func backoff(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      var now = Laboratory.start
      _ = try await lab.runningBatch(lines: 4)
      let a = try await lab.worker("a", account: "ann")
      func abandon(_ reason: Abandonment.Reason) async throws {
        let lease = try #require(try await lab.lease(a, now: now).first)
        for _ in 0..<2 {
          try await lab.abandon(lease, by: a, reason, detail: "why", now: now)
        }
      }
      try await abandon(.shuttingDown)
      for wait in [30, 60, 120] {
        try await abandon(.outOfMemory)
        #expect(
          try await lab.idleReasons(a, now: now.adding(seconds: wait - 1)) == [.failedLately: 1])
        now = now.adding(seconds: wait)
      }
      let lease = try #require(try await lab.lease(a, now: now).first)
      try await lab.submit(lease, by: a, now: now)
      _ = try await lab.lease(a, now: now)
    }
  }

  @Test(
    "a lease that ends in silence is a failure; a machine that goes away with several failed once",
    arguments: StoreKind.allCases)
  func silence(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      var now = Laboratory.start
      _ = try await lab.runningBatch(lines: 400, pool: .trusted)
      let t = try await lab.worker("t", account: "lab", trusted: true)
      for _ in 0..<3 { #expect(try await lab.lease(t, now: now).count == 1) }
      now = now.adding(seconds: 300)
      #expect(try await lab.store.tick(now: now).expiredLeases == 3)
      #expect(try await lab.idleReasons(t, now: now.adding(seconds: 29)) == [.failedLately: 1])
      for wait in [60, 120] {
        now = now.adding(seconds: wait)
        // Who failed holds one unit at a time until a result of it is accepted.
        #expect(try await lab.lease(t, now: now).count == 1)
        #expect(try await lab.lease(t, now: now).isEmpty)
        now = now.adding(seconds: 300)
        #expect(try await lab.store.tick(now: now).expiredLeases == 1)
        let almost = now.adding(seconds: wait - 1)
        #expect(try await lab.idleReasons(t, now: almost) == [.failedLately: 1])
      }
    }
  }

  @Test(
    "only an accepted result that came after a row of failures ends it, of worker and account",
    arguments: StoreKind.allCases)
  func rowOfFailures(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      var now = Laboratory.start
      _ = try await lab.runningBatch(lines: 40)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      func fail() async throws -> Int {
        let lease = try #require(try await lab.lease(a, now: now).first)
        try await lab.abandon(lease, by: a, .failed, now: now)
        return try await lab.store.lease(
          worker: a.id, request: Laboratory.leaseRequest(), now: now
        ).retryAfterSeconds
      }
      /// Bob computes what he gets until a unit has both results.
      func accept() async throws {
        var isAccepted = false
        while !isAccepted {
          let lease = try #require(try await lab.lease(b, now: now).first)
          isAccepted = try await lab.submit(lease, by: b, now: now).state == .accepted
        }
      }
      #expect(try await fail() == 30)
      now = now.adding(seconds: 30)
      let waiting = try #require(try await lab.lease(a, now: now).first)
      #expect(try await lab.submit(waiting, by: a, now: now).state == .awaitingReplica)
      now = now.adding(seconds: 1)
      #expect(try await fail() == 60, "an unverified result shows nothing")
      now = now.adding(seconds: 60)
      try await accept()
      #expect(try await fail() == 120, "nor does one from before the last failure")
      now = now.adding(seconds: 120)
      let last = try #require(try await lab.lease(a, now: now).first)
      if try await lab.submit(last, by: a, now: now).state != .accepted { try await accept() }
      #expect(try await fail() == 30)
    }
  }

  @Test(
    "an account waits when as many failures in a row are its as it has workers",
    arguments: StoreKind.allCases)
  func accountBackoff(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      _ = try await lab.runningBatch(lines: 400)
      let one = try await lab.worker("one", account: "ann")
      let two = try await lab.worker("two", account: "ann")
      let three = try await lab.worker("three", account: "ann")
      var leases: [(Lease, WorkerRecord)] = []
      for worker in [one, two, three] {
        let lease = try #require(try await lab.lease(worker).first)
        leases.append((lease, worker))
      }
      for (index, (lease, worker)) in leases.enumerated() {
        if index == 2 { #expect(try await lab.lease(three).count == 1, "two of three failed") }
        try await lab.abandon(lease, by: worker, .failed, now: now)
      }
      let fresh = try await lab.worker("fresh", account: "ann")
      #expect(try await lab.idleReasons(fresh) == [.failedLately: 1])
      let other = try await lab.worker("other", account: "bob")
      #expect(try await lab.lease(other).count == 1)
    }
  }

  @Test(
    "what an account gave up goes to others first, and back when nobody else is there",
    arguments: StoreKind.allCases)
  func goingBack(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      _ = try await lab.runningBatch(lines: 4)
      let a = try await lab.worker("a", account: "ann")
      let lease = try #require(try await lab.lease(a).first)
      func giveBack(_ lease: Lease) async throws {
        try await lab.abandon(lease, by: a, .shuttingDown, now: now)
      }
      try await giveBack(lease)
      let again = try #require(try await lab.lease(a).first, "nobody else is there")
      #expect(again.unit == lease.unit)
      try await giveBack(again)
      let b = try await lab.worker("b", account: "bob")
      _ = try await lab.store.lease(
        worker: b.id, request: Laboratory.leaseRequest(memory: 1), now: now)
      #expect(try await lab.idleReasons(a) == [.sameAccount: 2])
      #expect(try await lab.lease(b).first?.unit == lease.unit)
      #expect(try await lab.lease(a).first?.unit == lease.unit, "Bob has it already")
    }
  }

  @Test(
    "machines that may be given nothing are nobody whom a unit waits for",
    arguments: StoreKind.allCases)
  func heldBackIsNobody(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      _ = try await lab.runningBatch(lines: 4)
      let a = try await lab.worker("a", account: "ann")
      let c = try await lab.worker("c", account: "carl")
      let failed = try #require(try await lab.lease(c).first)
      try await lab.abandon(failed, by: c, .failed, now: now)
      let lease = try #require(try await lab.lease(a).first)
      try await lab.abandon(lease, by: a, .shuttingDown, now: now)
      // The account waits after its failure, and so does its other machine.
      let twin = try await lab.worker("twin", account: "carl")
      #expect(try await lab.idleReasons(twin) == [.failedLately: 1])
      let banned = try await lab.worker("b", account: "bob")
      _ = try await lab.store.lease(
        worker: banned.id, request: Laboratory.leaseRequest(memory: 1), now: now)
      #expect(try await lab.idleReasons(a) == [.sameAccount: 2])
      try await lab.store.ban(.worker(banned.id), reason: "", now: now)
      #expect(try await lab.lease(a).first?.unit == lease.unit)
    }
  }

  @Test(
    "more units given back than restarts explain hold an account back",
    arguments: StoreKind.allCases)
  func givingBack(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      _ = try await lab.runningBatch(lines: 400)
      let a = try await lab.worker("a", account: "ann")
      for index in 0..<11 {
        let lease = try #require(try await lab.lease(a).first, "\(index)")
        try await lab.abandon(lease, by: a, .shuttingDown, now: now)
      }
      #expect(try await lab.idleReasons(a, now: now.adding(seconds: 119)) == [.failedLately: 1])
      #expect(try await lab.lease(a, now: now.adding(seconds: 120)).count == 1)
    }
  }
}
