import CoordinatorCore
import CoordinatorStore
import Testing
import WireProtocol

@Suite("Store contract: one worker, one account")
struct ParticipantContractTests {
  private static let start = Laboratory.start

  @Test(
    "a worker's overview says what it does, what it did, and how it stands",
    arguments: StoreKind.allCases)
  func worker(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let ann = try await lab.worker("a", account: "ann")
      let bob = try await lab.worker("b", account: "bob")
      _ = try await lab.runningBatch(lines: 2)
      try await lab.drain([ann, bob])
      let batch = try await lab.runningBatch(lines: 8)
      let lease = try #require(try await lab.lease(ann).first)
      _ = try await lab.store.heartbeat(
        lease: lease.id, worker: ann.id, flopsDone: lease.estimatedFlops / 4, now: Self.start)
      let seen = try #require(try await lab.store.workerOverview(ann.id, now: Self.start))
      #expect(seen.name == "a" && seen.accountName == "ann" && !seen.isNamed && !seen.trusted)
      #expect(seen.running.map(\.job) == [batch.id])
      #expect(seen.running.first?.flopsDone == lease.estimatedFlops / 4)
      #expect(seen.contribution.accepted > 0 && seen.contribution.credit > 0)
      #expect(seen.consecutiveValid > 0 && seen.ban == nil && seen.suspendedUntil == nil)
      try await lab.store.ban(.worker(ann.id), reason: "faulty memory", now: Self.start)
      let banned = try #require(try await lab.store.workerOverview(ann.id, now: Self.start))
      #expect(banned.ban?.reason == "faulty memory" && banned.running.isEmpty)
      #expect(try await lab.store.workerOverview("worker_none", now: Self.start) == nil)
      _ = try await lab.store.deleteAccount(named: "ann", now: Self.start)
      #expect(try await lab.store.workerOverview(ann.id, now: Self.start) == nil)
    }
  }

  @Test(
    "an account's overview has its rank, its workers and what is left of invitations",
    arguments: StoreKind.allCases)
  func account(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let ann = try await lab.worker("a", account: "ann")
      let bob = try await lab.worker("b", account: "bob")
      let idle = try await lab.worker("c", account: "cleo")
      _ = try await lab.runningBatch(lines: 3)
      try await lab.drain([ann, bob])
      _ = try await lab.store.createInvitation(
        NewInvitation(
          secretHash: Laboratory.digest("more"), accountName: "ann", uses: 3,
          expiresAt: Self.start.adding(seconds: 60), trusted: false), now: Self.start)
      func overview(_ worker: WorkerRecord, at seconds: Int = 1) async throws -> AccountOverview {
        try await lab.store.accountOverview(
          worker.accountID, now: Self.start.adding(seconds: seconds))
      }
      let first = try await overview(ann)
      // Equal credit is an equal rank.
      #expect(try await overview(bob).rank == 1 && first.rank == 1)
      #expect(try await overview(idle).rank == 3 && first.accounts == 3)
      #expect(first.workers.map(\.id) == [ann.id] && first.streakDays == 1)
      #expect(first.badges.map(\.name) == ["first_result"])
      #expect(first.invitationsLeft == 3)
      #expect(first.invitationsEnd == Self.start.adding(seconds: 60))
      #expect(try await overview(ann, at: 61).invitationsLeft == 0)
      try await lab.store.ban(
        .account(ann.accountID), reason: "asked for it", now: Self.start)
      let banned = try await overview(ann)
      #expect(banned.ban?.reason == "asked for it")
      #expect(banned.workers.first?.ban?.coversAccount == true)
      try await lab.store.deleteAccount(named: "ann", now: Self.start)
      #expect(try await overview(idle).rank == 2)
      await #expect {
        try await overview(ann)
      } throws: { ($0 as? StoreError)?.code == .notFound }
    }
  }
}
