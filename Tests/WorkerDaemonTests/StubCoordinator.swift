import enum Crypto.P256
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTLS
import Logging
import NIOCore
import NIOSSL
import WirePayloads
import WireProtocol
import X509

/// A coordinator for tests: the worker's routes over TLS 1.3 with optional client certificates, in
/// this process.
struct StubCoordinator {
  struct Context: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
      coreContext = .init(source: source)
      channel = source.channel
    }

    var maxUploadSize: Int { 64 << 20 }

    /// The key of the client certificate, X9.63; nil without one.
    func peerKey() async throws -> Data? {
      let der: [UInt8]? = try await channel.eventLoop.submit {
        try channel.pipeline.syncOperations.nioSSL_peerCertificate()?.toDERBytes()
      }.get()
      guard let der else { return nil }
      return P256.Signing.PublicKey(try Certificate(derEncoded: der).publicKey)?.x963Representation
    }
  }

  struct ConnectionCut: Error {}

  let authority: TestAuthority
  let state: StubState

  /// Runs a stub on a free port of 127.0.0.1 while `body` runs; the port is its argument.
  static func run<Result: Sendable>(
    authority: TestAuthority, state: StubState = StubState(), port: Int = 0,
    _ body: @escaping @Sendable (_ url: String, StubState) async throws -> Result
  ) async throws -> Result {
    let stub = StubCoordinator(authority: authority, state: state)
    let (ports, found) = AsyncStream<Int>.makeStream()
    var logger = Logger(label: "stub")
    logger.logLevel = .critical
    let server = try authority.server()
    var tls = TLSConfiguration.makeServerConfiguration(
      certificateChain: try NIOSSLCertificate.fromPEMBytes(Array(server.certificate.utf8))
        .map { .certificate($0) },
      privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(server.key.utf8), format: .pem)))
    tls.minimumTLSVersion = .tlsv13
    tls.certificateVerification = .optionalVerification
    tls.trustRoots = .certificates(
      try NIOSSLCertificate.fromPEMBytes(Array(authority.pem.utf8)))
    let application = Application(
      router: stub.router(), server: try .tls(.http1(), tlsConfiguration: tls),
      configuration: .init(address: .hostname("127.0.0.1", port: port)),
      onServerRunning: { channel in found.yield(channel.localAddress?.port ?? 0) },
      logger: logger)
    return try await withThrowingTaskGroup(of: Result?.self) { group in
      group.addTask {
        try await application.run()
        return nil
      }
      group.addTask {
        for await port in ports { return try await body("https://127.0.0.1:\(port)", state) }
        return nil
      }
      defer { group.cancelAll() }
      while let result = try await group.next() {
        if let result { return result }
      }
      throw CancellationError()
    }
  }

  private func router() -> Router<Context> {
    let router = Router(context: Context.self)
    router.get("/worker/v1/authority") { _, _ in
      if let refusal = await state.enter("authority") { return try Self.error(refusal) }
      return Response(status: .ok, body: .init(byteBuffer: ByteBuffer(string: try authority.pem)))
    }
    router.post("/worker/v1/enroll") { request, context in
      let message = try await Self.read(EnrolmentRequest.self, request)
      if let refusal = await state.enter("enroll") { return try Self.error(refusal) }
      guard message.secret == state.secret else {
        return try Self.error(
          .init(
            status: .forbidden, code: WorkerErrorCode.invitationInvalid,
            message: "the invitation is used up"))
      }
      return try await member(message.signingRequest, message.workerName)
    }
    router.post("/worker/v1/renew") { request, context in
      try await entered("renew", context) { _ in
        let message = try await Self.read(RenewalRequest.self, request)
        return try await member(message.signingRequest, message.workerName)
      }
    }
    router.post("/worker/v1/lease") { request, context in
      try await entered("lease", context) { _ in
        try Self.json(await state.lease(Self.read(LeaseRequest.self, request)))
      }
    }
    router.get("/worker/v1/standing") { _, context in
      try await entered("standing", context) { _ in try Self.json(await state.standing) }
    }
    addAccount(to: router)
    router.post("/worker/v1/leases/{id}/heartbeat") { request, context in
      try await entered("heartbeat", context) { _ in
        try Self.json(await state.heartbeat(context.parameters.require("id")))
      }
    }
    router.post("/worker/v1/leases/{id}/abandon") { request, context in
      try await entered("abandon", context) { _ in
        let message = try await Self.read(Abandonment.self, request)
        await state.abandon(try context.parameters.require("id"), message)
        return Response(status: .noContent)
      }
    }
    router.put("/worker/v1/leases/{id}/result") { request, context in
      try await entered("result", context) { try await result(request, context, key: $0) }
    }
    router.get("/blobs/{digest}") { request, context in
      try await entered("blob", context) { _ in
        try await blob(context.parameters.require("digest"), request)
      }
    }
    return router
  }

  private func addAccount(to router: Router<Context>) {
    router.get("/worker/v1/account") { _, context in
      try await entered("account", context) { _ in try Self.json(await state.account) }
    }
    router.post("/worker/v1/account") { request, context in
      try await entered("account", context) { _ in
        try Self.json(await state.change(Self.read(OwnAccountChange.self, request)))
      }
    }
    router.post("/worker/v1/account/key") { _, context in
      try await entered("account", context) { _ in try Self.json(await state.makeAccountKey()) }
    }
    router.delete("/worker/v1/account/key") { _, context in
      try await entered("account", context) { _ in try Self.json(await state.revokeAccountKeys()) }
    }
  }

  /// Demands a client certificate and plays the scripted refusals.
  private func entered(
    _ route: String, _ context: Context, _ body: (Data) async throws -> Response
  ) async throws -> Response {
    guard let key = try await context.peerKey() else {
      return try Self.error(
        .init(
          status: .unauthorized, code: WorkerErrorCode.certificateRequired,
          message: "no client certificate"))
    }
    if let refusal = await state.enter(route) { return try Self.error(refusal) }
    return try await body(key)
  }

  private func member(_ signingRequest: String, _ name: String?) async throws -> Response {
    let validSeconds = await state.validSeconds
    let says = await state.saysValidSeconds
    return try Self.json(
      EnrolmentResponse(
        workerID: "worker_" + String(repeating: "a", count: 24), accountName: "ada",
        certificate: authority.client(
          signingRequest, name: "worker", validSeconds: validSeconds),
        authority: authority.pem, notAfter: Int(Date().timeIntervalSince1970 + validSeconds),
        validSeconds: says ? Int(validSeconds) : nil, workerName: await state.name(name)))
  }

  private func result(_ request: Request, _ context: Context, key: Data) async throws -> Response {
    let body = try await request.body.collect(upTo: 64 << 20)
    func header(_ name: String) -> String { request.headers[.init(name)!] ?? "" }
    let size = Int(header(ResultHeader.size)) ?? -1
    let upload = StubState.Upload(
      lease: try context.parameters.require("id"), digest: header(ResultHeader.digest),
      signature: Data(base64Encoded: header(ResultHeader.signature)) ?? Data(),
      result: try Zstd.decompress(Data(body.readableBytesView), limit: size), publicKey: key,
      energy: header(ResultHeader.energy), energyMethod: header(ResultHeader.energyMethod))
    if await state.take(upload) {
      return Response(status: .ok, body: .init { _ in throw ConnectionCut() })
    }
    return try Self.json(ResultReceipt(state: .accepted, credit: 1))
  }

  private func blob(_ name: String, _ request: Request) async throws -> Response {
    let range = request.headers[.range]
    let (found, fault) = await state.blob(name, range: range)
    guard let data = found else {
      return try Self.error(.init(status: .notFound, code: nil, message: "no such blob"))
    }
    let bounds = (range ?? "bytes=0-\(data.count - 1)").dropFirst(6).split(separator: "-")
      .compactMap { Int($0) }
    var bytes = data[bounds[0]...min(bounds[1], data.count - 1)]
    var headers: HTTPFields = [
      .contentRange: "bytes \(bounds[0])-\(bounds[0] + bytes.count - 1)/\(data.count)"
    ]
    var cut = Int.max
    switch fault {
    case .cut(let after): cut = after
    case .wrongBytes: bytes[bytes.startIndex] ^= 1
    case .refuse(let refusal): return try Self.error(refusal)
    case .wholeBlob:
      headers[.contentRange] = nil
      bytes = data[...]
    case nil: break
    }
    let coding = HTTPField.Name(BlobCoding.header)
    if await state.codesBlobs, let coding, request.headers[coding] == BlobCoding.planes {
      headers[coding] = BlobCoding.planes
      bytes = try Self.coded(Data(bytes))[...]
    }
    let (sending, cutting) = (Data(bytes.prefix(cut)), cut < bytes.count)
    return Response(
      status: fault.isWhole ? .ok : .partialContent, headers: headers,
      body: .init(contentLength: bytes.count) { writer in
        try await writer.write(ByteBuffer(bytes: sending))
        if cutting { throw ConnectionCut() }
        try await writer.finish(nil)
      })
  }

  private static func coded(_ bytes: Data) throws -> Data {
    var encoder = BlobCoding.Encoder()
    var coded = Data()
    for start in stride(from: 0, to: bytes.count, by: BlobCoding.pieceLimitBytes) {
      let end = min(bytes.count, start + BlobCoding.pieceLimitBytes)
      coded += try encoder.piece(Data(bytes[start..<end]))
    }
    return coded
  }

  private static func read<Message: Decodable>(
    _ type: Message.Type, _ request: Request
  ) async throws -> Message {
    let body = try await request.body.collect(upTo: 1 << 20)
    return try CanonicalJSON.decode(type, from: Data(body.readableBytesView))
  }

  private static func json(_ value: some Encodable) throws -> Response {
    Response(
      status: .ok, headers: [.contentType: "application/json"],
      body: .init(byteBuffer: ByteBuffer(bytes: try CanonicalJSON.encode(value))))
  }

  private static func error(_ refusal: StubState.Refusal) throws -> Response {
    let body = ErrorBody(
      error: .init(message: refusal.message, type: "invalid_request_error", code: refusal.code))
    var response = try json(body)
    response.status = refusal.status
    if let seconds = refusal.retryAfter { response.headers[.retryAfter] = String(seconds) }
    return response
  }
}

extension StubState.BlobFault? {
  fileprivate var isWhole: Bool {
    if case .wholeBlob = self { true } else { false }
  }
}
