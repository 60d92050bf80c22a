import APIObjects
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import NIOSSL
import Tokenizers
import WireProtocol
import WorkerDaemon

/// Speaks to a coordinator's public API.
struct APIClient: Sendable {
  let configuration: ClientConfiguration
  private let http: HTTPClient

  /// Opens a client for the length of `body`.
  static func with<Result: Sendable>(
    _ options: ConnectionOptions, _ body: (APIClient) async throws -> Result
  ) async throws -> Result {
    try await with(options.resolved(), body)
  }

  /// Opens a client for the length of `body`.
  static func with<Result: Sendable>(
    _ configuration: ClientConfiguration, _ body: (APIClient) async throws -> Result
  ) async throws -> Result {
    var settings = HTTPClient.Configuration()
    settings.httpVersion = .http1Only
    settings.proxy = try HTTPClient.Configuration.Proxy.named(
      for: configuration.url.absoluteString, by: ProcessInfo.processInfo.environment)
    settings.timeout.connect = .seconds(10)
    settings.connectionPool.retryConnectionEstablishment = false
    if let path = configuration.authorityPath {
      guard FileManager.default.isReadableFile(atPath: path) else {
        throw CommandError("cannot read the authority's certificate at \(path)")
      }
      var tls = TLSConfiguration.makeClientConfiguration()
      tls.trustRoots = .file(path)
      settings.tlsConfiguration = tls
    }
    let http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: settings)
    do {
      let result = try await body(APIClient(configuration: configuration, http: http))
      try await http.shutdown()
      return result
    } catch {
      try? await http.shutdown()
      throw error
    }
  }

  // MARK: JSON

  func get<Value: Decodable>(_ path: String, as type: Value.Type) async throws -> Value {
    try decode(type, from: try await data(path), of: path)
  }

  /// The bytes of a small answer.
  func data(_ path: String) async throws -> Data {
    try await collect(try await send(request(.GET, path)))
  }

  func post<Value: Decodable>(
    _ path: String, _ body: (some Encodable)? = String?.none, as type: Value.Type
  ) async throws -> Value {
    try decode(type, from: try await postData(path, body), of: path)
  }

  /// The bytes of a small answer.
  func postData(_ path: String, _ body: (some Encodable)? = String?.none) async throws -> Data {
    var request = request(.POST, path)
    if let body {
      request.headers.add(name: "content-type", value: "application/json")
      request.body = .bytes(ByteBuffer(bytes: try ExactJSON.encode(body)))
    }
    return try await collect(try await send(request))
  }

  func delete(_ path: String) async throws {
    _ = try await collect(try await send(request(.DELETE, path)))
  }

  // MARK: Files

  /// Uploads a file in pieces; it is never held in memory as a whole.
  func upload(
    _ file: URL, purpose: String, progress: @escaping @Sendable (Int, Int) -> Void
  ) async throws -> FileObject {
    let handle = try FileHandle(forReadingFrom: file)
    defer { try? handle.close() }
    let size = Int(try handle.seekToEnd())
    try handle.seek(toOffset: 0)
    let boundary =
      "tally-" + (0..<24).map { _ in String("0123456789abcdef".randomElement() ?? "0") }.joined()
    // What would end the name or its line; by code points, as marks may combine with a quote.
    let name = String(
      String.UnicodeScalarView(
        file.lastPathComponent.unicodeScalars.filter {
          $0 != "\"" && $0 != "\\" && $0.properties.generalCategory != .control
        }))
    let head =
      "--\(boundary)\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\n\(purpose)\r\n"
      + "--\(boundary)\r\ncontent-disposition: form-data; name=\"file\"; filename=\"\(name)\"\r\n"
      + "content-type: application/octet-stream\r\n\r\n"
    let tail = "\r\n--\(boundary)--\r\n"
    var request = request(.POST, "/v1/files")
    request.headers.add(name: "content-type", value: "multipart/form-data; boundary=\(boundary)")
    let body = UploadBody(head: head, file: handle, size: size, tail: tail, progress: progress)
    request.body = .stream(
      body, length: .known(Int64(head.utf8.count + size + tail.utf8.count)))
    // A coordinator on a slow line still takes a large file.
    let answer = try await send(request, timeout: .minutes(60))
    return try decode(FileObject.self, from: try await collect(answer), of: "/v1/files")
  }

  /// Writes the content of a file to `handle` as it arrives; returns its size in bytes.
  func download(file id: String, to handle: FileHandle) async throws -> Int {
    try await download("/v1/files/\(id)/content", to: handle)
  }

  /// Writes an answer to `handle` as it arrives; returns its size in bytes.
  ///
  /// - Parameter offset: bytes that are there already and need not come again.
  func download(_ path: String, to handle: FileHandle, from offset: Int = 0) async throws -> Int {
    var request = request(.GET, path)
    if offset > 0 { request.headers.add(name: "range", value: "bytes=\(offset)-") }
    let answer = try await send(request, timeout: .minutes(60))
    var size = 0
    for try await piece in answer.body {
      try handle.write(contentsOf: Data(piece.readableBytesView))
      size += piece.readableBytes
    }
    return size
  }

  // MARK: Requests

  private func request(_ method: HTTPMethod, _ path: String) -> HTTPClientRequest {
    var request = HTTPClientRequest(url: base + path)
    request.method = method
    request.headers.add(name: "user-agent", value: "tally/\(ProtocolVersion.program)")
    if let key = configuration.key {
      request.headers.add(name: "authorization", value: "Bearer \(key)")
    }
    return request
  }

  private func send(
    _ request: HTTPClientRequest, timeout: TimeAmount = .minutes(2)
  ) async throws -> HTTPClientResponse {
    let answer: HTTPClientResponse
    do {
      answer = try await http.execute(request, timeout: timeout)
    } catch let error as CancellationError {
      throw error
    } catch {
      throw ConnectionFailure(url: configuration.url, reason: await reason(error))
    }
    guard (200..<300).contains(Int(answer.status.code)) else {
      let body = try await collect(answer)
      let detail = try? JSONDecoder().decode(ErrorBody.self, from: body).error
      throw APIError(
        status: Int(answer.status.code),
        message: ForeignText.line(detail?.message) ?? answer.status.reasonPhrase,
        code: detail?.code, requestID: answer.headers.first(name: "x-request-id"))
    }
    return answer
  }

  /// Why there is no answer, in words.
  private func reason(_ error: any Error) async -> String {
    let trouble = ConnectionTrouble(error)
    let now = Int(Date().timeIntervalSince1970)
    guard trouble == .untrusted else { return trouble.words(now: now) }
    let evidence = await ConnectionTrouble.Evidence.gather(from: base, over: http)
    let trusted = configuration.authorityPath
      .flatMap { FileManager.default.contents(atPath: $0) }
      .flatMap { AuthorityCertificate(pem: $0) }
    return trouble.words(evidence: evidence, trusted: trusted?.fingerprint, now: now)
  }

  /// The coordinator's address without a path.
  private var base: String {
    var base = configuration.url.absoluteString
    while base.hasSuffix("/") { base.removeLast() }
    if base.hasSuffix("/v1") { base.removeLast(3) }
    return base
  }

  private func collect(_ answer: HTTPClientResponse) async throws -> Data {
    Data(try await answer.body.collect(upTo: 64 << 20).readableBytesView)
  }

  private func decode<Value: Decodable>(
    _ type: Value.Type, from data: Data, of path: String
  ) throws -> Value {
    do {
      return try JSONDecoder().decode(type, from: data)
    } catch {
      throw CommandError("the answer to \(path) is not what this version of tally reads: \(error)")
    }
  }
}

