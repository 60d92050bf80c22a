import CoordinatorCore
import CoordinatorStore
import Hummingbird

/// Admits workers: a client certificate of our authority, not expired, not revoked.
package struct WorkerAuthentication: Sendable {
  private let store: any FleetStore
  private let now: @Sendable () -> Timestamp
  private let identify: Identify

  /// Tells who sent a request by a certificate that was verified already; nil without one.
  package typealias Identify =
    @Sendable (Request, CoordinatorRequestContext) async throws -> WorkerIdentity?

  /// - Parameter identify: by default, the certificate of the TLS connection.
  package init(
    store: any FleetStore, now: @escaping @Sendable () -> Timestamp,
    identify: @escaping Identify = { try await WorkerIdentity.peer(of: $1.channel) }
  ) {
    self.store = store
    self.now = now
    self.identify = identify
  }

  /// A worker on a connection.
  package struct Peer: Sendable {
    package var worker: WorkerRecord
    package var identity: WorkerIdentity
  }

  /// A handler that runs for workers only.
  package func callAsFunction(
    _ handler: @escaping @Sendable (Request, CoordinatorRequestContext, Peer) async throws ->
      Response
  ) -> @Sendable (Request, CoordinatorRequestContext) async throws -> Response {
    { request, context in
      try await handler(request, context, peer(of: request, context))
    }
  }

  /// - Throws: `APIError` 401 with the code `certificate_required`.
  private func peer(of request: Request, _ context: CoordinatorRequestContext) async throws -> Peer
  {
    guard let identity = try await identify(request, context) else {
      throw APIError.certificateRequired(
        "This route needs a worker's client certificate. Enrol with an invitation.")
    }
    let now = now()
    guard identity.notBefore <= now.seconds, now.seconds < identity.notAfter else {
      throw APIError.certificateRequired(
        "The client certificate is not valid at this time. Enrol again.")
    }
    guard
      let worker = try await store.worker(certificate: identity.fingerprint, now: now),
      worker.id == identity.workerID
    else {
      throw APIError.certificateRequired(
        "The client certificate is unknown or revoked. Enrol again.")
    }
    return Peer(worker: worker, identity: identity)
  }
}
