import CoordinatorCore
import CoordinatorStore
import Foundation
import Testing
import WireProtocol

@Suite("Store contract: results")
struct ResultContractTests {
  private let later = Laboratory.start.adding(seconds: 20)

  @Test("a result is accepted once, whatever is sent again", arguments: StoreKind.allCases)
  func repeated(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let batch = try await lab.runningBatch(lines: 4)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      let first = try #require(try await lab.lease(a).first)
      let waiting = try await lab.submit(first, by: a)
      #expect(waiting == ResultReceipt(state: .awaitingReplica, credit: 0))
      #expect(try await lab.submit(first, by: a) == waiting)
      let second = try #require(try await lab.lease(b).first)
      let accepted = try await lab.submit(second, by: b)
      #expect(accepted.state == .accepted && accepted.credit > 0)
      for _ in 0..<3 {
        #expect(try await lab.submit(first, by: a) == accepted)
        #expect(try await lab.submit(second, by: b) == accepted)
      }
      let statistics = try await lab.store.statistics(now: later)
      #expect(statistics.totals.accepted == 2)
      #expect(statistics.totals.credit == 2 * accepted.credit)
      #expect(try await lab.store.receipts(after: 0, limit: 100).count == 2)
      #expect(try await lab.batch(batch.id).completed <= 4)
      await #expect {
        try await lab.submit(first, by: a, lyingAs: "ann")
      } throws: { ($0 as? StoreError)?.code == .conflict }
      let record = try await lab.store.leaseRecord(first.id, worker: a.id)
      #expect(record.submitted?.receipt == accepted)
    }
  }

  @Test("a standing is the worker's and its account's part", arguments: StoreKind.allCases)
  func standing(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 4, pool: .trusted)
      let busy = try await lab.worker("busy", account: "lab", trusted: true)
      let idle = try await lab.worker("idle", account: "lab", trusted: true)
      let other = try await lab.worker("other", account: "ann")
      let lease = try #require(try await lab.lease(busy).first)
      let receipt = try await lab.submit(lease, by: busy)
      #expect(receipt.state == .accepted && receipt.credit > 0)
      let first = try await lab.store.standing(worker: busy.id, now: later)
      #expect(first.worker.units == 1 && first.worker.credit == receipt.credit)
      #expect(first.worker.tokens > 0 && first.worker.recentAverageCredit > 0)
      #expect(first.account == first.worker)
      #expect(first.rank == 1 && first.accounts == 2)
      #expect(first.worker.unitsToday == 1 && first.worker.creditToday == receipt.credit)
      let tomorrow = try await lab.store.standing(
        worker: busy.id, now: later.adding(seconds: 86_400))
      #expect(tomorrow.account.unitsToday == 0 && tomorrow.account.creditToday == 0)
      #expect(tomorrow.account.units == 1)
      let second = try await lab.store.standing(worker: idle.id, now: later)
      #expect(second.worker.units == 0 && second.worker.credit == 0)
      #expect(second.account == first.account)
      #expect(try await lab.store.standing(worker: other.id, now: later).rank == 2)
      await #expect {
        try await lab.store.standing(worker: "nobody", now: later)
      } throws: { ($0 as? StoreError)?.code == .notFound }
    }
  }

  @Test("many uploads of one result at the same time count once", arguments: StoreKind.allCases)
  func concurrentUploads(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 4, pool: .trusted)
      let t = try await lab.worker("t", account: "lab", trusted: true)
      let lease = try #require(try await lab.lease(t).first)
      let receipts = try await withThrowingTaskGroup(of: ResultReceipt.self) { group in
        for _ in 0..<20 { group.addTask { try await lab.submit(lease, by: t) } }
        return try await group.reduce(into: Set<ResultReceipt>()) { $0.insert($1) }
      }
      #expect(receipts.count == 1 && receipts.first?.state == .accepted)
      #expect(try await lab.store.statistics(now: later).totals.accepted == 1)
    }
  }

  @Test("a result of another shape is refused and the lease stays", arguments: StoreKind.allCases)
  func wrongShape(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 4)
      let a = try await lab.worker("a", account: "ann")
      let lease = try #require(try await lab.lease(a).first)
      var result = try await lab.result(of: lease.specification)
      result.sequences.removeLast()
      await #expect {
        try await lab.store.submit(
          ResultSubmission(
            leaseID: lease.id, workerID: a.id, result: result, signature: Data(), seconds: 1),
          now: later)
      } throws: { ($0 as? StoreError)?.code == .invalid }
      #expect(try await lab.submit(lease, by: a).state == .awaitingReplica)
    }
  }

  @Test(
    "a cheat is found, settled by replay, loses its trust and its unverified results",
    arguments: StoreKind.allCases)
  func cheat(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let batch = try await lab.runningBatch(lines: 40)
      let cheat = try await lab.worker("cheat", account: "mallory")
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      // Two results wait unverified and one lease runs when the third is found out.
      let honest = try #require(try await lab.lease(cheat).first)
      try await lab.submit(honest, by: cheat)
      let wrong = try #require(try await lab.lease(cheat).first)
      try await lab.submit(wrong, by: cheat, lyingAs: "mallory")
      let running = try #require(try await lab.lease(cheat).first)

      var disputed: Lease?
      while disputed == nil {
        let lease = try #require(try await lab.lease(a).first)
        let receipt = try await lab.submit(lease, by: a)
        if lease.unit == wrong.unit {
          #expect(receipt == ResultReceipt(state: .awaitingReplay, credit: 0))
          disputed = lease
        }
      }
      let job = try #require(try await lab.store.takeReplay(now: later))
      #expect(job.unit == wrong.unit && job.reason == "disagreement")
      #expect(try await lab.store.takeReplay(now: later) == nil)
      let outcome = try await lab.store.settleReplay(
        job.id, result: try await lab.result(of: job.specification), now: later)
      #expect(outcome == ReplayOutcome(agreed: 1, rejected: 1))

      #expect(try await lab.submit(wrong, by: cheat, lyingAs: "mallory").state == .rejected)
      #expect(try await lab.submit(running, by: cheat).state == .notNeeded)
      let response = try await lab.store.lease(
        worker: cheat.id, request: Laboratory.leaseRequest(), now: later)
      #expect(response.leases.isEmpty && response.reasons == [.suspended: 1])
      let honestAnswer = try #require(disputed)
      #expect(try await lab.submit(honestAnswer, by: a).state == .accepted)

      try await lab.drain([a, b], now: later)
      let ended = try await lab.batch(batch.id)
      #expect(ended.completed == 40 && ended.failed == 0)
      try await expectTrueAnswers(lab, batch.id)
      let statistics = try await lab.store.statistics(now: later)
      let entry = try #require(statistics.workers.first { $0.id == cheat.id })
      #expect(entry.contribution.rejected == 1 && entry.consecutiveValid == 0)
      #expect(entry.suspendedUntil == later.adding(seconds: 3_600))
    }
  }

  @Test("liars in the majority do not win", arguments: StoreKind.allCases)
  func majority(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let batch = try await lab.runningBatch(lines: 4)
      let workers = [
        try await lab.worker("x", account: "x"), try await lab.worker("y", account: "y"),
        try await lab.worker("z", account: "z"),
      ]
      let leases = [
        try #require(try await lab.lease(workers[0]).first),
        try #require(try await lab.lease(workers[1]).first),
      ]
      // The third gets its replica after the second's lease ran out; all three answer.
      _ = try await lab.store.tick(now: Laboratory.start.adding(seconds: 1_000))
      let third = try #require(
        try await lab.lease(workers[2], now: Laboratory.start.adding(seconds: 100)).first)
      #expect(third.unit == leases[0].unit)
      try await lab.submit(third, by: workers[2])
      try await lab.submit(leases[0], by: workers[0], lyingAs: "gang")
      try await lab.submit(leases[1], by: workers[1], lyingAs: "gang")
      #expect(try await lab.replayAll() == 1)
      try await lab.drain(workers, now: later)
      try await expectTrueAnswers(lab, batch.id, allowOpen: true)
      let rejected = try await lab.store.statistics(now: later).workers.filter {
        $0.contribution.rejected == 1
      }
      #expect(Set(rejected.map(\.name)) == ["x", "y"])
    }
  }

  @Test(
    "a replay that is not settled in time is given out again, and only the last one counts",
    arguments: StoreKind.allCases)
  func replayDeadline(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let job = try await dispute(lab)
      let next = try #require(try await lab.store.takeReplay(now: job.deadline))
      #expect(next.unit == job.unit && next.id != job.id)
      let result = try await lab.result(of: job.specification)
      #expect(try await lab.store.settleReplay(job.id, result: result, now: later) == nil)
      #expect(try await lab.store.settleReplay(next.id, result: result, now: later) != nil)
      #expect(try await lab.store.settleReplay(next.id, result: result, now: later) == nil)
    }
  }

  @Test(
    "what the trusted machine cannot compute fails those requests, never the batch",
    arguments: StoreKind.allCases)
  func replayFails(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let job = try await dispute(lab)
      try await lab.store.failReplay(job.id, detail: "no memory", now: later)
      let again = try #require(try await lab.store.takeReplay(now: later))
      try await lab.store.failReplay(again.id, detail: "no memory", now: later)
      #expect(try await lab.store.takeReplay(now: later) == nil)
      let a = try await lab.worker("c", account: "carl")
      let b = try await lab.worker("d", account: "dora")
      try await lab.drain([a, b], now: later)
      let batch = try #require(try await lab.store.batchesToFinalize(limit: 1).first)
      #expect(batch.state == .finalizing(.completed) && batch.failed == 4 && batch.completed == 4)
      let outcomes = try await lab.store.outcomes(of: batch.id, afterLine: 0, limit: 10)
      #expect(outcomes.prefix(4).allSatisfy { $0.ending == .failed(.gaveUp("no memory")) })
    }
  }

  @Test("a unit that nobody brings back goes to the trusted machine", arguments: StoreKind.allCases)
  func lostReplicas(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let batch = try await lab.runningBatch(lines: 1)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      var now = Laboratory.start
      for _ in 0..<3 {
        #expect(try await lab.lease(a, now: now).count == 1)
        #expect(try await lab.lease(b, now: now).count == 1)
        #expect(try await lab.store.takeReplay(now: now) == nil)
        now = now.adding(seconds: 10_000)
        _ = try await lab.store.tick(now: now)
        // Both failed at the unit: they wait before they may try it again.
        #expect(try await lab.lease(a, now: now).isEmpty)
        now = now.adding(seconds: 600)
      }
      #expect(try await lab.replayAll(now: now) == 1)
      let outcomes = try await lab.store.outcomes(of: batch.id, afterLine: 0, limit: 10)
      guard case .completed(let done) = outcomes[0].ending else {
        Issue.record("the replay answers")
        return
      }
      #expect(done.verification == .replay && done.replicas == 1)
    }
  }

  /// A batch of 8 whose first unit of 4 has two different results, and the replay job for it.
  private func dispute(_ lab: Laboratory) async throws -> ReplayJob {
    _ = try await lab.runningBatch(lines: 8)
    let a = try await lab.worker("a", account: "ann")
    let b = try await lab.worker("b", account: "bob")
    try await lab.submit(try #require(try await lab.lease(a).first), by: a, lyingAs: "ann")
    try await lab.submit(try #require(try await lab.lease(b).first), by: b)
    return try #require(try await lab.store.takeReplay(now: later))
  }
}

/// Every completed request of a batch has the result that an honest machine computes.
func expectTrueAnswers(
  _ lab: Laboratory, _ batch: String, allowOpen: Bool = false
) async throws {
  if allowOpen, try await !lab.batch(batch).state.awaitsFiles { return }
  for outcome in try await lab.store.outcomes(of: batch, afterLine: 0, limit: 100_000) {
    guard case .completed(let done) = outcome.ending else {
      Issue.record("line \(outcome.line) is \(outcome.ending)")
      continue
    }
    let inputs = try await lab.blobs.read(done.inputs)
    let truth = Laboratory.compute(try .init(decoding: inputs))
    #expect(try await lab.blobs.read(done.result) == truth.encoded())
  }
}