/// The coordinator's refusal.
struct APIError: Error, CustomStringConvertible {
  let status: Int
  let message: String
  let code: String?
  let requestID: String?

  var description: String {
    var text = "the coordinator answered \(status): \(message)"
    if status == 401 { text += " (--key, TALLY_API_KEY; `tally key create` makes one)" }
    if let requestID { text += " [\(requestID)]" }
    return text
  }
}

/// No answer at all. Waiting commands try again after it.
struct ConnectionFailure: Error, CustomStringConvertible {
  let url: URL
  let reason: String

  var description: String { "cannot reach the coordinator at \(url.absoluteString): \(reason)" }
}

/// A multipart form with one file, read as it is sent.
private struct UploadBody: AsyncSequence, Sendable {
  typealias Element = ByteBuffer

  let head: String
  let file: FileHandle
  let size: Int
  let tail: String
  let progress: @Sendable (Int, Int) -> Void

  func makeAsyncIterator() -> Iterator { Iterator(body: self) }

  struct Iterator: AsyncIteratorProtocol {
    let body: UploadBody
    var sent = 0
    var part = 0

    mutating func next() async throws -> ByteBuffer? {
      if part == 0 {
        part = 1
        return ByteBuffer(string: body.head)
      }
      if part == 1 {
        // No more than was announced, even if the file grows meanwhile.
        let wanted = Swift.min(1 << 18, body.size - sent)
        if wanted > 0 {
          guard let piece = try body.file.read(upToCount: wanted), !piece.isEmpty else {
            throw CommandError("the file became shorter while it was being sent")
          }
          sent += piece.count
          body.progress(sent, body.size)
          return ByteBuffer(bytes: piece)
        }
        part = 2
        return ByteBuffer(string: body.tail)
      }
      return nil
    }
  }
}
