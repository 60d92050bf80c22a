import CoordinatorCore
import CoordinatorStore
import HTTPTypes
import Hummingbird
import WirePayloads
import WireProtocol

/// How a machine becomes a worker, and stays one.
struct EnrolmentRoutes {
  let environment: APIEnvironment
  let worker: WorkerAuthentication

  func add(to router: some RouterMethods<CoordinatorRequestContext>) {
    router.route("/worker/v1/authority", [.get: authority])
    router.route("/worker/v1/enroll", [.post: enroll])
    router.route("/worker/v1/renew", [.post: worker(renew)])
  }

  @Sendable private func authority(
    _ request: Request, _ context: CoordinatorRequestContext
  ) async throws -> Response {
    Response(
      status: .ok, headers: [.contentType: "application/x-pem-file"],
      body: ResponseBody(
        byteBuffer: ByteBuffer(string: try environment.authority.certificatePEM())))
  }

  @Sendable private func enroll(
    _ request: Request, _ context: CoordinatorRequestContext
  ) async throws -> Response {
    let message = try await request.message(EnrolmentRequest.self, limit: 65536)
    try message.versions.requireMatch(
      minimum: await environment.store.administration().minimumWorkerVersion)
    let signingRequest = try verified(message.signingRequest)
    let record = try await environment.store.enrol(
      NewWorker(
        secretHash: Secret.hash(message.secret),
        publicKey: BlobDigest.sha256(signingRequest.publicKey.derRepresentation),
        name: message.workerName),
      now: environment.now())
    context.logger.info("worker enrolled", metadata: ["worker": "\(record.id)"])
    return try await issue(record, signingRequest)
  }

  @Sendable private func renew(
    _ request: Request, _ context: CoordinatorRequestContext, _ peer: WorkerAuthentication.Peer
  ) async throws -> Response {
    let message = try await request.message(RenewalRequest.self, limit: 65536)
    try message.versions.requireMatch()
    let request = try verified(message.signingRequest)
    let name = Name.cleaned(message.workerName).flatMap { $0 == peer.worker.name ? nil : $0 }
    do {
      return try await issue(peer.worker, request, name: name)
    } catch let error as StoreError where error.code == .membershipEnded {
      // The same that the next request is answered.
      throw APIError.certificateRequired(error.message)
    }
  }

  private func verified(_ pem: String) throws -> VerifiedSigningRequest {
    do {
      return try VerifiedSigningRequest(pem: pem)
    } catch let error as CertificateRefusal {
      throw APIError.invalid(
        "The signing request is refused: \(error.description).", param: "signingRequest",
        code: "signing_request_invalid")
    }
  }

  /// The certificate is known to the store before the worker has it, so that it is valid from the
  /// first use.
  ///
  /// - Parameter name: what the worker is called from now on; nil: as before.
  private func issue(
    _ worker: WorkerRecord, _ request: VerifiedSigningRequest, name: String? = nil
  ) async throws -> Response {
    let now = environment.now()
    let issued = try environment.authority.issueWorkerCertificate(
      workerID: worker.id, request: request, now: now.date,
      validSeconds: Double(environment.limits.certificateSeconds))
    let isRecorded = try await environment.store.recordCertificate(
      CertificateRecord(
        fingerprint: BlobDigest.sha256(issued.der), workerID: worker.id,
        notAfter: Timestamp(seconds: issued.notAfter), der: issued.der), renamingTo: name,
      now: environment.now())
    guard isRecorded else {
      throw APIError(
        .tooManyRequests,
        name == nil
          ? "This worker was given several certificates just now. Use one of them."
          : "This worker was given several names within a day. It keeps the last one for now.",
        code: "rate_limit_exceeded", headers: [.retryAfter: "3600"])
    }
    return try .json(
      EnrolmentResponse(
        workerID: worker.id, accountName: worker.accountName, certificate: issued.pem,
        authority: try environment.authority.certificatePEM(), notAfter: issued.notAfter,
        validSeconds: issued.notAfter - now.seconds, workerName: name ?? worker.name))
  }
}

extension PeerVersions {
  /// - Parameter minimum: the oldest program that is admitted; nil for any.
  /// - Throws: `APIError` 426 that says what to upgrade.
  func requireMatch(minimum: ProgramVersion? = nil) throws {
    if let reason = mismatch(minimumVersion: minimum) { throw APIError.upgradeRequired(reason) }
  }
}
