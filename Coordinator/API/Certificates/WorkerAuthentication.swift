import CoordinatorCore
import CoordinatorStore
import Hummingbird

/// Admits workers: a client certificate that our authority signed, for a worker that is known and
/// not revoked.
///
/// When a certificate begins is not asked: the authority signed it, so the clock is wrong. After
/// its end it is good for `graceSeconds`, so that a worker that was away, or whose clock is wrong,
/// can renew it.
package struct WorkerAuthentication: Sendable {
  /// Seconds that a certificate is good after its end.
  package static let graceSeconds = StoreLimit.certificateGraceSeconds

  private let store: any MemberStore
  private let now: @Sendable () -> Timestamp
  private let identify: Identify

  /// Tells who sent a request by a certificate that was verified already; nil without one.
  package typealias Identify =
    @Sendable (Request, CoordinatorRequestContext) async throws -> WorkerIdentity?

  /// - Parameter identify: by default, the certificate of the TLS connection.
  package init(
    store: any MemberStore, now: @escaping @Sendable () -> Timestamp,
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

  /// Whether a certificate has not ended longer ago than `graceSeconds`. The store knows a later
  /// end when the clock was set forward since it was issued.
  private func isGood(_ identity: WorkerIdentity, now: Timestamp) async throws -> Bool {
    if now.seconds < identity.notAfter + Self.graceSeconds { return true }
    guard let end = try await store.certificateEnd(identity.fingerprint) else { return false }
    return now.seconds < end.seconds + Self.graceSeconds
  }

  /// - Throws: `APIError` 401 with the code `certificate_required`.
  private func peer(of request: Request, _ context: CoordinatorRequestContext) async throws -> Peer
  {
    guard let identity = try await identify(request, context) else {
      throw APIError.certificateRequired(
        "This route needs a worker's client certificate. Enrol with an invitation.")
    }
    guard try await isGood(identity, now: now()) else {
      throw APIError.certificateRequired(
        "The client certificate ended more than \(Self.graceSeconds / 86400) days ago by the "
          + "coordinator's clock. Ask the operator for an invitation.")
    }
    let certificate = CertificateRecord(
      fingerprint: identity.fingerprint, workerID: identity.workerID,
      notAfter: Timestamp(seconds: identity.notAfter), der: identity.der)
    switch try await store.admission(of: certificate, publicKey: identity.publicKeyDigest) {
    case .admitted(let worker): return Peer(worker: worker, identity: identity)
    case .revoked:
      throw APIError.certificateRequired(
        "The coordinator's operator has ended this worker's membership.")
    case .unknown:
      throw APIError.certificateRequired(
        "The coordinator does not know this worker, perhaps because it was restored from a backup "
          + "of an earlier day. Ask the operator for an invitation.")
    }
  }
}
