import CoordinatorCore
import CoordinatorStore
import Foundation
import Testing
import WireProtocol

@Suite("Store contract: what a verdict means for others")
struct VerdictContractTests {
  private let later = Laboratory.start.adding(seconds: 400)

  /// The second answers what the first did, each with a result of its own, at a time when whoever
  /// asks is drawn for it.
  private func dispute(
    _ lab: Laboratory, _ left: WorkerRecord, _ right: WorkerRecord, units: Int
  ) async throws -> [Digest] {
    var disputed: Set<Digest> = []
    for _ in 0..<units {
      for (worker, seconds) in [(left, 0), (right, 300)] {
        let now = Laboratory.start.adding(seconds: seconds)
        let lease = try #require(try await lab.lease(worker, now: now).first)
        try await lab.submit(lease, by: worker, lyingAs: worker.name, now: now)
        disputed.insert(lease.unit)
      }
    }
    #expect(disputed.count == units, "both have the same units")
    return disputed.sorted { $0.hex < $1.hex }
  }

  @Test(
    "two liars who dispute 16 units cost one replay: the others go back to work",
    arguments: StoreKind.allCases)
  func sixteen(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let batch = try await lab.runningBatch(lines: 400)
      let (x, y) = (
        try await lab.worker("x", account: "mallory-1"),
        try await lab.worker("y", account: "mallory-2")
      )
      _ = try await dispute(lab, x, y, units: 16)
      #expect(try await lab.store.gauges(now: later).units["awaiting_replay"] == 16)
      #expect(try await lab.replayAll(now: later) == 1)
      #expect(try await lab.store.gauges(now: later).units["awaiting_replay"] == nil)
      try await lab.drain(
        [try await lab.worker("a", account: "ann"), try await lab.worker("b", account: "bob")],
        now: later)
      #expect(try await lab.batch(batch.id).completed == 400)
      try await expectTrueAnswers(lab, batch.id)
    }
  }

  @Test(
    "of a worker's disputes one is replayed at a time, and others' do not wait behind them",
    arguments: StoreKind.allCases)
  func turns(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 400)
      var workers: [WorkerRecord] = []
      for name in ["x", "y", "v", "w"] {
        workers.append(try await lab.worker(name, account: "account of \(name)"))
      }
      let many = try await dispute(lab, workers[0], workers[1], units: 3)
      let one = try await dispute(lab, workers[2], workers[3], units: 1)
      var taken: [Digest] = []
      while let job = try await lab.store.takeReplay(now: later) { taken.append(job.unit) }
      #expect(taken.count == 2 && many.contains(taken[0]) && taken[1] == one[0])
      // Both attempts ran out. Who has caused nothing today comes first.
      let (c, d) = (
        try await lab.worker("c", account: "carl"), try await lab.worker("d", account: "dora")
      )
      let fresh = try await dispute(lab, c, d, units: 1)
      let next = try #require(
        try await lab.store.takeReplay(now: Laboratory.start.adding(seconds: 4_000)))
      #expect(next.unit == fresh[0])
    }
  }

  @Test(
    "the smallest dispute is replayed first", arguments: StoreKind.allCases)
  func smallest(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      var disputes: [Digest] = []
      for (index, tokens) in [500, 20].enumerated() {
        _ = try await lab.runningBatch(lines: 1, maxTokens: tokens)
        disputes += try await dispute(
          lab, try await lab.worker("x\(index)", account: "left \(index)"),
          try await lab.worker("y\(index)", account: "right \(index)"), units: 1)
      }
      #expect(try await lab.store.takeReplay(now: later)?.unit == disputes[1])
    }
  }

  /// A worker that joins with an invitation and whose first result is found wrong at `now`.
  private func caught(
    _ lab: Laboratory, _ name: String, invitation: Digest, by honest: WorkerRecord, now: Timestamp
  ) async throws -> WorkerRecord {
    let liar = try await lab.store.enrol(
      NewWorker(
        secretHash: invitation, publicKey: Laboratory.digest("key of \(name)"), name: name),
      now: now)
    let lie = try #require(try await lab.lease(liar, now: now).first)
    try await lab.submit(lie, by: liar, lyingAs: name, now: now.adding(seconds: 1))
    var isDisputed = false
    while !isDisputed {
      let lease = try #require(try await lab.lease(honest, now: now).first)
      isDisputed = lease.unit == lie.unit
      try await lab.submit(lease, by: honest, now: now.adding(seconds: 1))
    }
    #expect(try await lab.replayAll(now: now) == 1)
    return liar
  }

  private func invitation(_ lab: Laboratory, _ account: String) async throws -> Digest {
    let secret = Laboratory.digest("invitation of \(account)")
    _ = try await lab.store.createInvitation(
      NewInvitation(
        secretHash: secret, accountName: account, uses: 10,
        expiresAt: Laboratory.start.adding(seconds: 90 * 86_400), trusted: false),
      now: Laboratory.start)
    return secret
  }

  @Test(
    "a wrong result holds the whole account back; its invitation admits nobody in the liar's place",
    arguments: StoreKind.allCases)
  func account(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 400, windowSeconds: 40 * 86_400)
      let honest = try await lab.worker("a", account: "ann")
      let secret = try await invitation(lab, "mallory")
      let twin = try await lab.worker("twin", account: "mallory")
      let now = Laboratory.start.adding(seconds: 100)
      let liar = try await caught(
        lab, "liar", invitation: secret, by: honest, now: now)
      func answer(_ worker: WorkerRecord, _ seconds: Int) async throws -> LeaseResponse {
        try await lab.store.lease(
          worker: worker.id, request: Laboratory.leaseRequest(), now: now.adding(seconds: seconds))
      }
      let refused = try await answer(twin, 1)
      #expect(refused.leases.isEmpty && refused.reasons == [.suspended: 1])
      #expect(refused.message == AccountPenalty.message && refused.retryAfterSeconds > 60)
      #expect(try await answer(liar, 1).reasons == [.suspended: 1])
      #expect(try await answer(liar, 1).message == nil)
      func join(_ name: String, _ seconds: Int) async throws -> WorkerRecord {
        try await lab.store.enrol(
          NewWorker(secretHash: secret, publicKey: Laboratory.digest(name), name: name),
          now: now.adding(seconds: seconds))
      }
      for seconds in [1, 3_599] {
        await #expect {
          try await join("again", seconds)
        } throws: { ($0 as? StoreError)?.code == .invitationInvalid }
      }
      let fleet = try await lab.store.fleet(now: now)
      #expect(fleet.accounts.first { $0.name == "mallory" }?.suspendedUntil != nil)
      #expect(fleet.workers.first { $0.id == twin.id }?.suspendedUntil != nil)
      #expect(fleet.workers.first { $0.id == honest.id }?.suspendedUntil == nil)
      #expect(try await lab.store.gauges(now: now).suspendedAccounts == 1)
      // The fault of one machine passes soon for the others.
      #expect(try await answer(twin, 601).leases.count == 1)
      #expect(try await answer(liar, 601).reasons == [.suspended: 1])
      _ = try await join("again", 3_601)
    }
  }

  @Test(
    "an account whose second machine is caught is suspended longer, and loses what is unverified",
    arguments: StoreKind.allCases)
  func escalation(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 400, windowSeconds: 40 * 86_400)
      let honest = try await lab.worker("a", account: "ann")
      let secret = try await invitation(lab, "mallory")
      let now = Laboratory.start.adding(seconds: 100)
      let third = try await lab.worker("third", account: "mallory")
      _ = try await caught(
        lab, "first", invitation: secret, by: honest, now: now)
      let held = try #require(
        try await lab.lease(third, now: now.adding(seconds: 4_000)).first)
      let next = now.adding(seconds: 4_001)
      _ = try await caught(
        lab, "second", invitation: secret, by: honest, now: next)
      #expect(try await lab.submit(held, by: third, now: next).state == .notNeeded)
      func isHeld(_ seconds: Int) async throws -> Bool {
        try await lab.store.lease(
          worker: third.id, request: Laboratory.leaseRequest(), now: next.adding(seconds: seconds)
        ).reasons == [.suspended: 1]
      }
      #expect(try await isHeld(7_199))
      #expect(try await !isHeld(7_201))
    }
  }

  @Test(
    "an account with much to show goes on after a lie, but nobody joins, and it is audited anew",
    arguments: StoreKind.allCases)
  func tolerated(kind: StoreKind) async throws {
    var policy = CoordinatorPolicy()
    policy.accountTolerance = 2
    // The draws fall on units of which somebody is not established: a share of 0.15 or 0.6.
    policy.auditShare = 0.03
    let draws = Lots.drawn(Array(repeating: 0.1, count: 1_000))
    try await kind.withLaboratory(policy: policy, lots: draws) { lab async throws in
      _ = try await lab.runningBatch(lines: 3_000, windowSeconds: 40 * 86_400)
      let honest = try await lab.worker("a", account: "ann")
      let secret = try await invitation(lab, "mallory")
      let twin = try await lab.worker("twin", account: "mallory")
      /// Both compute what they can get once; gives how many audits the lot fell on.
      func round(_ now: Timestamp) async throws -> Int {
        for worker in [honest, twin] {
          for lease in try await lab.lease(worker, now: now) {
            try await lab.submit(lease, by: worker, now: now.adding(seconds: 10))
          }
        }
        return try await lab.replayAll(now: now.adding(seconds: 20))
      }
      var rounds = 0
      while try await round(Laboratory.start) > 0 { rounds += 1 }
      #expect(rounds == AuditRule.establishedConfirmations)

      let now = Laboratory.start.adding(seconds: 100)
      _ = try await caught(lab, "liar", invitation: secret, by: honest, now: now)
      let next = now.adding(seconds: 100)
      let fleet = try await lab.store.fleet(now: next)
      #expect(fleet.accounts.first { $0.name == "mallory" }?.suspendedUntil == nil)
      await #expect {
        _ = try await lab.store.enrol(
          NewWorker(secretHash: secret, publicKey: Laboratory.digest("again"), name: "again"),
          now: next)
      } throws: { ($0 as? StoreError)?.code == .invitationInvalid }
      #expect(try await round(next) > 0, "what had established it counts no more")
    }
  }

  @Test("the invitation of a banned worker admits no other", arguments: StoreKind.allCases)
  func bannedLineage(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let secret = try await invitation(lab, "mallory")
      func join(_ name: String) async throws -> WorkerRecord {
        try await lab.store.enrol(
          NewWorker(secretHash: secret, publicKey: Laboratory.digest(name), name: name), now: later)
      }
      let worker = try await join("one")
      try await lab.store.ban(.worker(worker.id), reason: "lies", now: later)
      #expect(try await join("one").id == worker.id, "asking again is no other machine")
      await #expect { try await join("two") } throws: {
        ($0 as? StoreError)?.message.contains("banned a machine") == true
      }
      #expect(try await lab.store.unban(.worker(worker.id)))
      _ = try await join("two")
    }
  }
}
