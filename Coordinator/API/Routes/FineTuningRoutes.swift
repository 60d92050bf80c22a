import APIObjects
import BoundedWork
import CoordinatorCore
import CoordinatorStore
import Foundation
import HTTPTypes
import Hummingbird
import ModelFormats
import WirePayloads
import WireProtocol

/// OpenAI's fine-tuning API; a job's progress, transcript and blobs; adapters in the formats of
/// others.
struct FineTuningRoutes {
  let environment: APIEnvironment
  let authenticated: KeyAuthentication

  func add(to router: some RouterMethods<CoordinatorRequestContext>) {
    router.route(
      "/v1/fine_tuning/jobs", [.post: authenticated(create), .get: authenticated(list)])
    router.route("/v1/fine_tuning/jobs/{id}", [.get: authenticated(retrieve)])
    for wish in [FineTuningWish.cancel, .pause, .resume] {
      router.route(
        RouterPath("/v1/fine_tuning/jobs/{id}/\(wish.rawValue)"),
        [.post: authenticated { try await ask(wish, $1, $2) }])
    }
    router.route("/v1/fine_tuning/jobs/{id}/events", [.get: authenticated(events)])
    router.route("/v1/fine_tuning/jobs/{id}/checkpoints", [.get: authenticated(checkpoints)])
    router.route("/tally/v1/fine_tuning/estimates", [.post: authenticated(estimate)])
    router.route("/tally/v1/fine_tuning/jobs/{id}", [.get: authenticated(progress)])
    router.route("/tally/v1/fine_tuning/jobs/{id}/transcript", [.get: authenticated(transcript)])
    router.route("/tally/v1/fine_tuning/jobs/{id}/blobs/{digest}", [.get: authenticated(blob)])
    router.route("/tally/v1/adapters/{id}/{file}", [.get: authenticated(adapterFile)])
  }

