import CoordinatorCore
import CoordinatorStore
import Foundation
import ModelFormats
import Testing
import WireProtocol

@Suite("Store contract: batches")
struct BatchContractTests {
  @Test(
    "two accounts run every unit; equal digests complete the batch and pay both",
    arguments: StoreKind.allCases)
  func quorum(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let batch = try await lab.runningBatch(lines: 24)
      #expect(batch.state == .inProgress)
      #expect(batch.total == 24)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      try await lab.drain([a, b])
      let ended = try await lab.batch(batch.id)
      #expect(ended.state == .finalizing(.completed))
      #expect(ended.completed == 24 && ended.failed == 0)
      #expect(ended.inputTokens == 240)

      let outcomes = try await lab.store.outcomes(of: batch.id, afterLine: 0, limit: 100)
      #expect(outcomes.map(\.line) == Array(1...24))
      for outcome in outcomes {
        guard case .completed(let done) = outcome.ending else {
          Issue.record("line \(outcome.line) is \(outcome.ending)")
          continue
        }
        #expect(done.verification == .quorum && done.replicas == 2)
        #expect(outcome.rendering == Data("rendering \(outcome.line)".utf8))
        let inputs = try await lab.blobs.read(done.inputs)
        #expect(Laboratory.digest("") != done.inputs && !inputs.isEmpty)
      }
      let statistics = try await lab.store.statistics(now: Laboratory.start.adding(seconds: 60))
      #expect(statistics.accounts.count == 2)
      #expect(statistics.accounts[0].contribution.credit > 0)
      #expect(
        statistics.accounts[0].contribution.credit == statistics.accounts[1].contribution.credit)
      #expect(statistics.requestsCompleted == 24)
    }
  }

  @Test(
    "a retried creation finds its first attempt, within ten minutes and only if it says so",
    arguments: StoreKind.allCases)
  func retriedCreation(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      let new = lab.newBatch(metadata: ["b": "2", "a": "1"])
      let first = try await lab.store.createBatch(new, isRetry: false, now: now)
      #expect(first.metadata == ["a": "1", "b": "2"])
      let retried = try await lab.store.createBatch(
        new, isRetry: true, now: now.adding(seconds: 599))
      #expect(retried.id == first.id)
      let second = try await lab.store.createBatch(new, isRetry: false, now: now)
      #expect(second.id != first.id)
      let late = try await lab.store.createBatch(new, isRetry: true, now: now.adding(seconds: 601))
      #expect(late.id != first.id && late.id != second.id)
      let other = try await lab.store.createBatch(
        lab.newBatch(metadata: ["a": "1"]), isRetry: true, now: now)
      #expect(other.id != first.id && other.id != second.id)
      // Keys are compared by code points: é has two spellings.
      let both: ExactDictionary = ["\u{E9}": "1", "e\u{301}": "2"]
      let pairs = try await lab.store.createBatch(
        lab.newBatch(metadata: both), isRetry: false, now: now)
      #expect(try await lab.store.batch(pairs.id, key: nil)?.metadata == both)
      let swapped = try await lab.store.createBatch(
        lab.newBatch(metadata: ["\u{E9}": "2", "e\u{301}": "1"]), isRetry: true, now: now)
      #expect(swapped.id != pairs.id)
    }
  }

  @Test("invalid lines fail the batch and run nothing", arguments: StoreKind.allCases)
  func failedValidation(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      let batch = try await lab.store.createBatch(lab.newBatch(), isRetry: false, now: now)
      try await lab.store.appendRequests([lab.request(1), lab.request(2)], to: batch.id)
      let errors = (1...150).map {
        BatchError(code: "invalid_json_line", line: $0, message: "not JSON", param: nil)
      }
      let failed = try await lab.store.failValidation(batch.id, errors: errors, now: now)
      #expect(failed.state == .failed && failed.times.failed == now)
      #expect(failed.errors == Array(errors.prefix(StoreLimit.storedErrors)))
      #expect(try await lab.batch(batch.id) == failed)
      let a = try await lab.worker("a", account: "ann")
      #expect(try await lab.lease(a).isEmpty)
      await #expect(throws: StoreError.self) {
        try await lab.store.appendRequests([lab.request(3)], to: batch.id)
      }
    }
  }

  @Test(
    "an interrupted validation starts over without doubling a line", arguments: StoreKind.allCases)
  func repeatedSlices(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let batch = try await lab.store.createBatch(
        lab.newBatch(), isRetry: false, now: Laboratory.start)
      try await lab.store.appendRequests((1...7).map { lab.request($0) }, to: batch.id)
      #expect(try await lab.store.batchesToValidate(limit: 10).map(\.id) == [batch.id])
      try await lab.store.appendRequests((1...10).map { lab.request($0) }, to: batch.id)
      let running = try await lab.store.finishValidation(
        batch.id, model: "tiny", now: Laboratory.start)
      #expect(running.total == 10 && running.model == "tiny")
      #expect(try await lab.store.batchesToValidate(limit: 10).isEmpty)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      try await lab.drain([a, b])
      #expect(try await lab.batch(batch.id).completed == 10)
    }
  }

  @Test(
    "a line that fails alone goes to the error file; all such lines end the batch at once",
    arguments: StoreKind.allCases)
  func failedLines(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      let failure = RequestFailure(
        statusCode: 400, code: "context_length_exceeded", message: "too long", param: "messages")
      let bad = NewRequest(
        line: 2, customID: "bad", rendering: Data(), content: .failed(failure))
      let batch = try await lab.store.createBatch(lab.newBatch(), isRetry: false, now: now)
      try await lab.store.appendRequests([lab.request(1), bad, lab.request(3)], to: batch.id)
      let running = try await lab.store.finishValidation(batch.id, model: nil, now: now)
      #expect(running.state == .inProgress && running.failed == 1 && running.total == 3)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      try await lab.drain([a, b])
      let outcomes = try await lab.store.outcomes(of: batch.id, afterLine: 1, limit: 1)
      #expect(outcomes.map(\.ending) == [.failed(failure)])
      #expect(outcomes[0].customID == "bad" && outcomes[0].id.hasPrefix("batch_req_"))

      let hopeless = try await lab.store.createBatch(lab.newBatch(), isRetry: false, now: now)
      try await lab.store.appendRequests([bad], to: hopeless.id)
      let ended = try await lab.store.finishValidation(hopeless.id, model: nil, now: now)
      #expect(ended.state == .finalizing(.completed) && ended.failed == 1 && ended.total == 1)
    }
  }

  @Test(
    "cancelling drops what runs, delivers what is done and answers late results as not needed",
    arguments: StoreKind.allCases)
  func cancellation(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      let batch = try await lab.runningBatch(lines: 20)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      let done = try #require(try await lab.lease(a).first)
      try await lab.submit(done, by: a)
      try await lab.submit(try #require(try await lab.lease(b).first), by: b)
      let running = try #require(try await lab.lease(a).first)
      let cancelled = try await lab.store.cancelBatch(batch.id, key: lab.key.id, now: now)
      #expect(cancelled.state == .cancelling)
      #expect(cancelled.completed == 4 && cancelled.failed == 16)
      #expect(
        try await lab.store.cancelBatch(batch.id, key: lab.key.id, now: now).state == .cancelling)
      let heartbeat = try await lab.store.heartbeat(
        lease: running.id, worker: a.id, flopsDone: 1, now: now)
      #expect(heartbeat.verdict == .abandon)
      #expect(try await lab.submit(running, by: a).state == .notNeeded)
      #expect(try await lab.lease(b).isEmpty)
      let endings = try await lab.store.outcomes(of: batch.id, afterLine: 0, limit: 100)
      #expect(endings.filter { $0.ending == .cancelled }.count == 16)
      try await lab.finalizeAll(now: now)
      let ended = try await lab.batch(batch.id)
      #expect(ended.state == .cancelled && ended.outputFileID != nil && ended.errorFileID != nil)
      #expect(try await lab.store.batchesToFinalize(limit: 10).isEmpty)
      #expect(
        try await lab.store.cancelBatch(batch.id, key: lab.key.id, now: now).state == .cancelled)
    }
  }

  @Test("a batch that ended cannot be cancelled, nor anyone else's", arguments: StoreKind.allCases)
  func cancelRefused(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      let batch = try await lab.runningBatch(lines: 2, pool: .trusted)
      let other = try await lab.withKey("other")
      await #expect {
        try await lab.store.cancelBatch(batch.id, key: other.key.id, now: now)
      } throws: { ($0 as? StoreError)?.code == .notFound }
      try await lab.drain([try await lab.worker("t", account: "lab", trusted: true)])
      try await lab.finalizeAll(now: now)
      #expect(try await lab.batch(batch.id).state == .completed)
      await #expect {
        try await lab.store.cancelBatch(batch.id, key: lab.key.id, now: now)
      } throws: { ($0 as? StoreError)?.code == .conflict }
    }
  }

  @Test(
    "cancelled while it is validated, a batch runs nothing and stops the validation",
    arguments: StoreKind.allCases)
  func cancelledDuringValidation(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      let batch = try await lab.store.createBatch(lab.newBatch(), isRetry: false, now: now)
      try await lab.store.appendRequests([lab.request(1), lab.request(2)], to: batch.id)
      let cancelled = try await lab.store.cancelBatch(batch.id, key: lab.key.id, now: now)
      #expect(cancelled.total == 2 && cancelled.failed == 2)
      await #expect {
        try await lab.store.appendRequests([lab.request(3)], to: batch.id)
      } throws: { ($0 as? StoreError)?.code == .conflict }
      await #expect(throws: StoreError.self) {
        try await lab.store.finishValidation(batch.id, model: nil, now: now)
      }
      try await lab.finalizeAll(now: now)
      #expect(try await lab.batch(batch.id).state == .cancelled)
    }
  }

  @Test(
    "when the window closes, finished lines are delivered and the rest expire",
    arguments: StoreKind.allCases)
  func windowCloses(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let start = Laboratory.start
      let batch = try await lab.runningBatch(lines: 12, windowSeconds: 3_600)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      try await lab.submit(try #require(try await lab.lease(a).first), by: a)
      try await lab.submit(try #require(try await lab.lease(b).first), by: b)
      let running = try #require(try await lab.lease(a).first)
      #expect(try await lab.store.tick(now: start.adding(seconds: 3_599)).expiredBatches == 0)
      let end = start.adding(seconds: 3_600)
      #expect(try await lab.store.tick(now: end).expiredBatches == 1)
      let expired = try await lab.batch(batch.id)
      #expect(expired.state == .finalizing(.expired) && expired.times.finalizing == end)
      #expect(expired.completed == 4 && expired.failed == 8)
      #expect(try await lab.submit(running, by: a, now: end).state == .notNeeded)
      let outcomes = try await lab.store.outcomes(of: batch.id, afterLine: 0, limit: 100)
      #expect(outcomes.filter { $0.ending == .expired }.count == 8)
      try await lab.finalizeAll(now: end)
      #expect(try await lab.batch(batch.id).times.expired == end)
    }
  }

  @Test(
    "a batch that is never validated fails when its window closes", arguments: StoreKind.allCases)
  func windowClosesEarly(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let batch = try await lab.store.createBatch(
        lab.newBatch(windowSeconds: 60), isRetry: false, now: Laboratory.start)
      _ = try await lab.store.tick(now: Laboratory.start.adding(seconds: 60))
      let ended = try await lab.batch(batch.id)
      #expect(ended.state == .failed && ended.errors.map(\.code) == ["batch_expired"])
    }
  }

  @Test(
    "a sequence that is not finite fails its request and no other", arguments: StoreKind.allCases)
  func nonFinite(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let batch = try await lab.runningBatch(lines: 4, pool: .trusted)
      let t = try await lab.worker("t", account: "lab", trusted: true)
      let lease = try #require(try await lab.lease(t).first)
      var result = try await lab.result(of: lease.specification)
      result.sequences[2].nonFinite = true
      _ = try await lab.store.submit(
        ResultSubmission(
          leaseID: lease.id, workerID: t.id, result: result, signature: Data(), seconds: nil),
        now: Laboratory.start)
      let outcomes = try await lab.store.outcomes(of: batch.id, afterLine: 0, limit: 10)
      #expect(outcomes[2].ending == .failed(.nonFinite))
      let ended = try await lab.batch(batch.id)
      #expect(ended.completed == 3 && ended.failed == 1 && ended.state == .finalizing(.completed))
    }
  }

  @Test("batches are listed by key, page by page, in both orders", arguments: StoreKind.allCases)
  func listing(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let other = try await lab.withKey("other")
      var ids: [String] = []
      for index in 0..<5 {
        let now = Laboratory.start.adding(seconds: index / 2)
        ids.append(try await lab.store.createBatch(lab.newBatch(), isRetry: false, now: now).id)
        _ = try await lab.store.createBatch(other.newBatch(), isRetry: false, now: now)
      }
      var listed: [String] = []
      var page = PageRequest(limit: 2)
      while true {
        let answer = try await lab.store.batches(key: lab.key.id, page: page)
        listed += answer.items.map(\.id)
        guard answer.hasMore else { break }
        page.after = answer.items.last?.id
      }
      #expect(listed == ids.reversed())
      let ascending = try await lab.store.batches(
        key: lab.key.id, page: PageRequest(after: ids[1], limit: 10, order: .ascending))
      #expect(ascending.items.map(\.id) == Array(ids[2...]) && !ascending.hasMore)
      await #expect {
        try await lab.store.batches(key: other.key.id, page: PageRequest(after: ids[0]))
      } throws: { ($0 as? StoreError)?.code == .unknownCursor }
      #expect(try await lab.store.batch(ids[0], key: other.key.id) == nil)
    }
  }

  @Test("finishing a batch twice makes its files once", arguments: StoreKind.allCases)
  func finishedTwice(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let now = Laboratory.start
      let batch = try await lab.runningBatch(lines: 2, pool: .trusted)
      await #expect(throws: StoreError.self) {
        try await lab.store.outcomes(of: batch.id, afterLine: 0, limit: 10)
      }
      try await lab.drain([try await lab.worker("t", account: "lab", trusted: true)])
      let file = NewFile(
        keyID: lab.key.id, purpose: .batchOutput, filename: "out.jsonl", bytes: 3,
        blob: Laboratory.digest("out"))
      let first = try await lab.store.finishBatch(batch.id, output: file, errors: nil, now: now)
      let second = try await lab.store.finishBatch(batch.id, output: file, errors: nil, now: now)
      #expect(first == second && first.state == .completed)
      #expect(first.outputFileID != nil && first.errorFileID == nil)
      let files = try await lab.store.files(
        key: lab.key.id, purpose: .batchOutput, page: PageRequest(), now: now)
      #expect(files.items.map(\.id) == [first.outputFileID])
    }
  }
}
