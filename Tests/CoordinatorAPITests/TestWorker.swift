import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Crypto
import Foundation
import HTTPTypes
import HummingbirdTesting
import Testing
import WirePayloads
import WireProtocol
import X509

/// A worker as a test plays it: a key, a certificate, and the messages.
struct TestWorker {
  let name: String
  let key = P256.Signing.PrivateKey()

  init(_ name: String) { self.name = name }

  var headers: HTTPFields {
    [HTTPField.Name("test-worker")!: name, .contentType: "application/json"]
  }

  func signingRequest() throws -> String {
    try CertificateSigningRequest(
      version: .v1, subject: DistinguishedName { CommonName("ignored") }, privateKey: .init(key),
      attributes: .init()
    ).serializeAsPEM().pemString
  }

  func post(
    _ path: String, _ message: some Encodable, _ client: any TestClientProtocol
  ) async throws -> Answer {
    try await client.send(
      .post, path, key: nil, headers: headers, body: try CanonicalJSON.encode(message))
  }

  /// Joins with a new invitation of `account`.
  func enrol(
    _ coordinator: TestCoordinator, _ client: any TestClientProtocol, account: String,
    trusted: Bool = false
  ) async throws {
    _ = try await coordinator.store.createInvitation(
      NewInvitation(
        secretHash: BlobDigest.sha256(Array("secret-\(name)".utf8)), accountName: account, uses: 1,
        expiresAt: coordinator.clock.now.adding(seconds: 3600), trusted: trusted,
        isNamed: true),
      now: coordinator.clock.now)
    let answer = try await post(
      WorkerRoute.enroll,
      EnrolmentRequest(
        secret: "secret-\(name)", signingRequest: try signingRequest(), workerName: name), client)
    let response = try CanonicalJSON.decode(EnrolmentResponse.self, from: answer.body)
    try coordinator.know(name, certificatePEM: response.certificate)
  }

  func lease(_ client: any TestClientProtocol) async throws -> LeaseResponse {
    let answer = try await post(
      WorkerRoute.lease,
      LeaseRequest(
        threads: 2, memoryLimitBytes: 1 << 32, cacheFreeBytes: 1 << 32, cachedModels: [],
        measuredFlopsPerSecond: nil, secondsWanted: 60, maximumUnits: 4), client)
    #expect(answer.status == 200)
    return try CanonicalJSON.decode(LeaseResponse.self, from: answer.body)
  }

  func resultHeaders(_ lease: Lease, _ data: Data) throws -> HTTPFields {
    let digest = BlobDigest.sha256(data)
    let statement = ResultStatement(unit: lease.unit, result: digest)
    var headers = headers
    headers[.resultDigest] = digest.hex
    headers[.resultSize] = "\(data.count)"
    headers[.resultSignature] = try key.signature(for: statement.bytes).derRepresentation
      .base64EncodedString()
    headers[.resultVersions] = String(
      decoding: try CanonicalJSON.encode(PeerVersions()), as: UTF8.self)
    headers[.resultSeconds] = "1.5"
    return headers
  }

  func upload(
    _ lease: Lease, _ data: Data, _ client: any TestClientProtocol,
    change: (inout HTTPFields, inout Data) -> Void = { _, _ in }
  ) async throws -> Answer {
    var headers = try resultHeaders(lease, data)
    var body = try Zstd.compress(data)
    change(&headers, &body)
    return try await client.send(
      .put, WorkerRoute.result(lease: lease.id), key: nil, headers: headers, body: body)
  }
}
