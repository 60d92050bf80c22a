import CoordinatorAPI
import CoordinatorCore
import CoordinatorDashboard
import CoordinatorStore
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import Testing
import WirePayloads
import WireProtocol

/// A coordinator in memory with its pages, and people who contributed to it.
struct TestDashboard: Sendable {
  static let start = Timestamp(seconds: 1_795_824_000)

  let store: FleetStore
  let blobs = MemoryBlobStore()
  private let environment: APIEnvironment
  private let key: KeyRecord
  private let model: ModelRecord

  static func digest(_ text: String) -> Digest { BlobDigest.sha256(Array(text.utf8)) }

  init() async throws {
    store = FleetStore.inMemory(blobs: blobs)
    var environment = APIEnvironment(
      store: store, blobs: blobs,
      authority: try Authority(creatingAt: Date(timeIntervalSince1970: 1_795_824_000)),
      catalog: ModelCatalog(store: store, blobs: blobs), now: { Self.start })
    environment.shared = SharedAnswers(interval: .zero)
    self.environment = environment
    key = try await store.createKey(
      NewKey(name: "test", hash: Self.digest("tally-test")), now: Self.start)
    model = ModelRecord(
      id: "tiny", manifest: Self.digest("manifest"), tokenizer: Self.digest("tokenizer"),
      vocabulary: Self.digest("vocabulary"), chatTemplate: nil, contextLength: 2048,
      cost: ModelCost(
        bodyFlopsPerToken: 1e9, headFlopsPerToken: 0, attentionFlopsPerPosition: 0,
        weightBytes: 1 << 20, cacheBytesPerToken: 1 << 10, diskBytes: 1 << 20),
      source: "made up", createdAt: Self.start)
    try await store.registerModel(model, provenance: nil, blobs: [Self.digest("chunk")])
  }

  /// Runs `body` with a client of the coordinator's routes and pages.
  ///
  /// - Parameter interval: how long a page serves others.
  func test<Value: Sendable>(
    interval: Duration = .zero, _ body: @Sendable (any TestClientProtocol) async throws -> Value
  ) async throws -> Value {
    let router = APIRouter.make(environment) { _, _ in nil }
    try DashboardRoutes(environment: environment, live: LivePages(interval: interval)).add(
      to: router)
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    return try await Application(router: router, logger: logger).test(.router, body)
  }
}

/// Those who contribute.
extension TestDashboard {
  /// A machine that joins an account, which is made when it is new.
  func worker(
    _ name: String, account: String, isNamed: Bool = true, trusted: Bool = false
  ) async throws -> WorkerRecord {
    let secret = Self.digest("invitation for \(name) of \(account)")
    _ = try await store.createInvitation(
      NewInvitation(
        secretHash: secret, accountName: account, uses: 1,
        expiresAt: Self.start.adding(seconds: 3_600), trusted: trusted, isNamed: isNamed),
      now: Self.start)
    return try await store.enrol(
      NewWorker(secretHash: secret, publicKey: Self.digest("key of \(name)"), name: name),
      now: Self.start)
  }

  /// A key that opens the account's page.
  func accountKey(_ account: String) async throws -> String {
    let key = "tally-account-\(Self.digest(account).hex.prefix(32))"
    try await store.createAccountKey(
      accountNamed: account, hash: Self.digest(key), now: Self.start)
    return key
  }

  /// The key that shows every name.
  func operatorKey() async throws -> String {
    let key = "tally-operator-\(Self.digest("operator").hex.prefix(32))"
    try await store.setOperatorKey(hash: Self.digest(key))
    return key
  }

  /// A job of so many requests; its id.
  @discardableResult
  func submitJob(lines: Int, tokens: Int = 10, now: Timestamp = start) async throws -> String {
    let batch = try await store.createBatch(
      NewBatch(
        keyID: key.id, inputFileID: "file", inputBlob: Self.digest("input"),
        endpoint: "/v1/chat/completions", completionWindow: "24h", completionWindowSeconds: 86_400,
        metadata: nil, pool: .public, priority: 0), isRetry: false, now: now)
    try await store.appendRequests(
      (1...lines).map { line in
        NewRequest(
          line: line, customID: "\(line)", rendering: Data(),
          content: .run(
            RequestWork(
              model: model.manifest, cache: .f16,
              sequences: [
                GenerateInputs.Sequence(
                  promptTokens: [1, 2], maxTokens: tokens, temperature: 0,
                  seed: now.milliseconds + Int64(line), topLogprobs: nil, stopStrings: [])
              ])))
      }, to: batch.id)
    return try await store.finishValidation(batch.id, model: model.id, now: now).id
  }

