import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Foundation
import HummingbirdTesting
import Logging
import Testing
import WirePayloads
import WireProtocol

/// Fine-tuning jobs from their creation to their first round.
@Suite struct FineTuningRouteTests {
  /// A training file of so many conversations.
  static func examples(_ count: Int) -> Data {
    let lines = (0..<count).map { number in
      #"{"messages":[{"role":"user","content":"\#(number)"},"#
        + #"{"role":"assistant","content":"after it comes \#(number + 1)"}]}"#
    }
    return Data(lines.joined(separator: "\n").utf8)
  }

  static func body(_ file: String, seed: Int = 1) -> String {
    #"{"model":"\#(TestCoordinator.model)","training_file":"\#(file)","seed":\#(seed)}"#
  }

  /// Reads the files of the jobs that wait, as the service does.
  static func validate(_ coordinator: TestCoordinator) async throws {
    for job in try await coordinator.store.openFineTuningJobs(limit: 100)
    where job.state == .validating {
      try await FineTuningValidation(
        environment: coordinator.environment, job: job, logger: Logger(label: "test")
      ).run()
    }
  }

  private static func limit(_ coordinator: TestCoordinator, _ quota: Quota) async throws -> String {
    let keys = try await coordinator.store.keys()
    let key = try #require(keys.first { $0.name == "test" })
    try await coordinator.store.setQuota(quota, ofKey: key.id)
    return key.id
  }

