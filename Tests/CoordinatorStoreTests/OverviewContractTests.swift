import CoordinatorCore
import CoordinatorStore
import Testing
import WireProtocol

@Suite("Store contract: the fleet as everyone sees it")
struct OverviewContractTests {
  private let now = Laboratory.start.adding(seconds: 20)

  @Test("the fleet now: who is active, what runs and waits", arguments: StoreKind.allCases)
  func fleet(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let empty = try await lab.store.fleetNow(for: .everyone, listedWorkers: 10, now: now)
      #expect(empty.activeWorkers == 0 && empty.openJobs == 0 && empty.listedWorkers.isEmpty)
      let (ann, bob) = (
        try await lab.worker("a", account: "ann"), try await lab.worker("b", account: "bob")
      )
      _ = try await lab.store.changeAccount(named: "ann", AccountChange(isNamed: true), now: now)
      let batch = try await lab.runningBatch(lines: 40)
      let lease = try #require(try await lab.lease(ann).first)
      _ = try await lab.store.heartbeat(
        lease: lease.id, worker: ann.id, flopsDone: 12, now: Laboratory.start)
      _ = try await lab.lease(bob)
      let fleet = try await lab.store.fleetNow(for: .everyone, listedWorkers: 10, now: now)
      #expect(fleet.activeWorkers == 2 && fleet.activeAccounts == 2 && fleet.workers == 2)
      #expect(fleet.computingWorkers == 2 && fleet.runningReplicas == 2 && fleet.openJobs == 1)
      #expect(fleet.waitingRequests > 0)
      // Bob did not agree to be named.
      #expect(fleet.listedWorkers.map(\.id) == [ann.id])
      let all = try await lab.store.fleetNow(for: .operator, listedWorkers: 10, now: now)
      #expect(Set(all.listedWorkers.map(\.accountName)) == ["ann", "bob"])
      let running = try #require(fleet.listedWorkers.first?.running.first)
      #expect(running.job == batch.id && running.unit == lease.unit)
      #expect(running.model == lab.model.id && running.flopsDone == 12)
      #expect(running.flopsEstimated == lease.estimatedFlops)
      #expect(
        try await lab.store.fleetNow(for: .everyone, listedWorkers: 0, now: now).listedWorkers
          .isEmpty)

      let tomorrow = now.adding(seconds: 86_400)
      let later = try await lab.store.fleetNow(for: .everyone, listedWorkers: 10, now: tomorrow)
      #expect(later.activeWorkers == 0 && later.workers == 2 && later.listedWorkers.isEmpty)
    }
  }

  @Test("jobs of all keys, newest first, in pages", arguments: StoreKind.allCases)
  func jobs(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let other = try await lab.withKey("other")
      let first = try await lab.runningBatch(lines: 1)
      let second = try await other.runningBatch(lines: 1)
      let third = try await lab.runningBatch(lines: 1)
      let page = try await lab.store.jobs(after: nil, limit: 2)
      #expect(page.items.map(\.id) == [third.id, second.id] && page.hasMore)
      let rest = try await lab.store.jobs(after: second.id, limit: 2)
      #expect(rest.items.map(\.id) == [first.id] && !rest.hasMore)
      await #expect {
        try await lab.store.jobs(after: "batch_unknown", limit: 2)
      } throws: { ($0 as? StoreError)?.code == .unknownCursor }
    }
  }

  @Test("a job's units: what runs first, with replicas and consent", arguments: StoreKind.allCases)
  func units(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let batch = try await lab.runningBatch(lines: 3)
      #expect(try await lab.store.units(of: batch.id, for: .everyone, limit: 10).isEmpty)
      let (ann, bob) = (
        try await lab.worker("a", account: "ann"), try await lab.worker("b", account: "bob")
      )
      _ = try await lab.store.changeAccount(named: "ann", AccountChange(isNamed: true), now: now)
      try await lab.submit(try #require(try await lab.lease(ann).first), by: ann)
      var unit = try #require(
        try await lab.store.units(of: batch.id, for: .everyone, limit: 10).first)
      #expect(unit.state == .open && unit.missing == 1 && unit.endedAt == nil)
      #expect(unit.replicas.map(\.state) == [.submitted] && unit.replicas[0].seconds == 10)
      #expect(unit.replicas[0].names?.worker == "a" && unit.replicas[0].names?.account == "ann")

      try await lab.submit(try #require(try await lab.lease(bob).first), by: bob)
      try await lab.drain([ann, bob])
      let units = try await lab.store.units(of: batch.id, for: .everyone, limit: 10)
      #expect(units.allSatisfy { $0.state == .accepted && $0.verification == .quorum })
      #expect(units.reduce(0) { $0 + $1.requests } == 3)
      unit = try #require(units.first)
      #expect(Set(unit.replicas.map { $0.names?.account }) == ["ann", nil])
      unit = try #require(
        try await lab.store.units(of: batch.id, for: .operator, limit: 10).first)
      #expect(Set(unit.replicas.map { $0.names?.account }) == ["ann", "bob"])
      #expect(try await lab.store.units(of: batch.id, for: .everyone, limit: 1).count == 1)
      // Whose account is gone is named no more.
      try await lab.store.deleteAccount(named: "ann", now: now)
      let forgotten = try await lab.store.units(of: batch.id, for: .everyone, limit: 10)
      #expect(forgotten.flatMap(\.replicas).allSatisfy { $0.names == nil })
      await #expect {
        try await lab.store.units(of: "batch_unknown", for: .everyone, limit: 1)
      } throws: { ($0 as? StoreError)?.code == .notFound }
    }
  }

  @Test("disputed units come before those that ended", arguments: StoreKind.allCases)
  func order(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let batch = try await lab.runningBatch(lines: 40)
      let (ann, bob) = (
        try await lab.worker("a", account: "ann"), try await lab.worker("b", account: "bob")
      )
      for _ in 0..<2 {
        for worker in [ann, bob] {
          for lease in try await lab.lease(worker) { try await lab.submit(lease, by: worker) }
        }
      }
      let lease = try #require(try await lab.lease(ann).first)
      try await lab.submit(lease, by: ann, lyingAs: "ann")
      for lease in try await lab.lease(bob) { try await lab.submit(lease, by: bob) }
      let states = try await lab.store.units(of: batch.id, for: .everyone, limit: 100).map(\.state)
      let ended = try #require(states.firstIndex(of: .accepted))
      #expect(states[..<ended].contains(.awaitingReplay))
      #expect(states[ended...].allSatisfy { $0 == .accepted })
    }
  }
}
