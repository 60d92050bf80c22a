import CoordinatorCore
import CoordinatorStore
import Foundation
import Testing
import WirePayloads
import WireProtocol

/// Workers that call a unit invalid: what that means for the unit, its model and the workers.
extension LeaseEndContractTests {
  @Test(
    "a unit called invalid is held against unit and model, and the worker goes on elsewhere",
    arguments: StoreKind.allCases)
  func invalidUnits(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      let broken = Laboratory.model("broken")
      try await lab.store.registerModel(
        broken, provenance: nil, blobs: [Laboratory.digest("another chunk")])
      let batch = try await lab.store.createBatch(
        lab.newBatch(priority: 9), isRetry: false, now: now)
      try await lab.store.appendRequests(
        (1...100).map { lab.request($0, model: broken.manifest) }, to: batch.id)
      _ = try await lab.store.finishValidation(batch.id, model: broken.id, now: now)
      let healthy = try await lab.runningBatch(lines: 40)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      for worker in [a, b] {
        for index in 0...CoordinatorPolicy().maximumRefusals {
          let lease = try #require(try await lab.lease(worker).first, "no backoff")
          guard lease.specification.model == broken.manifest else {
            #expect(index == CoordinatorPolicy().maximumRefusals)
            try await lab.submit(lease, by: worker)
            break
          }
          try await lab.abandon(lease, by: worker, .invalidUnit, detail: "type F64", now: now)
        }
      }
      let asked = try await lab.batch(batch.id)
      #expect(asked.failed == 0 && asked.completed == 0, "nobody's word alone fails a request")
      let progress = try await lab.store.progress(of: batch.id, key: lab.key.id, now: now)
      #expect(progress.waitReasons.contains { $0.contains("broken") && $0.contains("invalid") })
      #expect(progress.waitReasons.contains { $0.contains("which finds out who is right") })
      // The coordinator's own machine cannot compute them either.
      let units = progress.units.awaitingReplay
      for _ in 0..<units * CoordinatorPolicy().maximumReplays {
        let job = try #require(try await lab.store.takeReplay(now: now))
        #expect(job.reason == "calledInvalid")
        try await lab.store.failReplay(job.id, detail: "type F64", now: now)
      }
      #expect(try await lab.store.takeReplay(now: now) == nil)
      let failed = try await lab.batch(batch.id)
      #expect(failed.failed >= 4 && failed.completed == 0)
      _ = try await lab.store.cancelBatch(batch.id, key: lab.key.id, now: now)
      let outcomes = try await lab.store.outcomes(of: batch.id, afterLine: 0, limit: 4)
      #expect(outcomes.allSatisfy { $0.ending == .failed(.gaveUp("type F64")) })
      try await lab.drain([a, b])
      #expect(try await lab.batch(healthy.id).completed == 40)
    }
  }

  /// Each calls the one unit that is there invalid; whoever asks so late is drawn for it. Gives
  /// when the last of them did.
  private func refuse(
    _ lab: Laboratory, _ liars: [WorkerRecord]
  ) async throws -> Timestamp {
    var now = Laboratory.start
    var units: Set<Digest> = []
    for liar in liars {
      now = now.adding(seconds: 200)
      let lease = try #require(try await lab.lease(liar, now: now).first)
      units.insert(lease.unit)
      try await lab.store.abandon(
        lease: lease.id, worker: liar.id, reason: .invalidUnit, detail: "I will not", now: now)
    }
    #expect(units.count == 1)
    return now
  }

  @Test(
    "accounts that call sound units invalid fail nobody's requests, and get no more of the model",
    arguments: StoreKind.allCases)
  func refutedRefusals(kind: StoreKind) async throws {
    for count in [2, 3] {
      try await kind.withLaboratory { lab async throws in
        let batch = try await lab.runningBatch(lines: 4, windowSeconds: 5 * 86_400)
        var liars: [WorkerRecord] = []
        for index in 0..<count {
          liars.append(try await lab.worker("liar-\(index)", account: "mallory-\(index)"))
        }
        let now = try await refuse(lab, liars)
        #expect(try await lab.batch(batch.id).failed == 0)
        let job = try #require(try await lab.store.takeReplay(now: now))
        #expect(job.reason == "calledInvalid")
        let outcome = try await lab.store.settleReplay(
          job.id, result: try await lab.result(of: job.specification), now: now)
        #expect(outcome == ReplayOutcome(agreed: 0, rejected: 0))
        let ended = try await lab.batch(batch.id)
        #expect(ended.completed == 4 && ended.failed == 0)
        try await expectTrueAnswers(lab, batch.id)

        _ = try await lab.runningBatch(lines: 40, windowSeconds: 5 * 86_400, now: now)
        let statistics = try await lab.store.statistics(now: now)
        #expect(statistics.totals.rejected == 0, "an old program is no liar")
        let other = Laboratory.model("other")
        try await lab.store.registerModel(
          other, provenance: nil, blobs: [Laboratory.digest("another chunk")])
        for liar in liars {
          let held = now.adding(seconds: CoordinatorPolicy().failureBackoffSeconds - 1)
          #expect(try await lab.lease(liar, now: held).isEmpty, "it failed")
          let barred = now.adding(seconds: CoordinatorPolicy().failureBackoffSeconds + 1)
          #expect(try await lab.idleReasons(liar, now: barred).keys.contains(.failedLately))
        }
        let later = now.adding(seconds: CoordinatorPolicy().failureBackoffSeconds + 2)
        let honest = try await lab.worker("a", account: "ann", now: later)
        #expect(try await lab.lease(honest, now: later).count == 1)
        let elsewhere = try await Laboratory(
          store: lab.store, blobs: lab.blobs, key: lab.key, model: other
        ).runningBatch(lines: 40, windowSeconds: 5 * 86_400, now: later)
        #expect(
          try await lab.lease(liars[0], now: later).map(\.specification.model) == [other.manifest],
          "other models are not kept from it")
        _ = try await lab.store.cancelBatch(elsewhere.id, key: lab.key.id, now: later)
        let nextDay = now.adding(seconds: CoordinatorPolicy().refutedSeconds + 1)
        #expect(try await lab.idleReasons(liars[1], now: later).keys.contains(.failedLately))
        #expect(try await lab.lease(liars[1], now: nextDay).count == 1)
      }
    }
  }

  @Test(
    "two accounts that compute what others called invalid end it where nothing is replayed",
    arguments: StoreKind.allCases)
  func refusedAndComputed(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let batch = try await lab.runningBatch(lines: 4)
      let liars = [
        try await lab.worker("x", account: "mallory-1"),
        try await lab.worker("y", account: "mallory-2"),
      ]
      let now = try await refuse(lab, liars).adding(seconds: 200)
      #expect(try await lab.store.gauges(now: now).units["awaiting_replay"] == 1)
      try await lab.drain(
        [
          try await lab.worker("a", account: "ann", now: now),
          try await lab.worker("b", account: "bob", now: now),
        ], now: now)
      #expect(try await lab.batch(batch.id).completed == 4)
      try await expectTrueAnswers(lab, batch.id)
      #expect(try await lab.store.takeReplay(now: now) == nil)
    }
  }
}