  @Test func aJobThatWouldStoreMoreThanItsKeyMayWritesNothing() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.addModel()
    let data = Self.examples(40)
    // Adapter and examples of the tiny model take more.
    let key = try await Self.limit(coordinator, Quota(storedBytes: data.count + 4000))
    try await coordinator.test { client in
      let file = try await client.upload(data, purpose: "fine-tune")
      let created = try await client.send(
        .post, "/v1/fine_tuning/jobs", json: Self.body(file.id))
      #expect(created.status == 200)
      let before = coordinator.blobs.count
      try await Self.validate(coordinator)
      let job = try await client.send(.get, "/v1/fine_tuning/jobs/\(created.id)")
      #expect(job.json["status"] as? String == "failed")
      #expect(job.errorCode == "storage_limit_exceeded")
      #expect(coordinator.blobs.count == before)
      let usage = try await coordinator.store.usage(ofKey: key, now: coordinator.clock.now)
      #expect(usage.storedBytes == data.count)
    }
  }

  @Test func jobsThatAreCancelledAreCountedAndNotMadeWithoutEnd() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.addModel()
    let data = Self.examples(40)
    let key = try await Self.limit(coordinator, Quota(storedBytes: data.count + 40_000))
    try await coordinator.test { client in
      let file = try await client.upload(data, purpose: "fine-tune")
      var (begun, isRefused) = (0, false)
      for seed in 0..<20 where !isRefused {
        let created = try await client.send(
          .post, "/v1/fine_tuning/jobs", json: Self.body(file.id, seed: seed))
        #expect(created.status == 200)
        try await Self.validate(coordinator)
        let usage = try await coordinator.store.usage(ofKey: key, now: coordinator.clock.now)
        #expect(usage.storedBytes <= data.count + 40_000)
        let job = try await client.send(.get, "/v1/fine_tuning/jobs/\(created.id)")
        isRefused = job.errorCode == "storage_limit_exceeded"
        if !isRefused {
          begun += 1
          #expect(usage.tokens > 0, "what the job may take")
          _ = try await client.send(.post, "/v1/fine_tuning/jobs/\(created.id)/cancel")
        }
      }
      #expect(begun > 0 && isRefused)
    }
  }

  @Test func estimatesTakeTurnsAndHoldUpNoJob() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.addModel()
    let environment = coordinator.environment
    let key = try #require(try await coordinator.store.keys().first { $0.name == "test" })
    try await coordinator.test { client in
      let file = try await client.upload(Self.examples(12), purpose: "fine-tune")
      let path = "/tally/v1/fine_tuning/estimates"
      var turn = environment.estimates.take(key.id)
      #expect(turn != nil)
      let refused = try await client.send(.post, path, json: Self.body(file.id))
      #expect(refused.status == 429 && refused.headers[.retryAfter] != nil)
      turn = nil
      let created = try await client.send(
        .post, "/v1/fine_tuning/jobs", json: Self.body(file.id))
      // All the memory that clients have is taken, and as many wait for it as may.
      let gate = Gate()
      let waiting = (0...environment.askedMemory.waitingLimit).map { _ in
        Task {
          try await environment.heavy.run(bytes: 1 << 30, of: environment.askedMemory) {
            await gate.passed()
          }
        }
      }
      let deadline = ContinuousClock.now + .seconds(60)
      while environment.askedMemory.waitingCount < environment.askedMemory.waitingLimit,
        .now < deadline
      {
        await Task.yield()
      }
      #expect(try await client.send(.post, path, json: Self.body(file.id)).status == 503)
      try await Self.validate(coordinator)
      let job = try await client.send(.get, "/v1/fine_tuning/jobs/\(created.id)")
      #expect(job.json["status"] as? String == "queued")
      gate.open()
      for task in waiting { try await task.value }
      let answer = try await client.send(.post, path, json: Self.body(file.id))
      #expect(answer.status == 200, "\(String(decoding: answer.body, as: UTF8.self))")
    }
    #expect(environment.estimates.count == 0)
  }

  @Test func aJobWhoseNumbersGrowBeyondAllBoundsEndsAndSaysWhy() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.addModel()
    let (store, blobs, now) = (coordinator.store, coordinator.blobs, coordinator.clock.now)
    try await coordinator.test { client in
      let file = try await client.upload(Self.examples(12), purpose: "fine-tune")
      let created = try await client.send(
        .post, "/v1/fine_tuning/jobs",
        json: """
          {"model":"\(TestCoordinator.model)","training_file":"\(file.id)","seed":1,
           "metadata":{"tally_pool":"trusted"},"hyperparameters":{"outer_learning_rate":10,\
          "hold_out":0}}
          """)
      #expect(created.status == 200)
      try await Self.validate(coordinator)
      let secret = BlobDigest.sha256(Data("an invitation".utf8))
      _ = try await store.createInvitation(
        NewInvitation(
          secretHash: secret, accountName: "ann", uses: 1, expiresAt: now.adding(seconds: 60),
          trusted: true), now: now)
      let worker = try await store.enrol(
        NewWorker(secretHash: secret, publicKey: BlobDigest.sha256(Data("a key".utf8)), name: "w"),
        now: now)
      let lease = try #require(
        try await store.lease(
          worker: worker.id,
          request: LeaseRequest(
            threads: 1, memoryLimitBytes: 1 << 40, cacheFreeBytes: 1 << 40, cachedModels: [],
            measuredFlopsPerSecond: nil, secondsWanted: 600, maximumUnits: 1), now: now
        ).leases.first)
      // Each number is finite, as a result's has to be; ten times as much is not.
      let inputs = try TrainInputs(decoding: try await blobs.read(lease.specification.inputs))
      let digest = try #require(lease.specification.adapter)
      let adapter = try AdapterPayload(decoding: try await blobs.read(digest))
      let changes = adapter.pairs.mapValues { pair in
        var pair = pair
        pair.b = pair.b.map { _ in 3e38 }
        return pair
      }
      let steps = inputs.steps.map { _ in 1.0 }
      let result = try TrainResult(changes: changes, losses: steps, norms: steps).encoded()
      let receipt = try await store.submit(
        ResultSubmission(
          leaseID: lease.id, workerID: worker.id,
          result: NewResult(
            digest: try await blobs.put(result),
            sequences: inputs.examples.sequences.map {
              SequenceSummary(tokens: $0.tokens.count, nonFinite: false)
            }), signature: Data([1]), seconds: 1), now: now)
      #expect(receipt.state == .accepted)
      let job = try #require(try await store.openFineTuningJobs(limit: 1).first)
      let due = try await FineTuningAdvance(
        environment: coordinator.environment, job: job, running: now, logger: Logger(label: "test")
      ).run()
      #expect(due == nil)
      let ended = try await client.send(.get, "/v1/fine_tuning/jobs/\(created.id)")
      #expect(ended.json["status"] as? String == "failed" && ended.errorCode == "diverged")
      let message = (ended.json["error"] as? [String: Any])?["message"] as? String
      #expect(message?.contains("Round 1 cannot be joined") == true)
    }
  }
}

/// What tests wait at until it opens.
final class Gate: Sendable {
  private let (stream, continuation) = AsyncStream<Void>.makeStream()

  func open() { continuation.finish() }
  func passed() async { for await _ in stream {} }
}