  /// A fine-tuning job of two rounds whose first is published; its id.
  func submitTuning() async throws -> String {
    let job = try await store.createFineTuningJob(
      NewFineTuningJob(
        keyID: key.id, model: "tiny", trainingFileID: "file-secret",
        trainingBlob: Self.digest("training"), suffix: "secret", seed: 1), isRetry: false,
      now: Self.start)
    let plan = FineTuningPlan(
      model: model.manifest, training: Self.digest("examples"), validation: nil,
      trainingExamples: 12, validationExamples: 0, seed: 1, rank: 2, alpha: 4,
      isRankStabilised: false, targets: ["q_proj"], epochs: 1, batchSize: 2, localSteps: 3,
      shards: 1, learningRate: 1e-3, outerLearningRate: 1, outerMomentum: 0.5, patience: nil)
    try await store.beginFineTuning(
      job.id, plan: plan, base: model, Self.round(0), now: Self.start)
    return job.id
  }

  /// Goes on to the second round.
  func joinRound(of job: String) async throws {
    try await store.publish(
      Self.round(1),
      joining: JoinedRound(
        number: 0, shards: [0],
        metrics: RoundMetrics(losses: [3, 2.5, 2], tokens: 60, joined: 1, shards: 1),
        velocity: nil),
      ofFineTuningJob: job, now: Self.start.adding(seconds: 60))
  }

  private static func round(_ number: Int) -> NewFineTuningRound {
    NewFineTuningRound(
      number: number, adapter: digest("adapter \(number)"),
      units: [
        NewFineTuningUnit(
          kind: .train, shard: 0, inputs: digest("inputs \(number)"), tokens: [10], flops: 1e9,
          memoryBytes: 1 << 20)
      ])
  }

  func lease(_ worker: WorkerRecord, now: Timestamp = start) async throws -> [Lease] {
    try await store.lease(
      worker: worker.id,
      request: LeaseRequest(
        threads: 4, memoryLimitBytes: 1 << 30, cacheFreeBytes: 1 << 30, cachedModels: [],
        measuredFlopsPerSecond: nil, secondsWanted: 600, maximumUnits: 4), now: now
    ).leases
  }

  /// Has these machines compute a job on each of these days before the start.
  func contribute(
    _ workers: [WorkerRecord], lines: Int = 3, daysAgo: [Int] = [0]
  ) async throws {
    for day in daysAgo.sorted(by: >) {
      let now = Self.start.adding(seconds: -day * 86_400)
      try await submitJob(lines: lines, now: now)
      var isBusy = true
      while isBusy {
        isBusy = false
        for worker in workers {
          for lease in try await lease(worker, now: now) {
            try await submit(lease, by: worker, now: now)
            isBusy = true
          }
        }
      }
    }
  }

  /// Sends the one right result.
  func submit(_ lease: Lease, by worker: WorkerRecord, now: Timestamp = start) async throws {
    let inputs = try GenerateInputs(decoding: try await blobs.read(lease.specification.inputs))
    let result = GenerateResult(
      sequences: inputs.sequences.map { sequence in
        GenerateResult.Sequence(
          tokens: (0..<sequence.maxTokens).map { Int32($0) }, finish: .length,
          logprobs: (0..<sequence.maxTokens).map { -Float($0) })
      })
    let digest = try await blobs.put(try result.encoded())
    _ = try await store.submit(
      ResultSubmission(
        leaseID: lease.id, workerID: worker.id, result: NewResult(digest: digest, result: result),
        signature: Data([1]), seconds: 10), now: now)
  }
}

/// An answer as a test looks at it.
struct PageAnswer {
  let status: Int
  let headers: HTTPFields
  let body: String
  /// What a reader sees, with runs of blanks as one.
  let text: String
  let problems: [String]

  /// The parts of the cookie that is set, whose order means nothing.
  var cookie: Set<String> {
    Set(
      (headers[.setCookie] ?? "").split(separator: ";").map { $0.trimmingPrefix(" ") }.map(
        String.init))
  }

  init(_ response: TestResponse) {
    status = response.status.code
    headers = response.headers
    body = String(buffer: response.body)
    let check = HTMLCheck(body)
    problems = headers[.contentType]?.hasPrefix("text/html") == true ? check.problems : []
    text = check.text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }
}

extension TestClientProtocol {
  /// As a browser asks, with an account's key in its cookie.
  func page(
    _ path: String, key: String? = nil, headers: HTTPFields = [:]
  ) async throws -> PageAnswer {
    var headers = headers
    headers[.accept] = headers[.accept] ?? "text/html,application/xhtml+xml"
    if let key { headers[.cookie] = "other=1; tally_account=\(key)" }
    return PageAnswer(
      try await executeRequest(uri: path, method: .get, headers: headers, body: nil))
  }

  /// As a browser sends a form of a page of ours.
  func form(
    _ path: String, _ body: String, key: String? = nil,
    headers: HTTPFields = [HTTPField.Name("sec-fetch-site")!: "same-origin"]
  ) async throws -> PageAnswer {
    var headers = headers
    headers[.accept] = "text/html,application/xhtml+xml"
    headers[.contentType] = "application/x-www-form-urlencoded"
    if let key { headers[.cookie] = "tally_account=\(key)" }
    return PageAnswer(
      try await executeRequest(
        uri: path, method: .post, headers: headers, body: ByteBuffer(string: body)))
  }
}
