import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Crypto
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import Models
import Synchronization
import TestSupport
import Testing
import WirePayloads
import WireProtocol
import X509

/// A coordinator in memory with a tiny model, a clock that the test moves, and workers that are
/// known by a header.
final class TestCoordinator: Sendable {
  static let key = "tally-test"
  static let otherKey = "tally-other"
  static let model = "tiny"

  let store: FleetStore
  let blobs: MemoryBlobStore
  let environment: APIEnvironment
  private let identities = IdentityBook()

  /// Identities by the value of the header that stands for a certificate.
  private final class IdentityBook: Sendable {
    let known = Mutex<[String: WorkerIdentity]>([:])
  }

  init(
    policy: CoordinatorPolicy = CoordinatorPolicy(), limits: APILimits = APILimits(),
    freeDiskBytes: Int? = nil
  ) async throws {
    let clock = Clock()
    blobs = MemoryBlobStore { clock.now }
    store = FleetStore.inMemory(blobs: blobs, policy: policy)
    var environment = APIEnvironment(
      store: store, blobs: blobs,
      authority: try Authority(creatingAt: Date(timeIntervalSince1970: 1_800_000_000)),
      catalog: ModelCatalog(store: store, blobs: blobs), limits: limits, now: { clock.now })
    environment.shared = SharedAnswers(interval: .zero)
    environment.freeDiskBytes = { freeDiskBytes }
    self.environment = environment
    self.clock = clock
    for (name, key) in [("test", Self.key), ("other", Self.otherKey)] {
      _ = try await store.createKey(
        NewKey(name: name, hash: BlobDigest.sha256(Array(key.utf8))), now: clock.now)
    }
  }

  /// A clock that only the test moves.
  final class Clock: Sendable {
    private let time = Mutex(Timestamp(seconds: 1_800_000_000))
    var now: Timestamp { time.withLock { $0 } }
    func advance(seconds: Int) { time.withLock { $0 = $0.adding(seconds: seconds) } }
  }
  let clock: Clock

  static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Fixtures")

  /// Imports a random Llama with a real tokenizer and a ChatML template.
  @discardableResult
  func addModel() async throws -> ModelRecord {
    let folder = try TemporaryFolder()
    try TinyModel.write(to: folder.url)
    return try await ModelImport(store: store, blobs: blobs)
      .add(path: folder.url.path, name: Self.model, now: clock.now)
  }

  /// Runs `body` with a client of the router.
  func test<Value: Sendable>(
    _ body: @Sendable (any TestClientProtocol) async throws -> Value
  ) async throws -> Value {
    let identities = identities
    let router = APIRouter.make(environment) { request, _ in
      request.headers[HTTPField.Name("test-worker")!]
        .flatMap { name in identities.known.withLock { $0[name] } }
    }
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    return try await Application(router: router, logger: logger).test(.router, body)
  }

  /// Lets an issued certificate speak for requests with the header `test-worker: NAME`.
  func know(_ name: String, certificatePEM: String) throws {
    let certificate = try Certificate(pemEncoded: certificatePEM)
    let identity = try #require(
      WorkerIdentity(der: try certificate.serializeAsPEM().derBytes))
    identities.known.withLock { $0[name] = identity }
  }

  /// Validates what waits, as the service does.
  func validate() async throws {
    for batch in try await store.batchesToValidate(limit: 100) {
      try await BatchValidation(
        environment: environment, batch: batch, logger: Logger(label: "test")
      ).run()
    }
  }

  /// Writes the files of what has ended, as the service does.
  func finalise() async throws {
    for batch in try await store.batchesToFinalize(limit: 100) {
      try await BatchFinalisation(environment: environment, batch: batch).run()
    }
  }
}

/// An answer as a test looks at it.
struct Answer {
  let status: Int
  let headers: HTTPFields
  let body: Data

  init(_ response: TestResponse) {
    status = response.status.code
    headers = response.headers
    body = Data(response.body.readableBytesView)
  }

  /// The body as JSON.
  var json: [String: Any] {
    (try? JSONSerialization.jsonObject(with: body)) as? [String: Any] ?? [:]
  }

  var errorCode: String? { (json["error"] as? [String: Any])?["code"] as? String }
  var id: String { json["id"] as? String ?? "" }
}

extension TestClientProtocol {
  func send(
    _ method: HTTPRequest.Method, _ path: String, key: String? = TestCoordinator.key,
    headers: HTTPFields = [:], body: Data = Data()
  ) async throws -> Answer {
    var headers = headers
    if let key { headers[.authorization] = "Bearer \(key)" }
    return Answer(
      try await executeRequest(
        uri: path, method: method, headers: headers, body: ByteBuffer(bytes: body)))
  }

  func send(_ method: HTTPRequest.Method, _ path: String, json: String) async throws -> Answer {
    try await send(
      method, path, headers: [.contentType: "application/json"], body: Data(json.utf8))
  }

  /// Uploads a file as the official client does.
  func upload(
    _ content: Data, purpose: String = "batch", key: String = TestCoordinator.key,
    fields: [(String, String)] = []
  ) async throws -> Answer {
    var body = Data()
    for (name, value) in [("purpose", purpose)] + fields {
      body.append(
        Data(
          "--xyz\r\nContent-Disposition: form-data; name=\"\(name)\"\r\n\r\n\(value)\r\n".utf8))
    }
    body.append(
      Data(
        """
        --xyz\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"\r
        Content-Type: application/octet-stream\r\n\r\n
        """.utf8))
    body.append(content)
    body.append(Data("\r\n--xyz--\r\n".utf8))
    return try await send(
      .post, "/v1/files", key: key,
      headers: [.contentType: "multipart/form-data; boundary=xyz"], body: body)
  }

  /// Uploads lines and creates a batch of them.
  func createBatch(
    _ lines: [String], endpoint: String = "/v1/chat/completions", extra: String = ""
  ) async throws -> Answer {
    let file = try await upload(Data(lines.joined(separator: "\n").utf8))
    return try await send(
      .post, "/v1/batches",
      json: """
        {"input_file_id":"\(file.id)","endpoint":"\(endpoint)","completion_window":"24h"\(extra)}
        """)
  }
}
