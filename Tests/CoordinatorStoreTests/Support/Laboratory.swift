import CoordinatorCore
import CoordinatorStore
import Foundation
import ModelFormats
import TestSupport
import WirePayloads
import WireProtocol

/// A store with what tests need around it: a model, a key, workers, and machines that compute
/// units.
struct Laboratory: Sendable {
  let store: any Store
  let blobs: any BlobStore
  let key: KeyRecord
  let model: ModelRecord

  static let start = Timestamp(seconds: 1_800_000_000)
  /// A model small enough that a unit's operations are easily added up.
  static let cost = ModelCost(
    bodyFlopsPerToken: 1e9, headFlopsPerToken: 0, attentionFlopsPerPosition: 0,
    weightBytes: 100 << 20, cacheBytesPerToken: 1 << 10, diskBytes: 100 << 20)

  static func digest(_ text: String) -> Digest { BlobDigest.sha256(Data(text.utf8)) }

  static func model(_ name: String, cost: ModelCost = cost) -> ModelRecord {
    ModelRecord(
      id: name, manifest: digest("manifest of \(name)"), tokenizer: digest("tokenizer"),
      vocabulary: digest("vocabulary of \(name)"), chatTemplate: "{{ messages }}",
      contextLength: 2048, cost: cost, source: "made up", createdAt: start)
  }

  init(_ store: any Store, _ blobs: any BlobStore, keyName: String = "first") async throws {
    self.store = store
    self.blobs = blobs
    key = try await store.createKey(
      NewKey(name: keyName, hash: Self.digest("secret of \(keyName)")), now: Self.start)
    model = Self.model("tiny")
    try await store.registerModel(model, provenance: nil, blobs: [Self.digest("a chunk")])
  }

  /// The same store with another key.
  func withKey(_ name: String, weight: Double = 1) async throws -> Laboratory {
    Laboratory(
      store: store, blobs: blobs,
      key: try await store.createKey(
        NewKey(name: name, hash: Self.digest("secret of \(name)"), weight: weight),
        now: Self.start),
      model: model)
  }

  init(store: any Store, blobs: any BlobStore, key: KeyRecord, model: ModelRecord) {
    self.store = store
    self.blobs = blobs
    self.key = key
    self.model = model
  }
}

/// Batches.
extension Laboratory {
  func newBatch(
    pool: WorkPool = .public, windowSeconds: Int = 86_400, priority: Int = 0,
    metadata: ExactDictionary<String>? = nil
  ) -> NewBatch {
    NewBatch(
      keyID: key.id, inputFileID: "file-input", inputBlob: Self.digest("input"),
      endpoint: "/v1/chat/completions", completionWindow: "24h",
      completionWindowSeconds: windowSeconds, metadata: metadata, pool: pool, priority: priority)
  }

  /// One line whose answer is `maxTokens` tokens at most.
  func request(
    _ line: Int, prompt: Int = 10, maxTokens: Int = 10, choices: Int = 1, seed: Int64 = 0,
    stops: [String] = [], model: Digest? = nil, cache: CacheType = .f16
  ) -> NewRequest {
    let tokens = (0..<prompt).map { Int32(truncatingIfNeeded: ($0 &* 7919 &+ line) % 1000) }
    return NewRequest(
      line: line, customID: "request-\(line)", rendering: Data("rendering \(line)".utf8),
      content: .run(
        RequestWork(
          model: model ?? self.model.manifest, cache: cache,
          sequences: (0..<choices).map { choice in
            GenerateInputs.Sequence(
              promptTokens: tokens, maxTokens: maxTokens, temperature: 1,
              seed: seed &+ Int64(line * 1000 + choice),
              topLogprobs: line % 3 == 0 ? 2 : nil, stopStrings: stops.map { Array($0.utf8) })
          })))
  }

  /// A batch of `lines` that is in progress.
  func runningBatch(
    lines: Int, pool: WorkPool = .public, windowSeconds: Int = 86_400, priority: Int = 0,
    maxTokens: Int = 10, choices: Int = 1, now: Timestamp = Laboratory.start
  ) async throws -> BatchRecord {
    let batch = try await store.createBatch(
      newBatch(pool: pool, windowSeconds: windowSeconds, priority: priority), isRetry: false,
      now: now)
    for first in stride(from: 1, through: lines, by: 500) {
      try await store.appendRequests(
        (first...min(first + 499, lines)).map {
          request($0, maxTokens: maxTokens, choices: choices, seed: Int64(now.seconds))
        }, to: batch.id)
    }
    return try await store.finishValidation(batch.id, model: model.id, now: now)
  }

  func batch(_ id: String) async throws -> BatchRecord {
    guard let batch = try await store.batch(id, key: nil) else {
      throw StoreError(.notFound, "the test's batch")
    }
    return batch
  }

  /// Writes the files of every batch that waits for them.
  func finalizeAll(now: Timestamp) async throws {
    for batch in try await store.batchesToFinalize(limit: 100) {
      let file = NewFile(
        keyID: batch.keyID, purpose: .batchOutput, filename: "\(batch.id).jsonl", bytes: 1,
        blob: Self.digest(batch.id))
      _ = try await store.finishBatch(
        batch.id, output: batch.completed > 0 ? file : nil,
        errors: batch.failed > 0 ? file : nil, now: now)
    }
  }
}

