import CoordinatorCore
import CoordinatorStore
import Testing
import WireProtocol

@Suite("Store contract: audits")
struct AuditContractTests {
  private let later = Laboratory.start.adding(seconds: 20)

  /// Two accounts that agree on a wrong result of a new unit.
  private func collude(
    _ lab: Laboratory, _ gang: [WorkerRecord], now: Timestamp = Laboratory.start
  ) async throws -> Digest {
    let first = try #require(try await lab.lease(gang[0], now: now).first)
    let second = try #require(try await lab.lease(gang[1], now: now).first)
    #expect(first.unit == second.unit)
    try await lab.submit(first, by: gang[0], lyingAs: "gang", now: now.adding(seconds: 5))
    let receipt = try await lab.submit(
      second, by: gang[1], lyingAs: "gang", now: now.adding(seconds: 5))
    #expect(receipt.state == .accepted && receipt.credit > 0)
    return first.unit
  }

  private func gang(_ lab: Laboratory) async throws -> [WorkerRecord] {
    [
      try await lab.worker("x", account: "mallory-1"),
      try await lab.worker("y", account: "mallory-2"),
    ]
  }

  private func honest(_ lab: Laboratory) async throws -> [WorkerRecord] {
    [try await lab.worker("a", account: "ann"), try await lab.worker("b", account: "bob")]
  }

  private func settle(_ lab: Laboratory, _ job: ReplayJob) async throws -> ReplayOutcome? {
    try await lab.store.settleReplay(
      job.id, result: try await lab.result(of: job.specification), now: later)
  }

