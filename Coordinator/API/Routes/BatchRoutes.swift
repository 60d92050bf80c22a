import CoordinatorCore
import CoordinatorStore
import HTTPTypes
import Hummingbird

/// OpenAI's Batch API, and the progress of a batch in more detail.
struct BatchRoutes {
  let environment: APIEnvironment
  let authenticated: KeyAuthentication

  func add(to router: some RouterMethods<CoordinatorRequestContext>) {
    router.route("/v1/batches", [.post: authenticated(create), .get: authenticated(list)])
    router.route("/v1/batches/{id}", [.get: authenticated(retrieve)])
    router.route("/v1/batches/{id}/cancel", [.post: authenticated(cancel)])
    router.route("/tally/v1/batches/{id}", [.get: authenticated(progress)])
  }

  @Sendable private func create(
    _ request: Request, _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> Response {
    try environment.requireDisk()
    let fields = try await request.jsonFields(limit: environment.limits.messageBytes)
    let creation = try BatchCreation(
      fields, maximumWindowSeconds: environment.limits.completionWindowSeconds)
    let missing = APIError.noSuch("File object", creation.inputFileID, param: "input_file_id")
    guard
      let file = try await environment.store.file(
        creation.inputFileID, key: key.id, now: environment.now())
    else { throw missing }
    guard file.purpose == .batch else {
      throw APIError.invalid(
        "The file '\(file.id)' has purpose '\(file.purpose.rawValue)'; a batch needs 'batch'.",
        param: "input_file_id", code: "invalid_file_purpose")
    }
    // The file may be deleted at this moment; the batch needs its bytes all the same.
    guard try await environment.blobs.refresh(file.blob) else { throw missing }
    // Counted only where somebody limits them: it takes reading the file.
    let lines = key.quota.requestsPerDay == nil ? nil : try await lines(of: file)
    let retries = request.headers[.stainlessRetryCount].flatMap { Int($0) } ?? 0
    let record = try await environment.store.createBatch(
      NewBatch(
        keyID: key.id, inputFileID: file.id, inputBlob: file.blob,
        endpoint: creation.endpoint.rawValue, completionWindow: creation.completionWindow,
        completionWindowSeconds: creation.completionWindowSeconds, metadata: creation.metadata,
        pool: creation.pool, priority: creation.priority,
        outputExpiresAfterSeconds: creation.outputExpiresAfterSeconds, lines: lines),
      isRetry: retries > 0, now: environment.now())
    environment.wakeups.validation.signal()
    return try .json(BatchObject(record))
  }

  /// Lines that hold anything, as validation counts them.
  private func lines(of file: FileRecord) async throws -> Int {
    guard var reader = try await environment.lineReader(of: file.blob) else {
      throw StoreError(.corrupt, "The blob \(file.blob) of file \(file.id) is missing.")
    }
    var lines = 0
    // A longer file fails validation.
    while lines <= environment.limits.batchLines, let line = try await reader.next() {
      if !line.isBlank { lines += 1 }
    }
    return lines
  }

  @Sendable private func list(
    _ request: Request, _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> Response {
    let page = try await environment.store.batches(
      key: key.id, page: request.page(defaultLimit: 20, maximumLimit: 100))
    return try .json(
      ListObject(page.items.map(BatchObject.init), hasMore: page.hasMore, id: \.id))
  }

  @Sendable private func retrieve(
    _ request: Request, _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> Response {
    let id = try context.pathID()
    guard let record = try await environment.store.batch(id, key: key.id) else {
      throw APIError.noSuch("Batch object", id)
    }
    return try .json(BatchObject(record))
  }

  @Sendable private func cancel(
    _ request: Request, _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> Response {
    let record = try await environment.store.cancelBatch(
      context.pathID(), key: key.id, now: environment.now())
    environment.wakeups.finalisation.signal()
    return try .json(BatchObject(record))
  }

  @Sendable private func progress(
    _ request: Request, _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> Response {
    try .json(
      ProgressObject(await environment.progress(ofBatch: context.pathID(), key: key.id)))
  }
}
