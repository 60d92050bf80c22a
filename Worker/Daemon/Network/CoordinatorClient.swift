import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import NIOSSL
import WireProtocol
import WorkerCore

/// Speaks to one coordinator: every failure comes out as a `RequestFailure`.
struct CoordinatorClient: Sendable {
  let http: HTTPClient
  /// `https://host:port`, no slash at the end.
  let url: String
  let tls: TLSConfiguration
  /// The coordinator's own authority, for saying who answers in its place; nil before it is known.
  var trusted: Digest?
  /// When the client certificate ends, in seconds since 1970; nil without one.
  var certificateEnd: Int?
  /// How long an answer to a control message may take.
  var answerTimeout: TimeAmount = .seconds(30)
  /// Bytes of the longest answer that is no blob.
  static let answerLimitBytes = 16 << 20

  init(http: HTTPClient, url: String, tls: TLSConfiguration, trusted: Digest? = nil) {
    self.http = http
    self.url = Self.spelled(url)
    self.tls = tls
    self.trusted = trusted
  }

  /// Speaks as a member.
  init(http: HTTPClient, _ member: Membership, key: any WorkerKey) throws {
    self.init(
      http: http, url: member.record.url, tls: try .member(member, key: key),
      trusted: member.authorityFingerprint)
    certificateEnd = member.record.notAfter
  }

  /// A coordinator's address as workers store and compare it: without a slash at the end.
  static func spelled(_ url: String) -> String {
    url.hasSuffix("/") ? String(url.dropLast()) : url
  }

  /// An HTTP client as workers use it: HTTP/1.1 alone, no redirects, a refused connection reported
  /// at once, through the proxy that the environment names.
  ///
  /// - Throws: `ProxyError`.
  static func makeHTTPClient(
    for url: String, environment: [String: String]
  ) throws(ProxyError) -> HTTPClient {
    var configuration = HTTPClient.Configuration()
    configuration.proxy = try HTTPClient.Configuration.Proxy.named(for: url, by: environment)
    configuration.httpVersion = .http1Only
    configuration.redirectConfiguration = .disallow
    configuration.timeout.connect = .seconds(10)
    // An answer, or the next piece of one, that does not come for this long is not coming.
    configuration.timeout.read = .seconds(60)
    configuration.connectionPool.retryConnectionEstablishment = false
    // More than downloads ever use at one time, so that a heartbeat never waits behind them.
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit =
      BlobCache.parallelDownloads * BlobDownload.parallelSegments + 8
    return HTTPClient(configuration: configuration)
  }

  func get(_ path: String) async throws(RequestFailure) -> ByteBuffer {
    try await send(request(.GET, path))
  }

  func post<Answer: Decodable>(
    _ path: String, _ message: some Encodable, for answer: Answer.Type
  ) async throws(RequestFailure) -> Answer {
    let body = try await send(post(path, message))
    return try Self.decode(answer, from: body)
  }

  /// Sends a message whose answer has no body.
  func post(_ path: String, _ message: some Encodable) async throws(RequestFailure) {
    _ = try await send(post(path, message))
  }

  private func post(
    _ path: String, _ message: some Encodable
  ) throws(RequestFailure) -> HTTPClientRequest {
    var request = request(.POST, path)
    request.headers.add(name: "content-type", value: "application/json")
    do {
      request.body = .bytes(ByteBuffer(bytes: try CanonicalJSON.encode(message)))
    } catch {
      throw .refused(status: 0, code: nil, message: "the message cannot be encoded: \(error)")
    }
    return request
  }

  func request(_ method: HTTPMethod, _ path: String) -> HTTPClientRequest {
    var request = HTTPClientRequest(url: url + path)
    request.method = method
    request.tlsConfiguration = tls
    request.headers.add(name: "user-agent", value: "tally/\(ProtocolVersion.program)")
    return request
  }

  /// Sends a request and returns the body of a 2xx answer.
  func send(
    _ request: HTTPClientRequest, timeout: TimeAmount? = nil
  ) async throws(RequestFailure) -> ByteBuffer {
    let response = try await open(request, timeout: timeout ?? answerTimeout)
    guard (200..<300).contains(response.status.code) else {
      throw await Self.failure(of: response)
    }
    do {
      return try await response.body.collect(upTo: Self.answerLimitBytes)
    } catch {
      throw await failure(error)
    }
  }

