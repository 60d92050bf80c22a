import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Crypto
import Foundation
import HTTPTypes
import HummingbirdTesting
import ModelFormats
import Testing
import WirePayloads
import WireProtocol

/// What becomes of results that are none, and of who sends them.
@Suite struct InvalidResultTests {
  private static func lease(
    _ worker: TestWorker, _ coordinator: TestCoordinator, _ client: any TestClientProtocol
  ) async throws -> (lease: Lease, good: Data) {
    try await worker.enrol(coordinator, client, account: "account of \(worker.name)")
    _ = try await client.createBatch([
      BatchRouteTests.line("a", ",\"logprobs\":true,\"top_logprobs\":3")
    ])
    try await coordinator.validate()
    let lease = try #require(try await worker.lease(client).leases.first)
    let inputs = try await WorkerRouteTests.inputs(lease, worker, client)
    return (lease, try WorkerRouteTests.result(inputs))
  }

  /// A result whose only sequence ended in a way that there is not.
  private static func invalid(_ good: Data) throws -> Data {
    let file = try SafetensorsFile(data: good, name: "result")
    var wrong = good
    wrong[try file.record("finish").range.lowerBound] = 9
    return wrong
  }

  private typealias Change = @Sendable (inout HTTPFields, inout Data) -> Void

  private static let changes: [(code: String, status: Int, change: Change)] = [
    ("result_invalid", 400, { headers, _ in headers[.resultDigest] = nil }),
    ("result_invalid", 400, { headers, _ in headers[.resultVersions] = "{}" }),
    ("result_invalid", 400, { headers, _ in headers[.resultSignature] = "AAAA" }),
    ("result_invalid", 400, { headers, _ in headers[.resultSize] = "7" }),
    ("content_too_large", 413, { headers, _ in headers[.resultSize] = "99999999" }),
    ("result_invalid", 400, { _, body in body = Data("not zstd".utf8) }),
    ("result_invalid", 400, { _, body in body.removeLast(4) }),
    ("content_too_large", 413, { _, body in body.append(Data(count: 1 << 20)) }),
    // A second frame, of nothing.
    ("result_invalid", 400, { _, body in body.append((try? Zstd.compress(Data())) ?? Data()) }),
    (
      "result_invalid", 400,
      { headers, _ in
        // Someone else's signature.
        headers[.resultSignature] = (try? P256.Signing.PrivateKey().signature(for: Data([1])))?
          .derRepresentation.base64EncodedString()
      }
    ),
  ]

