import CoordinatorCore
import CoordinatorStore
import Foundation
import Testing
import WirePayloads
import WireProtocol

/// How long leases last for workers that are late, seem slow, claim progress or make none.
@Suite("Store contract: terms of leases")
struct LeaseTermsContractTests {
  @Test(
    "a unit that has one result waits no longer for a late replica", arguments: StoreKind.allCases)
  func lateReplica(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 4)
      let a = try await lab.worker("a", account: "ann")
      let zombie = try await lab.worker("zombie", account: "zoe")
      let c = try await lab.worker("c", account: "carl")
      let first = try #require(try await lab.lease(a).first)
      let second = try #require(try await lab.lease(zombie).first)
      try await lab.submit(first, by: a)
      var spare: Lease?
      // The silence, and a hundred seconds for 100 MiB of model.
      for seconds in [60, 160, 226] {
        let now = Laboratory.start.adding(seconds: seconds)
        let beat = try await lab.store.heartbeat(
          lease: second.id, worker: zombie.id, flopsDone: 0, now: now)
        #expect(beat.verdict == .proceed)
        _ = try await lab.store.tick(now: now)
        spare = try await lab.lease(c, now: now).first
        #expect((spare == nil) == (seconds < 226), "\(seconds)")
      }
      let taken = try #require(spare)
      #expect(taken.unit == first.unit)
      #expect(try await lab.submit(taken, by: c, now: Laboratory.start.adding(seconds: 250)).state
        == .accepted)
    }
  }

  @Test(
    "a worker that dragged its first unit out holds the next ones no longer than others would",
    arguments: StoreKind.allCases)
  func feignedSlowness(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let start = Laboratory.start
      _ = try await lab.runningBatch(lines: 40)
      let zoe = try await lab.worker("zombie", account: "zoe")
      let a = try await lab.worker("a", account: "ann")
      let c = try await lab.worker("c", account: "carl")
      func beat(_ lease: Lease, share: Double, at seconds: Int) async throws
        -> HeartbeatResponse.Verdict
      {
        try await lab.store.heartbeat(
          lease: lease.id, worker: zoe.id, flopsDone: share * lease.estimatedFlops,
          now: start.adding(seconds: seconds)
        ).verdict
      }
      let dragged = try #require(try await lab.lease(zoe).first)
      for seconds in stride(from: 100, to: 3_500, by: 100) {
        #expect(try await beat(dragged, share: Double(seconds) / 3_500, at: seconds) == .proceed)
      }
      let ended = start.adding(seconds: 3_500)
      try await lab.submit(dragged, by: zoe, now: ended)
      let other = try #require(try await lab.lease(a, now: ended).first)
      #expect(try await lab.submit(other, by: a, now: ended.adding(seconds: 10)).state == .accepted)

      // At the speed that this shows, its next unit takes a quarter of an hour.
      let now = ended.adding(seconds: 20)
      let held = try #require(try await lab.lease(zoe, now: now).first)
      let machine = try await lab.store.fleet(now: now).workers.first { $0.id == zoe.id }
      let speed = try #require(machine?.flopsPerSecond)
      #expect(held.estimatedFlops / speed > 600)
      #expect(held.deadlineSeconds == 600)
      let second = try #require(try await lab.lease(a, now: now).first)
      #expect(second.unit == held.unit)
      try await lab.submit(second, by: a, now: now.adding(seconds: 10))
      // It says at once that it is done, and sends nothing.
      var end: Int?
      for seconds in stride(from: 30, through: 6_000, by: 30) where end == nil {
        let time = now.adding(seconds: seconds)
        _ = try await lab.store.tick(now: time)
        if try await beat(held, share: 1, at: 3_520 + seconds) == .abandon { end = seconds }
        if seconds == 840 {
          // Three times what a unit may usually take, and a download.
          #expect(try await lab.lease(c, now: time).first?.unit == held.unit)
        }
      }
      let seconds = try #require(end)
      #expect(seconds <= 3_750)
    }
  }

  @Test(
    "a worker that says at once that it is nearly done gains minutes", arguments: StoreKind.allCases
  )
  func claimedProgress(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 4)
      let zoe = try await lab.worker("zombie", account: "zoe")
      let lease = try #require(try await lab.lease(zoe).first)
      var end: Int?
      for seconds in stride(from: 30, through: 3_600, by: 30) where end == nil {
        let answer = try await lab.store.heartbeat(
          lease: lease.id, worker: zoe.id, flopsDone: 0.99 * lease.estimatedFlops,
          now: Laboratory.start.adding(seconds: seconds))
        if answer.verdict == .abandon { end = seconds }
      }
      // The patience of ten minutes, and a hundred seconds for 100 MiB of model.
      let seconds = try #require(end)
      #expect(seconds > 600 && seconds <= 750)
    }
  }

  @Test("a worker that gets no further loses its lease", arguments: StoreKind.allCases)
  func noProgress(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 8)
      let zombie = try await lab.worker("zombie", account: "zoe")
      let slow = try await lab.worker("slow", account: "sue")
      let stuck = try #require(try await lab.lease(zombie).first)
      let moving = try #require(try await lab.lease(slow).first)
      // 100 MiB of model may have to be fetched first.
      var ended: Int?
      for seconds in stride(from: 30, through: 3_000, by: 30) {
        let now = Laboratory.start.adding(seconds: seconds)
        _ = try await lab.store.tick(now: now)
        let beat = try await lab.store.heartbeat(
          lease: stuck.id, worker: zombie.id, flopsDone: 0, now: now)
        if beat.verdict == .abandon, ended == nil { ended = seconds }
        let share = Double(seconds) / 3_600
        let other = try await lab.store.heartbeat(
          lease: moving.id, worker: slow.id, flopsDone: share * moving.estimatedFlops, now: now)
        #expect(other.verdict == .proceed, "\(seconds)")
      }
      let end = try #require(ended)
      #expect(end > 600 && end < 800)
    }
  }

  @Test(
    "leases, replays and windows move with a clock that was set", arguments: StoreKind.allCases)
  func clockIsSet(kind: StoreKind) async throws {
    for days in [40, -40] {
      try await kind.withLaboratory { lab async throws in
        let now = Laboratory.start
        let batch = try await lab.runningBatch(lines: 1, windowSeconds: 3600)
        let a = try await lab.worker("a", account: "ann")
        let lease = try #require(try await lab.lease(a).first)
        try await lab.store.moveDeadlines(
          seconds: Double(days * 86_400), now: now.adding(seconds: days * 86_400))
        let set = now.adding(seconds: days * 86_400 + 10)
        let report = try await lab.store.tick(now: set)
        #expect(report.expiredLeases == 0 && report.expiredBatches == 0)
        let answer = try await lab.store.heartbeat(
          lease: lease.id, worker: a.id, flopsDone: 1, now: set)
        #expect(answer.verdict == .proceed && answer.deadlineSeconds <= 86_400)
        let late = try await lab.store.tick(now: set.adding(seconds: 3600))
        #expect(late.expiredBatches == 1)
        #expect(try await lab.batch(batch.id).state != .inProgress)
      }
    }
  }
}
