import CoordinatorCore
import CoordinatorStore
import Foundation
import Testing
import WireProtocol

@Suite("Store contract: progress, statistics and receipts")
struct ProgressContractTests {
  private let now = Laboratory.start.adding(seconds: 10)

  private func progress(
    _ lab: Laboratory, _ batch: BatchRecord, now: Timestamp? = nil
  ) async throws -> BatchProgress {
    try await lab.store.progress(of: batch.id, key: lab.key.id, now: now ?? self.now)
  }

  @Test(
    "progress counts units, replicas and verdicts, and ends at its estimate",
    arguments: StoreKind.allCases)
  func counts(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let batch = try await lab.runningBatch(lines: 24)
      let before = try await progress(lab, batch)
      #expect(before.waitingRequests == 24 && before.units.total == 0 && before.flopsDone == 0)
      #expect(before.flopsEstimated > 0 && before.secondsLeft == 86_390)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      let lease = try #require(try await lab.lease(a).first)
      let running = try await progress(lab, batch)
      #expect(running.units.open == 1 && running.replicas.running == 1)
      try await lab.submit(lease, by: a)
      #expect(try await progress(lab, batch).replicas.waiting == 1)
      try await lab.drain([a, b])
      let ended = try await progress(lab, batch)
      #expect(ended.units.accepted == ended.units.total && ended.units.total > 1)
      #expect(ended.agreements == ended.units.total && ended.replays == 0)
      #expect(ended.replicas.accepted == 2 * ended.units.total)
      #expect(ended.flopsDone == ended.flopsEstimated && ended.flopsDone > 0)
      #expect(ended.waitReasons.isEmpty && ended.waitingRequests == 0)
      let other = try await lab.withKey("other")
      await #expect {
        try await other.store.progress(of: batch.id, key: other.key.id, now: now)
      } throws: { ($0 as? StoreError)?.code == .notFound }
    }
  }

  @Test(
    "a batch that waits says why: no workers, too few accounts, a replay",
    arguments: StoreKind.allCases)
  func waiting(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let batch = try await lab.runningBatch(lines: 4)
      #expect(
        try await progress(lab, batch).waitReasons == [
          "No worker of the public pool has asked for work in the last 10 minutes."
        ])
      let a = try await lab.worker("a", account: "ann")
      let twin = try await lab.worker("twin", account: "ann")
      try await lab.submit(try #require(try await lab.lease(a).first), by: a, lyingAs: "ann")
      _ = try await lab.lease(twin)
      let alone = try await progress(lab, batch)
      #expect(alone.waitReasons.count == 1)
      #expect(
        alone.waitReasons[0].hasPrefix("Too few accounts: 1 unit run by one account waits"),
        "\(alone.waitReasons)")
      _ = try await lab.store.changeAccount(
        named: "ann", AccountChange(isNamed: true), now: now)
      #expect(
        try await progress(lab, batch).waitReasons[0].hasPrefix(
          "Too few accounts: 1 unit run by 'ann' waits"))

      let b = try await lab.worker("b", account: "bob")
      let lease = try #require(try await lab.lease(b, now: now).first)
      #expect(try await progress(lab, batch).waitReasons.isEmpty)
      try await lab.submit(lease, by: b)
      #expect(
        try await progress(lab, batch).waitReasons == [
          "1 unit with disputed or lost results waits for the coordinator's own machine."
        ])
      // Everyone who was there has gone.
      let night = now.adding(seconds: 3_600)
      _ = try await lab.runningBatch(lines: 1)
      #expect(try await progress(lab, batch, now: night).waitReasons.count == 1)
    }
  }

  @Test(
    "a batch says what keeps every worker from it, from what they last asked with",
    arguments: StoreKind.allCases)
  func heldUp(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let batch = try await lab.runningBatch(lines: 4)
      let a = try await lab.worker("a", account: "ann")
      func ask(_ request: LeaseRequest) async throws -> String {
        _ = try await lab.store.lease(worker: a.id, request: request, now: now)
        let reasons = try await progress(lab, batch).waitReasons
        #expect(reasons.count == 1, "\(reasons)")
        return reasons.first ?? ""
      }
      try await lab.store.setLeasing(.paused)
      #expect(try await ask(Laboratory.leaseRequest()).contains("has paused"))
      try await lab.store.setLeasing(.open)
      #expect(
        try await ask(Laboratory.leaseRequest(memory: 1 << 20)).contains(
          "1 offers too little memory"))
      #expect(
        try await ask(Laboratory.leaseRequest(disk: 1 << 20)).contains(
          "too little room in the cache"))
      var choosy = Laboratory.leaseRequest()
      choosy.choices = WorkChoices(licences: ["mit"])
      #expect(try await ask(choosy).contains("by its owner's choice"))

      try await lab.store.ban(.worker(a.id), reason: "", now: now)
      #expect(try await ask(Laboratory.leaseRequest()).contains("1 is banned"))
      _ = try await lab.store.unban(.worker(a.id))

      // Another batch has the only worker.
      let other = try await lab.withKey("other")
      _ = try await other.runningBatch(lines: 1, priority: 100)
      _ = try await lab.store.cancelBatch(batch.id, key: lab.key.id, now: now)
      _ = try #require(try await lab.lease(a, now: now).first)
      let behind = try await lab.runningBatch(lines: 4)
      #expect(
        try await progress(lab, behind).waitReasons
          == ["It waits its turn: 1 worker that can take it computes other units."])
    }
  }

  @Test(
    "credit follows from the operations of the accepted result alone", arguments: StoreKind.allCases
  )
  func credit(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let batch = try await lab.runningBatch(lines: 30, choices: 2)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      try await lab.drain([a, b])
      var micro: Int64 = 0
      var tokens = 0
      var seen: Set<Digest> = []
      for outcome in try await lab.store.outcomes(of: batch.id, afterLine: 0, limit: 100) {
        guard case .completed(let done) = outcome.ending, seen.insert(done.unit).inserted else {
          continue
        }
        let inputs = try await lab.blobs.read(done.inputs)
        let sequences = try Laboratory.compute(.init(decoding: inputs)).sequences
        let flops = sequences.reduce(0.0) {
          $0 + Laboratory.cost.flops(prompt: 10, generated: $1.tokens.count)
        }
        micro += Credit(flops: flops).micro
        tokens += sequences.reduce(0) { $0 + $1.tokens.count }
      }
      let statistics = try await lab.store.statistics(now: now)
      for account in statistics.accounts {
        #expect(account.contribution.credit == Credit(micro: micro).value)
        #expect(
          account.contribution.tokens == tokens && account.contribution.accepted == seen.count)
        #expect(account.contribution.recentAverageCredit > 0 && account.workers == 1)
      }
      #expect(try await lab.batch(batch.id).outputTokens == tokens)
      #expect(statistics.unitsAccepted == seen.count && statistics.batches == 1)
      let week = try await lab.store.statistics(now: now.adding(seconds: 7 * 86_400))
      let ratio =
        week.totals.recentAverageCredit / statistics.totals.recentAverageCredit
      #expect(abs(ratio - 0.5) < 1e-4)
      #expect(statistics.workers.allSatisfy { $0.consecutiveValid == seen.count })
    }
  }

  @Test("receipts form a chain that says who was granted what", arguments: StoreKind.allCases)
  func receipts(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      guard case .intact(0, _) = try await lab.store.verifyReceiptChain() else {
        Issue.record("an empty chain is intact")
        return
      }
      _ = try await lab.runningBatch(lines: 30)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      let cheat = try await lab.worker("m", account: "mallory")
      try await lab.submit(try #require(try await lab.lease(cheat).first), by: cheat)
      try await lab.submit(
        try #require(try await lab.lease(cheat).first), by: cheat, lyingAs: "mallory")
      try await lab.submit(try #require(try await lab.lease(a).first), by: a)
      try await lab.submit(try #require(try await lab.lease(a).first), by: a)
      try await lab.replayAll()
      try await lab.drain([a, b])
      let receipts = try await lab.store.receipts(after: 0, limit: 1_000)
      #expect(receipts.map(\.body.sequence) == Array(1...receipts.count))
      for (receipt, next) in zip(receipts, receipts.dropFirst()) {
        #expect(next.previous == receipt.hash)
      }
      #expect(receipts.filter { $0.body.verdict == .rejected }.map(\.body.worker) == [cheat.id])
      let granted = receipts.filter { $0.body.verdict == .accepted }
        .reduce(Int64(0)) { $0 + $1.body.microcredit }
      let total = try await lab.store.statistics(now: now).totals.credit
      #expect(abs(Credit(micro: granted).value - total) < 1e-9)
      let check = try await lab.store.verifyReceiptChain()
      #expect(check == .intact(count: receipts.count, head: try #require(receipts.last).hash))
      #expect(try await lab.store.receipts(after: 2, limit: 1).map(\.body.sequence) == [3])
    }
  }
}