  @Sendable private func create(
    _ request: Request, _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> Response {
    try environment.requireDisk()
    let retries = request.headers[.stainlessRetryCount].flatMap { Int($0) } ?? 0
    let record = try await environment.store.createFineTuningJob(
      try await newJob(request, key), isRetry: retries > 0, now: environment.now())
    environment.wakeups.fineTuning.signal()
    return try .json(FineTuningObject(record, now: environment.now()))
  }

  /// The job that a body asks for, whose files and model are there.
  private func newJob(_ request: Request, _ key: KeyRecord) async throws -> NewFineTuningJob {
    let fields = try await request.jsonFields(limit: environment.limits.messageBytes)
    let creation: FineTuningCreation
    do {
      creation = try FineTuningCreation(fields)
    } catch let error as FieldError {
      throw error.asAPIError
    }
    let model = try await environment.store.model(creation.model)
    guard let model, model.isVisible(toKey: key.id) else {
      throw APIError(
        .notFound, "The model '\(creation.model.prefix(100))' does not exist on this coordinator.",
        param: "model", code: "model_not_found")
    }
    guard model.adapter == nil else {
      throw APIError.invalid(
        "The model '\(model.id)' is tuned already; tune the model that it is made from.",
        param: "model", code: "unsupported_model")
    }
    let training = try await file(creation.trainingFileID, key, "training_file")
    var validation: FileRecord?
    if let id = creation.validationFileID {
      validation = try await file(id, key, "validation_file")
    }
    var job = NewFineTuningJob(
      keyID: key.id, model: model.id, trainingFileID: training.id, trainingBlob: training.blob,
      validationFileID: validation?.id, validationBlob: validation?.blob, suffix: creation.suffix,
      seed: creation.seed ?? seed(training.blob), options: creation.options,
      metadata: creation.metadata, pool: creation.pool, priority: creation.priority)
    job.isSeedGiven = creation.seed != nil
    return job
  }

  /// A seed for who names none: told in the job, so that the run can be repeated.
  private func seed(_ training: Digest) -> Int64 {
    let digest = BlobDigest.sha256(Data("\(training) \(environment.now().milliseconds)".utf8))
    return Int64(UInt64(digest.hex.prefix(8), radix: 16) ?? 0) & 0x7fff_ffff
  }

  private func file(_ id: String, _ key: KeyRecord, _ param: String) async throws -> FileRecord {
    guard let file = try await environment.store.file(id, key: key.id, now: environment.now())
    else { throw APIError.noSuch("File object", id, param: param) }
    guard file.purpose == .fineTune else {
      throw APIError.invalid(
        "The file '\(file.id)' has purpose '\(file.purpose.rawValue)'; fine-tuning needs "
          + "'fine-tune'.",
        param: param, code: "invalid_file_purpose")
    }
    // The file may be deleted at this moment; the job needs its bytes all the same.
    guard try await environment.blobs.refresh(file.blob) else {
      throw APIError.noSuch("File object", id, param: param)
    }
    return file
  }

  @Sendable private func list(
    _ request: Request, _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> Response {
    let page = try await environment.store.fineTuningJobs(
      key: key.id, metadata: Self.metadata(request.uri.query ?? ""),
      page: request.page(defaultLimit: 20, maximumLimit: 100))
    let now = environment.now()
    return try .json(
      ListObject(
        page.items.map { FineTuningObject($0, now: now) }, hasMore: page.hasMore, id: \.id))
  }

  /// `metadata[name]=value` of a query, spelled as forms are: `+` is a blank.
  private static func metadata(_ query: String) -> ExactDictionary<String> {
    func spelled(_ text: Substring) -> String {
      let text = text.replacing("+", with: " ")
      return text.removingPercentEncoding ?? String(text)
    }
    return query.split(separator: "&").reduce(into: [:]) { metadata, pair in
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      // By code points: a key may begin with a mark that combines with the bracket.
      let name = Array(spelled(parts[0]).unicodeScalars)
      let prefix = Array("metadata[".unicodeScalars)
      guard parts.count == 2, name.starts(with: prefix), name.last == "]" else { return }
      var key = String.UnicodeScalarView()
      key.append(contentsOf: name.dropFirst(prefix.count).dropLast())
      metadata[String(key)] = spelled(parts[1])
    }
  }

  private func record(
    _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> FineTuningJobRecord {
    let id = try context.pathID()
    guard let record = try await environment.store.fineTuningJob(id, key: key.id) else {
      throw APIError.noSuch("fine-tuning job", id)
    }
    return record
  }

  @Sendable private func retrieve(
    _ request: Request, _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> Response {
    try .json(FineTuningObject(try await record(context, key), now: environment.now()))
  }

  private func ask(
    _ wish: FineTuningWish, _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> Response {
    let record = try await environment.store.ask(
      wish, ofFineTuningJob: context.pathID(), key: key.id, now: environment.now())
    environment.wakeups.fineTuning.signal()
    return try .json(FineTuningObject(record, now: environment.now()))
  }

  @Sendable private func events(
    _ request: Request, _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> Response {
    let wanted = try request.page(defaultLimit: 20, maximumLimit: 1000)
    let page = try await environment.store.fineTuningEvents(
      of: context.pathID(), key: key.id, after: wanted.after, limit: wanted.limit)
    return try .json(
      ListObject(page.items.map(FineTuningEventObject.init), hasMore: page.hasMore, id: \.id))
  }

  /// The newest first.
  @Sendable private func checkpoints(
    _ request: Request, _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> Response {
    let wanted = try request.page(defaultLimit: 10, maximumLimit: 100)
    let job = try await record(context, key)
    let rounds = try await environment.store.fineTuningRounds(of: job.id, key: key.id)
    var items: [FineTuningCheckpointObject] = []
    if let plan = job.plan {
      items = zip(rounds.dropFirst(), rounds).reversed().map { round, before in
        FineTuningCheckpointObject(round, after: before, of: job, plan)
      }
    }
    var start = 0
    if let after = wanted.after {
      guard let index = items.firstIndex(where: { $0.id == after }) else {
        throw StoreError(.unknownCursor, "No item of this list has the id given as 'after'.")
      }
      start = index + 1
    }
    let rest = items.dropFirst(start)
    return try .json(
      ListObject(
        Array(rest.prefix(wanted.limit)), hasMore: rest.count > wanted.limit, id: \.id))
  }

  @Sendable private func estimate(
    _ request: Request, _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> Response {
    try environment.requireDisk()
    guard let turn = environment.estimates.take(key.id) else {
      throw APIError.tryLater(
        .tooManyRequests, "This API key is waiting for an estimate already.", seconds: 5)
    }
    defer { withExtendedLifetime(turn) {} }
    let job = try await newJob(request, key)
    let preparation = FineTuningPreparation(
      environment: environment, job: job, date: environment.now(), keeps: false)
    do {
      let prepared = try await environment.heavy.run(
        bytes: preparation.memoryBytes(), of: environment.askedMemory
      ) {
        try await preparation.prepare(machines: try await environment.machines(for: job.pool))
      }
      let machines = try await environment.store.activeMachines(
        pool: job.pool, now: environment.now())
      return try .json(
        FineTuningEstimateObject(
          prepared, model: job.model,
          replicas: job.pool == .public ? environment.policy.quorum : 1,
          flopsPerSecond: machines.flopsPerSecond))
    } catch let failure as FineTuningFailure {
      throw APIError.invalid(failure.message, param: failure.param, code: failure.code)
    }
  }

  @Sendable private func progress(
    _ request: Request, _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> Response {
    let job = try await record(context, key)
    let rounds = try await environment.store.fineTuningRounds(of: job.id, key: key.id)
    let reasons = try await environment.waitReasons(ofFineTuningJob: job.id, key: key.id)
    return try .json(
      FineTuningProgressObject(job, rounds, waitReasons: reasons, now: environment.now()))
  }

  @Sendable private func transcript(
    _ request: Request, _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> Response {
    let job = try await record(context, key)
    let rounds = try await environment.store.fineTuningRounds(of: job.id, key: key.id)
    guard let transcript = FineTuningTranscript(job, rounds) else {
      throw APIError.conflict("The fine-tuning job '\(job.id)' has not begun.")
    }
    return try .json(transcript)
  }

  @Sendable private func blob(
    _ request: Request, _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> Response {
    let job = try await record(context, key)
    let name = try context.pathID("digest")
    guard let digest = Digest(hex: name),
      try await environment.store.isOfFineTuningJob(job.id, blob: digest),
      let size = try await environment.blobs.size(of: digest)
    else { throw APIError.noSuch("blob", name, param: nil) }
    return BlobResponse.make(
      environment, reader: key.id, digest: digest, size: size, request: request,
      contentType: "application/octet-stream")
  }

  @Sendable private func adapterFile(
    _ request: Request, _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> Response {
    let (id, name) = (try context.pathID(), try context.pathID("file"))
    guard let model = try await environment.store.model(id), model.isVisible(toKey: key.id),
      model.adapter != nil
    else {
      throw APIError(
        .notFound, "There is no tuned model '\(id.prefix(100))' of this key.", param: "model",
        code: "model_not_found")
    }
    guard let turn = environment.adapterFiles.take(key.id) else {
      throw APIError.tryLater(
        .tooManyRequests, "This API key is waiting for several adapters already.", seconds: 5)
    }
    defer { withExtendedLifetime(turn) {} }
    do {
      let files = AdapterFiles(environment: environment, model: model)
      let data = try await environment.heavy.run(
        bytes: files.memoryBytes(), of: environment.askedMemory
      ) {
        try await files.file(name)
      }
      guard let data else { throw APIError.noSuch("file of an adapter", name, param: nil) }
      return Response(
        status: .ok, headers: [.contentType: "application/octet-stream"],
        body: ResponseBody(byteBuffer: .init(bytes: data)))
    } catch let error as FormatError where error.code == .unsupported {
      throw APIError.invalid(error.reason, code: "unsupported_format")
    }
  }
}