  @Test(
    "what two accounts forged is replaced before delivery, and both lose all they had of it",
    arguments: StoreKind.allCases)
  func replaced(kind: StoreKind) async throws {
    try await kind.withLaboratory(lots: .drawn([0])) { lab async throws in
      let batch = try await lab.runningBatch(lines: 12)
      let gang = try await gang(lab)
      let unit = try await collude(lab, gang)
      let before = try await lab.batch(batch.id)
      #expect(before.completed > 0)

      let job = try #require(try await lab.store.takeReplay(now: later))
      #expect(job.unit == unit && job.isAudit)
      #expect(
        try await settle(lab, job)
          == ReplayOutcome(agreed: 0, rejected: 2, audit: .failed(delivered: false)))
      #expect(try await settle(lab, job) == nil)

      let statistics = try await lab.store.statistics(now: later)
      for worker in gang {
        let entry = try #require(statistics.workers.first { $0.id == worker.id })
        #expect(entry.contribution.accepted == 0 && entry.contribution.rejected == 1)
        #expect(entry.contribution.credit == 0 && entry.contribution.tokens == 0)
        #expect(entry.consecutiveValid == 0)
        let answer = try await lab.store.lease(
          worker: worker.id, request: Laboratory.leaseRequest(), now: later)
        #expect(answer.leases.isEmpty && answer.reasons == [.suspended: 1])
      }
      #expect(statistics.totals.accepted == 0 && statistics.totals.credit == 0)
      #expect(statistics.accounts.allSatisfy { $0.contribution.recentAverageCredit < 1e-9 })
      let day = Day(containing: Laboratory.start)
      let days = try await lab.store.history(of: .everyone, from: day, through: day)
      #expect(days.allSatisfy { $0.accepted == 0 && $0.credit.micro == 0 && $0.tokens == 0 })
      let receipts = try await lab.store.receipts(after: 0, limit: 100)
      #expect(receipts.reduce(0) { $0 + $1.body.microcredit } == 0)
      guard case .intact(4, _) = try await lab.store.verifyReceiptChain() else {
        Issue.record("two results were accepted and rejected")
        return
      }

      let open = try await lab.batch(batch.id)
      #expect(open.completed == before.completed && open.state == .inProgress)
      try await lab.drain(try await honest(lab), now: later)
      #expect(try await lab.batch(batch.id).completed == 12)
      try await expectTrueAnswers(lab, batch.id)
      let outcomes = try await lab.store.outcomes(of: batch.id, afterLine: 0, limit: 100)
      var tokens = 0
      for case .completed(let done) in outcomes.map(\.ending) {
        let inputs = try await lab.blobs.read(done.inputs)
        let truth = Laboratory.compute(try .init(decoding: inputs)).sequences
        tokens += truth[done.firstSequence].tokens.count
      }
      #expect(try await lab.batch(batch.id).outputTokens == tokens)
      #expect(
        try await lab.store.gauges(now: later).audits
          == FleetGauges.Audits(due: 0, passed: 0, failed: 1, failedDelivered: 0))
    }
  }

  @Test(
    "what an audit takes back counts for the day of the grant, however the clock was set since",
    arguments: StoreKind.allCases, [-3 * 86_400.0, 3 * 86_400.0])
  func clockSetBeforeAudit(kind: StoreKind, seconds: Double) async throws {
    try await kind.withLaboratory(lots: .drawn([0])) { lab async throws in
      _ = try await lab.runningBatch(lines: 12, windowSeconds: 30 * 86_400)
      _ = try await collude(lab, try await gang(lab))
      let granted = Day(containing: Laboratory.start)
      let now = Laboratory.start.adding(seconds: Int(seconds) + 60)
      try await lab.store.moveDeadlines(seconds: seconds, now: now)
      let job = try #require(try await lab.store.takeReplay(now: now))
      let outcome = try await lab.store.settleReplay(
        job.id, result: try await lab.result(of: job.specification), now: now)
      #expect(outcome?.audit == .failed(delivered: false))
      let days = try await lab.store.history(
        of: .everyone, from: granted.adding(days: -10), through: granted.adding(days: 10))
      #expect(days.allSatisfy { $0.accepted == 0 && $0.credit.micro == 0 && $0.tokens == 0 })
      #expect(days.filter { $0.rejected > 0 }.map(\.day) == [Day(containing: now)])
    }
  }

  @Test(
    "what was delivered before a batch was stopped is known as that, however the clock was set",
    arguments: StoreKind.allCases)
  func clockSetBeforeStop(kind: StoreKind) async throws {
    try await kind.withLaboratory(lots: .drawn([0])) { lab async throws in
      let batch = try await lab.runningBatch(lines: 12)
      _ = try await collude(lab, try await gang(lab))
      let now = Laboratory.start.adding(seconds: -3_600)
      try await lab.store.moveDeadlines(seconds: -3_660, now: now)
      _ = try await lab.store.cancelBatch(batch.id, key: lab.key.id, now: now)
      let job = try #require(try await lab.store.takeReplay(now: now))
      let outcome = try await lab.store.settleReplay(
        job.id, result: try await lab.result(of: job.specification), now: now)
      #expect(outcome?.audit == .failed(delivered: true))
    }
  }

  @Test("a wrong result that was delivered is told", arguments: StoreKind.allCases)
  func delivered(kind: StoreKind) async throws {
    try await kind.withLaboratory(lots: .always) { lab async throws in
      let batch = try await lab.runningBatch(lines: 1)
      let gang = try await gang(lab)
      let unit = try await collude(lab, gang)
      try await lab.finalizeAll(now: later)
      #expect(try await lab.batch(batch.id).state == .completed)
      let job = try #require(try await lab.store.takeReplay(now: later))
      #expect(try await settle(lab, job)?.audit == .failed(delivered: true))
      let found = try await lab.store.failedAudits(limit: 10)
      #expect(found.map(\.unit) == [unit] && found[0].jobs == [batch.id])
      #expect(found[0].accounts == ["mallory-1", "mallory-2"] && found[0].time == later)
      let truth = try await lab.result(of: job.specification).digest
      let lie = try await lab.result(of: job.specification, lyingAs: "gang").digest
      #expect(found[0].result == truth && found[0].delivered == lie)
      // What was delivered stays as it was counted.
      #expect(try await lab.batch(batch.id).completed == 1)
      #expect(try await lab.store.gauges(now: later).audits.failedDelivered == 1)
    }
  }

  @Test(
    "one unit of a caught pair leads to the others that nobody else confirmed",
    arguments: StoreKind.allCases)
  func others(kind: StoreKind) async throws {
    // The lot falls on the third of four units.
    try await kind.withLaboratory(lots: .drawn([0.9, 0.9, 0, 0.9])) { lab async throws in
      let batch = try await lab.runningBatch(lines: 40)
      let gang = try await gang(lab)
      for _ in 0..<4 { _ = try await collude(lab, gang) }
      var outcomes: [AuditOutcome?] = []
      while let job = try await lab.store.takeReplay(now: later) {
        outcomes.append(try await settle(lab, job)?.audit)
      }
      #expect(outcomes == Array(repeating: .failed(delivered: false), count: 4))
      try await lab.drain(try await honest(lab), now: later)
      try await expectTrueAnswers(lab, batch.id)
    }
  }

  @Test(
    "who is right is established by audits, and then audited less", arguments: StoreKind.allCases)
  func established(kind: StoreKind) async throws {
    // Below a fifth, above a twentieth: it falls on units of accounts that nobody knows.
    try await kind.withLaboratory(lots: .drawn(Array(repeating: 0.1, count: 100))) {
      lab async throws in
      let batch = try await lab.runningBatch(lines: 400)
      let honest = try await honest(lab)
      var audits = 0
      var units = 0
      while try await lab.batch(batch.id).state == .inProgress {
        for worker in honest {
          for lease in try await lab.lease(worker) { try await lab.submit(lease, by: worker) }
        }
        units += 1
        while let job = try await lab.store.takeReplay(now: later) {
          #expect(try await settle(lab, job)?.audit == .passed)
          audits += 1
        }
      }
      #expect(audits == AuditRule.establishedConfirmations && units > audits)
      let statistics = try await lab.store.statistics(now: later)
      #expect(statistics.workers.allSatisfy { $0.contribution.rejected == 0 })
      #expect(try await lab.store.gauges(now: later).audits.passed == audits)
    }
  }

  @Test("disputes come before audits", arguments: StoreKind.allCases)
  func disputesFirst(kind: StoreKind) async throws {
    try await kind.withLaboratory(lots: .always) { lab async throws in
      _ = try await lab.runningBatch(lines: 40)
      let honest = try await honest(lab)
      let leases = [
        try #require(try await lab.lease(honest[0]).first),
        try #require(try await lab.lease(honest[1]).first),
      ]
      for (lease, worker) in zip(leases, honest) { try await lab.submit(lease, by: worker) }
      let liar = try await lab.worker("l", account: "liar")
      let lie = try #require(try await lab.lease(liar).first)
      try await lab.submit(lie, by: liar, lyingAs: "liar")
      // By then whoever asks is drawn.
      let now = Laboratory.start.adding(seconds: 300)
      let other = try #require(
        try await lab.lease(honest[0], now: now).first { $0.unit == lie.unit })
      try await lab.submit(other, by: honest[0], now: now)
      let jobs = [
        try await lab.store.takeReplay(now: now), try await lab.store.takeReplay(now: now),
        try await lab.store.takeReplay(now: now),
      ]
      #expect(jobs.map { $0?.reason } == ["disagreement", "audit", nil])
    }
  }

  @Test("a full list of audits drops some and stays as long as it was",
    arguments: StoreKind.allCases)
  func backlog(kind: StoreKind) async throws {
    var policy = CoordinatorPolicy()
    policy.maximumDueAudits = 3
    try await kind.withLaboratory(policy: policy, lots: .always) { lab async throws in
      _ = try await lab.runningBatch(lines: 80)
      try await lab.drain(try await honest(lab))
      #expect(try await lab.store.statistics(now: later).unitsAccepted > 3)
      #expect(try await lab.store.gauges(now: later).audits.due == 3)
    }
  }

  @Test(
    "a pair that floods the list with small honest units does not get rid of the audit of its lie",
    arguments: StoreKind.allCases, [false, true])
  func flood(kind: StoreKind, isGivenOut: Bool) async throws {
    var policy = CoordinatorPolicy()
    policy.maximumDueAudits = 3
    policy.maximumSequencesPerUnit = 4
    // The lot falls on everything, and on the first of several.
    try await kind.withLaboratory(policy: policy, lots: .always) { lab async throws in
      let batch = try await lab.store.createBatch(
        lab.newBatch(), isRetry: false, now: Laboratory.start)
      try await lab.store.appendRequests(
        [lab.request(1, prompt: 150, maxTokens: 2)], to: batch.id)
      _ = try await lab.store.finishValidation(
        batch.id, model: lab.model.id, now: Laboratory.start)
      let gang = try await gang(lab)
      let forged = try await collude(lab, gang)
      let given = try await isGivenOut ? lab.store.takeReplay(now: later) : nil

      _ = try await lab.runningBatch(lines: 40, maxTokens: 2)
      try await lab.drain(gang)
      #expect(try await lab.store.statistics(now: later).unitsAccepted > 9)
      #expect(try await lab.store.gauges(now: later).audits.due == (isGivenOut ? 4 : 3))
      let taken = try await isGivenOut ? given : lab.store.takeReplay(now: later)
      let job = try #require(taken)
      #expect(job.unit == forged)
      let outcome = try await settle(lab, job)
      #expect(outcome?.rejected == 2)
    }
  }

  @Test("an audit that the machine cannot compute is let be and accuses nobody",
    arguments: StoreKind.allCases)
  func impossible(kind: StoreKind) async throws {
    try await kind.withLaboratory(lots: .always) { lab async throws in
      _ = try await lab.runningBatch(lines: 1)
      try await lab.drain(try await honest(lab))
      for _ in 0..<CoordinatorPolicy().maximumReplays {
        let job = try #require(try await lab.store.takeReplay(now: later))
        try await lab.store.failReplay(job.id, detail: "no memory", now: later)
      }
      #expect(try await lab.store.takeReplay(now: later) == nil)
      let statistics = try await lab.store.statistics(now: later)
      #expect(statistics.totals.accepted == 2 && statistics.totals.rejected == 0)
    }
  }

  @Test("the operator's own pool is not audited, and a share of 0 audits nothing",
    arguments: StoreKind.allCases)
  func none(kind: StoreKind) async throws {
    var policy = CoordinatorPolicy()
    policy.auditShare = 0
    try await kind.withLaboratory(policy: policy, lots: .always) { lab async throws in
      _ = try await lab.runningBatch(lines: 4)
      try await lab.drain(try await honest(lab))
      #expect(try await lab.store.takeReplay(now: later) == nil)
    }
    try await kind.withLaboratory(lots: .always) { lab async throws in
      _ = try await lab.runningBatch(lines: 4, pool: .trusted)
      try await lab.drain([try await lab.worker("t", account: "lab", trusted: true)])
      #expect(try await lab.store.takeReplay(now: later) == nil)
    }
  }
}
