import CoordinatorCore
import CoordinatorStore
import HTTPTypes
import Hummingbird

/// OpenAI's Files API.
struct FileRoutes {
  let environment: APIEnvironment
  let authenticated: KeyAuthentication

  func add(to router: some RouterMethods<CoordinatorRequestContext>) {
    router.route("/v1/files", [.post: authenticated(create), .get: authenticated(list)])
    router.route(
      "/v1/files/{id}", [.get: authenticated(retrieve), .delete: authenticated(delete)])
    router.route("/v1/files/{id}/content", [.get: authenticated(content)])
  }

  @Sendable private func create(
    _ request: Request, _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> Response {
    // What cannot be stored anyway is not read first; the form around the file takes a little.
    let announced = request.headers[.contentLength].flatMap { Int($0) } ?? 0
    try await environment.store.checkQuota(
      .file(bytes: max(0, announced - 65536)), key: key.id, now: environment.now())
    let record = try await environment.uploadBudget.withShare(of: key) {
      try await environment.store.usage(ofKey: key.id, now: environment.now()).storedBytes
    } _: { share in
      var upload = FileUpload(environment: environment, share: share)
      return try await upload.receive(request, key: key.id)
    }
    return try .json(FileObject(record))
  }

  @Sendable private func list(
    _ request: Request, _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> Response {
    var purpose: FilePurpose?
    if let word = request.uri.queryParameters["purpose"] {
      guard let known = FilePurpose(rawValue: String(word)) else {
        throw APIError.invalid(
          "Invalid 'purpose': '\(word.prefix(50))' is unknown.", param: "purpose",
          code: "invalid_value")
      }
      purpose = known
    }
    let page = try await environment.store.files(
      key: key.id, purpose: purpose,
      page: request.page(defaultLimit: 10000, maximumLimit: 10000), now: environment.now())
    return try .json(
      ListObject(page.items.map(FileObject.init), hasMore: page.hasMore, id: \.id))
  }

  @Sendable private func retrieve(
    _ request: Request, _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> Response {
    try .json(FileObject(await file(context, key)))
  }

  @Sendable private func delete(
    _ request: Request, _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> Response {
    let id = try context.pathID()
    let file = try await environment.store.file(id, key: key.id, now: environment.now())
    guard try await environment.store.deleteFile(id, key: key.id) else {
      throw APIError.noSuch("File object", id)
    }
    if let file {
      await environment.claims.drop(file.blob, writtenUntil: file.createdAt)
    }
    return try .json(DeletedObject(id: id, object: "file"))
  }

  @Sendable private func content(
    _ request: Request, _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> Response {
    let file = try await file(context, key)
    return BlobResponse.make(
      environment, reader: key.id, digest: file.blob, size: file.bytes, request: request,
      contentType: "application/octet-stream")
  }

  private func file(_ context: CoordinatorRequestContext, _ key: KeyRecord) async throws
    -> FileRecord
  {
    let id = try context.pathID()
    guard
      let file = try await environment.store.file(id, key: key.id, now: environment.now())
    else { throw APIError.noSuch("File object", id) }
    return file
  }
}