  /// Sends a request and returns its answer, whatever the status, with the body still to come.
  func open(
    _ request: HTTPClientRequest, timeout: TimeAmount
  ) async throws(RequestFailure) -> HTTPClientResponse {
    do {
      return try await http.execute(request, timeout: timeout)
    } catch {
      throw await failure(error)
    }
  }

  /// What an error of the connection means, in words.
  func failure(_ error: any Error) async -> RequestFailure {
    if let failure = error as? RequestFailure { return failure }
    let trouble = ConnectionTrouble(error)
    let now = Int(Date().timeIntervalSince1970)
    switch trouble {
    case .certificateRefused: return .notAdmitted(message: trouble.words(now: now))
    case .untrusted:
      let evidence = await ConnectionTrouble.Evidence.gather(from: url, over: http)
      return .unreachable(
        detail: trouble.words(evidence: evidence, trusted: trusted, now: now))
    case .closed, .handshakeFailed:
      // Not everybody says why a certificate is refused.
      guard let certificateEnd, certificateEnd <= now else { break }
      return .notAdmitted(
        message: "\(trouble.words(now: now)), and this worker's certificate has ended by this "
          + "machine's clock")
    case .otherHost, .plainHTTP, .other: break
    }
    return .unreachable(detail: trouble.words(now: now))
  }

  static func decode<Answer: Decodable>(
    _ type: Answer.Type, from body: ByteBuffer
  ) throws(RequestFailure) -> Answer {
    do {
      return try CanonicalJSON.decode(type, from: Data(body.readableBytesView))
    } catch {
      throw .refused(
        status: 200, code: nil, message: "the coordinator's answer makes no sense: \(error)")
    }
  }

  /// What an answer other than 2xx means.
  static func failure(of response: HTTPClientResponse) async -> RequestFailure {
    let body = try? await response.body.collect(upTo: 64 << 10)
    let detail = body.flatMap {
      try? CanonicalJSON.decode(ErrorBody.self, from: Data($0.readableBytesView))
    }?.error
    let status = Int(response.status.code)
    let message = detail?.message ?? "the coordinator answered \(response.status)"
    switch status {
    case 408, 425, 429, 500...:
      let seconds = response.headers.first(name: "retry-after").flatMap(Int.init)
      return .busy(
        status: status, retryAfter: seconds.map { .seconds(max(0, min($0, 3600))) })
    case 426: return .upgradeRequired(message: message)
    case 401: return .notAdmitted(message: message)
    // Of nobody's request in particular: the coordinator, or what stands before it, wants no
    // worker.
    case 403 where detail?.code == nil: return .notAdmitted(message: message)
    default: return .refused(status: status, code: detail?.code, message: message)
    }
  }
}

extension TLSConfiguration {
  /// What every connection of a worker starts from: TLS 1.3.
  private static var worker: TLSConfiguration {
    var configuration = TLSConfiguration.makeClientConfiguration()
    configuration.minimumTLSVersion = .tlsv13
    return configuration
  }

  /// A connection that believes anyone: for fetching the CA certificate, which the invitation's
  /// fingerprint vouches for. No secret may travel over it.
  static var unverified: TLSConfiguration {
    var configuration = worker
    configuration.certificateVerification = .none
    return configuration
  }

  /// A connection to a coordinator whose certificate comes from `authority` (PEM), its own CA, or
  /// from a public one.
  static func trusting(authority: String) throws -> TLSConfiguration {
    var configuration = worker
    configuration.additionalTrustRoots = [
      .certificates(try NIOSSLCertificate.fromPEMBytes(Array(authority.utf8)))
    ]
    return configuration
  }

  /// The same, as a member: with the client certificate and its key.
  static func member(_ membership: Membership, key: any WorkerKey) throws -> TLSConfiguration {
    var configuration = try trusting(authority: membership.authority)
    configuration.certificateChain = try NIOSSLCertificate.fromPEMBytes(
      Array(membership.certificate.utf8)
    ).map { .certificate($0) }
    configuration.privateKey = .privateKey(
      NIOSSLPrivateKey(customPrivateKey: TLSClientKey(key: key)))
    return configuration
  }
}