/// Workers.
extension Laboratory {
  func worker(
    _ name: String, account: String, trusted: Bool = false, now: Timestamp = Laboratory.start
  ) async throws -> WorkerRecord {
    let secret = Self.digest("invitation for \(name) of \(account)")
    _ = try await store.createInvitation(
      NewInvitation(
        secretHash: secret, accountName: account, uses: 1, expiresAt: now.adding(seconds: 3600),
        trusted: trusted), now: now)
    return try await store.enrol(
      NewWorker(secretHash: secret, publicKey: Self.digest("key of \(name)"), name: name), now: now)
  }

  static func leaseRequest(
    memory: Int = 1 << 30, disk: Int = 1 << 30, seconds: Int = 600, units: Int = 1
  ) -> LeaseRequest {
    LeaseRequest(
      threads: 4, memoryLimitBytes: memory, cacheFreeBytes: disk, cachedModels: [],
      measuredFlopsPerSecond: nil, secondsWanted: seconds, maximumUnits: units)
  }

  func lease(
    _ worker: WorkerRecord, units: Int = 1, now: Timestamp = Laboratory.start
  ) async throws -> [Lease] {
    try await store.lease(
      worker: worker.id, request: Self.leaseRequest(units: units), now: now
    ).leases
  }

  /// What an honest machine computes: a function of the specification and its inputs, nothing else.
  static func compute(_ inputs: GenerateInputs) -> GenerateResult {
    GenerateResult(
      sequences: inputs.sequences.map { sequence in
        var random = SeededRandom(
          seed: UInt64(bitPattern: sequence.seed) ^ UInt64(sequence.promptTokens.count))
        let count = 1 + Int(random.next() % UInt64(sequence.maxTokens))
        let width = sequence.topLogprobs ?? 0
        return GenerateResult.Sequence(
          tokens: (0..<count).map { _ in Int32(random.next() % 1000) }, finish: .length,
          logprobs: (0..<count).map { -Float($0) },
          topTokens: (0..<count).flatMap { _ in (0..<width).map { Int32($0) } },
          topLogprobs: (0..<count).flatMap { _ in (0..<width).map { -Float($0) } })
      })
  }

  /// A wrong result of the right shape.
  static func falsified(_ result: GenerateResult, by liar: String) -> GenerateResult {
    var result = result
    // Different for every liar: liars who agree beforehand are believed by any quorum.
    result.sequences[0].tokens[0] = 1001 + (Int32(digest(liar).hex.prefix(7), radix: 16) ?? 0)
    return result
  }

  func inputs(_ specification: UnitSpecification) async throws -> GenerateInputs {
    try GenerateInputs(decoding: try await blobs.read(specification.inputs))
  }

  /// Computes a unit, stores its result and gives it with its name.
  func result(
    of specification: UnitSpecification, lyingAs liar: String? = nil
  ) async throws -> NewResult {
    var result = Self.compute(try await inputs(specification))
    if let liar { result = Self.falsified(result, by: liar) }
    let digest = try await blobs.put(try result.encoded())
    return NewResult(digest: digest, result: result)
  }

  @discardableResult
  func submit(
    _ lease: Lease, by worker: WorkerRecord, lyingAs liar: String? = nil, seconds: Double? = 10,
    energy: EnergyClaim? = nil, now: Timestamp = Laboratory.start.adding(seconds: 10)
  ) async throws -> ResultReceipt {
    try await store.submit(
      ResultSubmission(
        leaseID: lease.id, workerID: worker.id,
        result: try await result(of: lease.specification, lyingAs: liar), signature: Data([1]),
        seconds: seconds, energy: energy), now: now)
  }

  /// Gives a lease back without a result.
  func abandon(
    _ lease: Lease, by worker: WorkerRecord, _ reason: Abandonment.Reason, detail: String = "",
    now: Timestamp = Laboratory.start
  ) async throws {
    try await store.abandon(
      lease: lease.id, worker: worker.id, reason: reason, detail: detail, now: now)
  }

  /// Lets the coordinator's own machine settle what waits for it.
  @discardableResult
  func replayAll(now: Timestamp = Laboratory.start.adding(seconds: 20)) async throws -> Int {
    var count = 0
    while let job = try await store.takeReplay(now: now) {
      _ = try await store.settleReplay(
        job.id, result: try await result(of: job.specification), now: now)
      count += 1
    }
    return count
  }

  /// Runs everything that the workers can get, one unit after the other. Among several accounts one
  /// is drawn first: a minute of waiting lets another have what it leaves.
  func drain(_ workers: [WorkerRecord], now: Timestamp = Laboratory.start) async throws {
    var now = now
    var idleMinutes = 0
    while idleMinutes < 6 {
      var (isBusy, isWaiting) = (false, false)
      for worker in workers {
        let answer = try await store.lease(
          worker: worker.id, request: Self.leaseRequest(units: 4), now: now)
        for lease in answer.leases {
          try await submit(lease, by: worker, now: now.adding(seconds: 1))
          isBusy = true
        }
        if answer.reasons[.sameAccount] != nil { isWaiting = true }
      }
      guard isBusy || isWaiting else { return }
      idleMinutes = isBusy ? 0 : idleMinutes + 1
      if !isBusy { now = now.adding(seconds: 60) }
    }
  }
}
