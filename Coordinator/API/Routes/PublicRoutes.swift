import CoordinatorCore
import CoordinatorStore
import HTTPTypes
import Hummingbird
import Logging
import WireProtocol

/// Models, health, and the parts of OpenAI's API that batches take the place of.
struct PublicRoutes {
  let environment: APIEnvironment
  let authenticated: KeyAuthentication

  func add(to router: some RouterMethods<CoordinatorRequestContext>) {
    router.route("/v1/models", [.get: authenticated(models)])
    router.route("/v1/models/{id}", [.get: authenticated(model), .delete: authenticated(delete)])
    router.route("/tally/v1/manifests/{id}", [.get: authenticated(manifest)])
    for endpoint in GenerationEndpoint.allCases {
      router.route(
        RouterPath(endpoint.rawValue),
        [
          .post: authenticated { _, _, _ in
            throw APIError(
              .badRequest,
              "This coordinator answers \(endpoint.rawValue) in batches only: upload a JSONL file "
                + "to /v1/files and create a batch at /v1/batches.", code: "batches_only")
          }
        ])
    }
    router.route("/healthz", [.get: alive])
    router.route("/readyz", [.get: ready])
  }

  @Sendable private func models(
    _ request: Request, _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> Response {
    let models = try await environment.store.models(visibleTo: key.id).filter {
      $0.isCheckpoint != true
    }
    return try .json(ListObject(models.map(ModelObject.init), hasMore: false, id: \.id))
  }

  @Sendable private func model(
    _ request: Request, _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> Response {
    let id = try context.pathID()
    guard let model = try await environment.store.model(id), model.isVisible(toKey: key.id) else {
      throw APIError(
        .notFound, "The model '\(id.prefix(100))' does not exist on this coordinator.",
        param: "model", code: "model_not_found")
    }
    return try .json(ModelObject(model))
  }

  /// A key's own tuned models may be deleted; their jobs stay.
  @Sendable private func delete(
    _ request: Request, _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> Response {
    let id = try context.pathID()
    guard try await environment.store.removeTunedModel(id, key: key.id) else {
      throw APIError(
        .notFound, "There is no tuned model '\(id.prefix(100))' of this key.",
        param: "model", code: "model_not_found")
    }
    return try .json(DeletedObject(id: id, object: "model"))
  }

  /// Models are public to all keys, so that their provenance is too.
  @Sendable private func manifest(
    _ request: Request, _ context: CoordinatorRequestContext, _ key: KeyRecord
  ) async throws -> Response {
    let id = try context.pathID()
    guard let digest = Digest(hex: id), let record = try await environment.store.manifest(digest)
    else { throw APIError.noSuch("manifest", id, param: nil) }
    return try .json(ProvenanceObject(digest, record))
  }

  @Sendable private func alive(
    _ request: Request, _ context: CoordinatorRequestContext
  ) async throws -> Response {
    try .json(["status": "ok"])
  }

  @Sendable private func ready(
    _ request: Request, _ context: CoordinatorRequestContext
  ) async throws -> Response {
    // The database may write for a while where it wrote before, though the disk is full.
    if let fullness = environment.diskGuard.fullness(freeBytes: environment.freeDiskBytes()) {
      throw APIError.unavailable(fullness)
    }
    do {
      try await environment.store.checkReady()
    } catch {
      context.logger.error("store is not ready", metadata: ["error": "\(error)"])
      throw APIError.unavailable("The store cannot write.")
    }
    return try .json(["status": "ok"])
  }
}
