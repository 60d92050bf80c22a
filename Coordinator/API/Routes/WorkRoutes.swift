import CoordinatorCore
import CoordinatorStore
import HTTPTypes
import Hummingbird
import Logging
import WireProtocol

/// The worker's loop: lease, heartbeat, abandon, upload, and the blobs that it needs.
struct WorkRoutes {
  let environment: APIEnvironment
  let worker: WorkerAuthentication

  func add(to router: some RouterMethods<CoordinatorRequestContext>) {
    router.route("/worker/v1/lease", [.post: worker(lease)])
    router.route("/worker/v1/standing", [.get: worker(standing)])
    router.route("/worker/v1/leases/{id}/heartbeat", [.post: worker(heartbeat)])
    router.route("/worker/v1/leases/{id}/abandon", [.post: worker(abandon)])
    router.route("/worker/v1/leases/{id}/result", [.put: worker(result)])
    router.route("/blobs/{digest}", [.get: worker(blob)])
  }

  @Sendable private func lease(
    _ request: Request, _ context: CoordinatorRequestContext, _ peer: WorkerAuthentication.Peer
  ) async throws -> Response {
    let message = try await request.message(
      LeaseRequest.self, limit: environment.limits.messageBytes)
    try message.versions.requireMatch()
    if let problem = message.choices?.problem {
      throw APIError.invalid(problem, param: "choices", code: "invalid_value")
    }
    if let shortage = environment.diskShortage {
      // Cutting units writes, and so do the results that would come.
      return try .json(
        LeaseResponse(leases: [], reasons: [.paused: 1], retryAfterSeconds: 60, message: shortage))
    }
    return try .json(
      try await environment.store.lease(
        worker: peer.worker.id, request: message, now: environment.now()))
  }

  @Sendable private func standing(
    _ request: Request, _ context: CoordinatorRequestContext, _ peer: WorkerAuthentication.Peer
  ) async throws -> Response {
    try .json(
      try await environment.store.standing(worker: peer.worker.id, now: environment.now()))
  }

  @Sendable private func heartbeat(
    _ request: Request, _ context: CoordinatorRequestContext, _ peer: WorkerAuthentication.Peer
  ) async throws -> Response {
    let message = try await request.message(Heartbeat.self, limit: 4096)
    try message.versions.requireMatch()
    return try .json(
      try await environment.store.heartbeat(
        lease: context.pathID(), worker: peer.worker.id, flopsDone: message.flopsDone,
        now: environment.now()))
  }

  @Sendable private func abandon(
    _ request: Request, _ context: CoordinatorRequestContext, _ peer: WorkerAuthentication.Peer
  ) async throws -> Response {
    let message = try await request.message(Abandonment.self, limit: 65536)
    try await environment.store.abandon(
      lease: context.pathID(), worker: peer.worker.id, reason: message.reason,
      detail: String(message.detail.prefix(1000)), now: environment.now())
    environment.wakeups.finalisation.signal()
    if message.reason == .invalidUnit { environment.wakeups.replay.signal() }
    return Response(status: .noContent)
  }

  @Sendable private func result(
    _ request: Request, _ context: CoordinatorRequestContext, _ peer: WorkerAuthentication.Peer
  ) async throws -> Response {
    let (receipt, kind) = try await ResultUpload(environment: environment, peer: peer)
      .receive(request, lease: context.pathID())
    switch receipt.state {
    case .accepted, .notNeeded:
      switch kind {
      case .train, .validate: environment.wakeups.fineTuning.signal()
      case .generate, .stageForward: environment.wakeups.finalisation.signal()
      }
    case .awaitingReplay: environment.wakeups.replay.signal()
    case .awaitingReplica: break
    case .rejected:
      context.logger.warning("result rejected", metadata: ["worker": "\(peer.worker.id)"])
    }
    return try .json(receipt)
  }

  @Sendable private func blob(
    _ request: Request, _ context: CoordinatorRequestContext, _ peer: WorkerAuthentication.Peer
  ) async throws -> Response {
    let name = try context.pathID("digest")
    guard let digest = Digest(hex: name),
      try await environment.store.mayRead(
        blob: digest, worker: peer.worker.id, now: environment.now()),
      let size = try await environment.blobs.size(of: digest)
    else { throw APIError.noSuch("blob", name, param: nil) }
    return BlobResponse.make(
      environment, reader: peer.worker.id, digest: digest, size: size, request: request,
      contentType: "application/octet-stream")
  }
}
