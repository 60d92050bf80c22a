import CoordinatorCore
import CoordinatorStore
import Foundation
import Testing
import WirePayloads
import WireProtocol

@Suite("Store contract: leases")
struct LeaseContractTests {
  @Test("who gets nothing is told why, with counts", arguments: StoreKind.allCases)
  func reasons(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let a = try await lab.worker("a", account: "ann")
      let twin = try await lab.worker("twin", account: "ann")
      #expect(try await lab.idleReasons(a) == [.noWork: 1])
      _ = try await lab.runningBatch(lines: 3, pool: .trusted)
      #expect(try await lab.idleReasons(a) == [.otherPool: 3])
      _ = try await lab.runningBatch(lines: 3)
      #expect(
        try await lab.idleReasons(a, memory: 64 << 20) == [.otherPool: 3, .needsMoreMemory: 3])
      #expect(try await lab.idleReasons(a, disk: 1 << 20) == [.otherPool: 3, .needsMoreDisk: 3])
      #expect(try await lab.lease(a).count == 1)
      #expect(try await lab.idleReasons(twin) == [.otherPool: 3, .sameAccount: 1])
      await #expect {
        try await lab.store.lease(
          worker: "worker_unknown", request: Laboratory.leaseRequest(), now: Laboratory.start)
      } throws: { ($0 as? StoreError)?.code == .notFound }
    }
  }

  @Test(
    "a unit holds the requests' sequences, in order and exactly; replicas run the same",
    arguments: StoreKind.allCases)
  func inputs(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let requests = [
        lab.request(1, choices: 2), lab.request(2, maxTokens: 3, seed: -5),
        lab.request(3, prompt: 700),
      ]
      let batch = try await lab.store.createBatch(
        lab.newBatch(), isRetry: false, now: Laboratory.start)
      try await lab.store.appendRequests(requests, to: batch.id)
      _ = try await lab.store.finishValidation(batch.id, model: nil, now: Laboratory.start)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      let first = try #require(try await lab.lease(a).first)
      let second = try #require(try await lab.lease(b).first)
      #expect(first.unit == second.unit && first.specification == second.specification)
      #expect(first.id != second.id)
      #expect(first.unit == (try BlobDigest.unit(first.specification)))
      #expect(first.specification.vocabulary == nil)
      let expected = requests.flatMap { request -> [GenerateInputs.Sequence] in
        if case .run(let work) = request.content { work.sequences } else { [] }
      }
      // Guided sizing leaves the end to others: the unit is a prefix.
      let inputs = try await lab.inputs(first.specification)
      #expect(!inputs.sequences.isEmpty)
      #expect(inputs.sequences == Array(expected.prefix(inputs.sequences.count)))
      try await lab.submit(first, by: a)
      try await lab.submit(second, by: b)
      try await lab.drain([a, b])
      let outcomes = try await lab.store.outcomes(of: batch.id, afterLine: 0, limit: 10)
      for (outcome, request) in zip(outcomes, requests) {
        guard case .completed(let done) = outcome.ending, case .run(let work) = request.content
        else {
          Issue.record("line \(outcome.line)")
          continue
        }
        let stored = try GenerateInputs(decoding: try await lab.blobs.read(done.inputs))
        let range = done.firstSequence..<done.firstSequence + done.sequenceCount
        #expect(Array(stored.sequences[range]) == work.sequences)
      }
    }
  }

  @Test("units with stop strings name the model's vocabulary", arguments: StoreKind.allCases)
  func vocabulary(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let batch = try await lab.store.createBatch(
        lab.newBatch(), isRetry: false, now: Laboratory.start)
      try await lab.store.appendRequests([lab.request(1, stops: ["\n\n", "é"])], to: batch.id)
      _ = try await lab.store.finishValidation(batch.id, model: nil, now: Laboratory.start)
      let a = try await lab.worker("a", account: "ann")
      let lease = try #require(try await lab.lease(a).first)
      #expect(lease.specification.vocabulary == lab.model.vocabulary)
      #expect(
        try await lab.inputs(lease.specification).sequences[0].stopStrings.map {
          String(decoding: $0, as: UTF8.self)
        } == ["\n\n", "é"])
    }
  }

  @Test(
    "small batches of one model share a unit; cancelling one leaves the others their answers",
    arguments: StoreKind.allCases)
  func sharedUnit(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let other = try await lab.withKey("other")
      let one = try await lab.runningBatch(lines: 1)
      let two = try await other.runningBatch(lines: 1)
      let three = try await lab.runningBatch(lines: 1, pool: .trusted)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      let lease = try #require(try await lab.lease(a).first)
      #expect(try await lab.inputs(lease.specification).sequences.count == 2)
      _ = try await lab.store.cancelBatch(one.id, key: lab.key.id, now: Laboratory.start)
      try await lab.submit(lease, by: a)
      try await lab.submit(try #require(try await lab.lease(b).first), by: b)
      #expect(try await lab.batch(one.id).completed == 0)
      #expect(try await lab.batch(two.id).completed == 1)
      #expect(try await lab.batch(two.id).state == .finalizing(.completed))
      #expect(try await lab.batch(three.id).completed == 0)
    }
  }

  @Test("leases are their worker's own", arguments: StoreKind.allCases)
  func ownership(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      _ = try await lab.runningBatch(lines: 4)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      let lease = try #require(try await lab.lease(a).first)
      func unknown(_ body: () async throws -> Void) async {
        await #expect {
          try await body()
        } throws: { ($0 as? StoreError)?.code == .leaseUnknown }
      }
      await unknown {
        _ = try await lab.store.heartbeat(lease: lease.id, worker: b.id, flopsDone: 0, now: now)
      }
      await unknown { _ = try await lab.store.leaseRecord(lease.id, worker: b.id) }
      await unknown { try await lab.submit(lease, by: b) }
      await unknown {
        try await lab.abandon(lease, by: b, .failed, now: now)
      }
      let record = try await lab.store.leaseRecord(lease.id, worker: a.id)
      #expect(record.specification == lease.specification && record.submitted == nil)
      #expect(record.estimatedFlops == lease.estimatedFlops)
    }
  }

  @Test(
    "workers read models, and inputs only while they hold a lease", arguments: StoreKind.allCases)
  func reading(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      _ = try await lab.runningBatch(lines: 4)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      let lease = try #require(try await lab.lease(a).first)
      let inputs = lease.specification.inputs
      for blob in [lab.model.manifest, lab.model.vocabulary, Laboratory.digest("a chunk")] {
        #expect(try await lab.store.mayRead(blob: blob, worker: b.id, now: now))
      }
      #expect(try await lab.store.mayRead(blob: inputs, worker: a.id, now: now))
      #expect(try await !lab.store.mayRead(blob: inputs, worker: b.id, now: now))
      #expect(try await !lab.store.mayRead(blob: lab.model.tokenizer, worker: a.id, now: now))
      try await lab.submit(lease, by: a)
      #expect(try await !lab.store.mayRead(blob: inputs, worker: a.id, now: now))
    }
  }
}

extension Laboratory {
  /// Asks for work for a worker that is to get none, and gives why it gets none.
  func idleReasons(
    _ worker: WorkerRecord, memory: Int = 1 << 30, disk: Int = 1 << 30,
    now: Timestamp = Laboratory.start
  ) async throws -> [IdleReason: Int] {
    let response = try await store.lease(
      worker: worker.id, request: Self.leaseRequest(memory: memory, disk: disk), now: now)
    #expect(response.leases.isEmpty && response.retryAfterSeconds > 0)
    return response.reasons
  }
}