  @Test func aWrongResultIsRefusedAndTheLeaseStays() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.addModel()
    try await coordinator.test { client in
      for (number, wrong) in Self.changes.enumerated() {
        let worker = TestWorker("worker \(number)")
        let (lease, good) = try await Self.lease(worker, coordinator, client)
        let answer = try await worker.upload(lease, good, client, change: wrong.change)
        #expect(answer.status == wrong.status && answer.errorCode == wrong.code, "\(number)")
        #expect(try await worker.upload(lease, good, client).status == 200, "\(number)")
      }
    }
  }

  @Test func contentThatIsNoneIsRefused() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.addModel()
    try await coordinator.test { client in
      func refuse(_ name: String, _ data: (Data) throws -> Data) async throws {
        let worker = TestWorker(name)
        let (lease, good) = try await Self.lease(worker, coordinator, client)
        let answer = try await worker.upload(lease, data(good), client)
        #expect(answer.status == 400 && answer.errorCode == "result_invalid", "\(name)")
        #expect(try await coordinator.blobs.contains(BlobDigest.sha256(data(good))) == false)
      }
      try await refuse("text") { _ in Data("no safetensors".utf8) }
      try await refuse("finish") { try Self.invalid($0) }
      for (name, tensor) in [("token", "tokens"), ("alternative", "top_tokens")] {
        // The model has fewer tokens.
        try await refuse(name) { good in
          var wrong = good
          let range = try SafetensorsFile(data: good, name: "result").record(tensor).range
          wrong.replaceSubrange(range.prefix(4), with: [0, 0, 1, 0])
          return wrong
        }
      }
    }
  }

  @Test func afterThreeTheLeaseEndsAndItsWorkerIsHeldBack() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.addModel()
    try await coordinator.test { client in
      let (worker, other) = (TestWorker("one"), TestWorker("two"))
      let (lease, good) = try await Self.lease(worker, coordinator, client)
      let wrong = try Self.invalid(good)
      for _ in 0..<3 {
        #expect(try await worker.upload(lease, wrong, client).status == 400)
        // It counts as a failure, as if the worker had given the unit up.
        let asked = try await worker.lease(client)
        #expect(asked.leases.isEmpty && !asked.reasons.isEmpty && asked.reasons[.noWork] == nil)
      }
      for data in [wrong, good] {
        let answer = try await worker.upload(lease, data, client)
        #expect(answer.status == 429)
        #expect(answer.headers[.retryAfter].flatMap { Int($0) } ?? 0 > 60)
      }
      let beat = try await worker.post(
        WorkerRoute.heartbeat(lease: lease.id), Heartbeat(flopsDone: 1), client)
      let verdict = try CanonicalJSON.decode(HeartbeatResponse.self, from: beat.body).verdict
      #expect(verdict == .abandon)
      // Others are not held back.
      let theirs = try await Self.lease(other, coordinator, client)
      #expect(try await other.upload(theirs.lease, theirs.good, client).status == 200)
      coordinator.clock.advance(seconds: 601)
      // One more is enough, until a good one comes.
      #expect(try await worker.upload(lease, wrong, client).status == 400)
      #expect(try await worker.upload(lease, good, client).status == 429)
      coordinator.clock.advance(seconds: 601)
      #expect(try await worker.upload(lease, good, client).status == 200)
    }
  }
}

@Suite struct UploadAdmissionTests {
  private let now = Timestamp(seconds: 1_800_000_000)

  @Test func aWorkerSendsOneResultAtATime() throws {
    let admission = UploadAdmission()
    try admission.begin("one", of: "ann", now: now)
    #expect(throws: APIError.self) { try admission.begin("one", of: "ann", now: now) }
    try admission.begin("two", of: "ann", now: now)
    admission.end("one", of: "ann", now: now)
    try admission.begin("one", of: "ann", now: now)
  }

  @Test func aClockThatIsSetBackHoldsNobodyForLonger() throws {
    let admission = UploadAdmission()
    try admission.begin("one", of: "ann", now: now)
    for _ in 0..<3 { _ = admission.noteInvalid("one", now: now) }
    admission.end("one", of: "ann", now: now)
    #expect(throws: APIError.self) {
      try admission.begin("one", of: "ann", now: now.adding(seconds: 599))
    }
    try admission.begin("one", of: "ann", now: now.adding(seconds: -40 * 86_400))
  }

  @Test func allTogetherSendABoundedNumber() throws {
    let admission = UploadAdmission()
    for worker in 0..<UploadAdmission.uploads {
      try admission.begin("\(worker)", of: "account \(worker % 8)", now: now)
    }
    let refused = #expect(throws: APIError.self) {
      try admission.begin("more", of: "ann", now: now)
    }
    #expect(refused?.status == .serviceUnavailable && refused?.headers[.retryAfter] != nil)
    admission.end("7", of: "account 7", now: now)
    try admission.begin("more", of: "ann", now: now)
  }

  @Test func oneAccountLeavesPlacesToTheOthers() throws {
    let admission = UploadAdmission()
    for worker in 0..<UploadAdmission.uploadsOfAccount {
      try admission.begin("\(worker)", of: "ann", now: now)
    }
    let refused = #expect(throws: APIError.self) {
      try admission.begin("more", of: "ann", now: now)
    }
    #expect(refused?.status == .tooManyRequests && refused?.headers[.retryAfter] != nil)
    try admission.begin("other", of: "bob", now: now)
    admission.end("7", of: "ann", now: now)
    try admission.begin("more", of: "ann", now: now)
    #expect(throws: APIError.self) { try admission.begin("8.5", of: "ann", now: now) }
  }
}
