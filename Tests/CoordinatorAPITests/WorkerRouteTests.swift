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

@Suite struct WorkerRouteTests {
  /// A result that any unit could have: each sequence gives some tokens.
  static func result(_ inputs: GenerateInputs, text: [Int32] = [60, 61, 62]) throws -> Data {
    try GenerateResult(
      sequences: inputs.sequences.map { sequence in
        let tokens = Array(text.prefix(sequence.maxTokens))
        let width = sequence.topLogprobs ?? 0
        return GenerateResult.Sequence(
          tokens: tokens, finish: .length, logprobs: tokens.map { _ in -0.5 },
          topTokens: tokens.flatMap { token in (0..<Int32(width)).map { token + $0 } },
          topLogprobs: tokens.flatMap { _ in (0..<width).map { -0.5 - Float($0) } })
      }
    ).encoded()
  }

  static func inputs(
    _ lease: Lease, _ worker: TestWorker, _ client: any TestClientProtocol
  ) async throws -> GenerateInputs {
    let answer = try await client.send(
      .get, WorkerRoute.blob(lease.specification.inputs), key: nil, headers: worker.headers)
    #expect(answer.status == 200)
    #expect(BlobDigest.sha256(answer.body) == lease.specification.inputs)
    return try GenerateInputs(decoding: answer.body)
  }

  @Test func enrolmentIssuesAndRenewsCertificates() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let worker = TestWorker("one")
      let refused = try await worker.post(
        WorkerRoute.enroll,
        EnrolmentRequest(
          secret: "wrong", signingRequest: try worker.signingRequest(), workerName: "w"), client)
      #expect(refused.status == 403)
      #expect(refused.errorCode == WorkerErrorCode.invitationInvalid)
      let rubbish = try await worker.post(
        WorkerRoute.enroll,
        EnrolmentRequest(secret: "wrong", signingRequest: "rubbish", workerName: "w"), client)
      #expect(rubbish.errorCode == "signing_request_invalid")
      try await worker.enrol(coordinator, client, account: "ada")

      let renewed = try await worker.post(
        WorkerRoute.renew, RenewalRequest(signingRequest: try worker.signingRequest()), client)
      #expect(renewed.status == 200)
      let response = try CanonicalJSON.decode(EnrolmentResponse.self, from: renewed.body)
      #expect(response.accountName == "ada")
      #expect(response.notAfter == 1_800_000_000 + 30 * 86400)
      #expect(response.validSeconds == 30 * 86400)
      let named = try await worker.post(
        WorkerRoute.renew,
        RenewalRequest(signingRequest: try worker.signingRequest(), workerName: "attic"), client)
      #expect(
        try CanonicalJSON.decode(EnrolmentResponse.self, from: named.body).workerName == "attic")
      let fleet = try await coordinator.store.fleet(now: coordinator.clock.now)
      #expect(fleet.workers.map(\.name) == ["attic"])
      #expect(try await worker.lease(client).reasons == [.noWork: 1])

      // A worker that was away renews what has ended; a clock that was set back changes nothing.
      for seconds in [-400 * 86400, 400 * 86400 + 119 * 86400] {
        coordinator.clock.advance(seconds: seconds)
        let late = try await worker.post(
          WorkerRoute.renew, RenewalRequest(signingRequest: try worker.signingRequest()), client)
        #expect(late.status == 200)
      }
      // The certificate's time is checked for each request, not for each connection.
      coordinator.clock.advance(seconds: 86400)
      let late = try await worker.post(
        WorkerRoute.renew, RenewalRequest(signingRequest: try worker.signingRequest()), client)
      #expect(late.status == 401)
      #expect(late.errorCode == WorkerErrorCode.certificateRequired)
    }
  }

  @Test func aCertificateThatARestoredDatabaseDoesNotKnowIsGood() async throws {
    let (coordinator, restored) = (try await TestCoordinator(), try await TestCoordinator())
    let worker = TestWorker("one")
    let renewed = try await coordinator.test { client in
      try await worker.enrol(coordinator, client, account: "ada")
      let id = try #require(
        try await coordinator.store.fleet(now: coordinator.clock.now).workers.first).id
      // Signed by the authority after the backup.
      return try coordinator.environment.authority.issueWorkerCertificate(
        workerID: id, request: VerifiedSigningRequest(pem: worker.signingRequest()),
        now: coordinator.clock.now.date, validSeconds: 3600)
    }
    try coordinator.know("one", certificatePEM: renewed.pem)
    try await coordinator.test { client in
      let answer = try await worker.lease(client)
      #expect(answer.reasons == [.noWork: 1])
    }
    // A coordinator that never knew the worker does not say that it is the end.
    try restored.know("one", certificatePEM: renewed.pem)
    try await restored.test { client in
      let answer = try await worker.post(WorkerRoute.lease, ["x": 1], client)
      #expect(answer.status == 401)
      #expect(String(decoding: answer.body, as: UTF8.self).contains("restored from a backup"))
    }
  }

  @Test func revokedAndUnknownCertificatesAreRefused() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let worker = TestWorker("one")
      try await worker.enrol(coordinator, client, account: "ada")
      let id = try #require(
        try await coordinator.store.statistics(now: coordinator.clock.now).workers.first).id
      _ = try await coordinator.store.revokeWorker(id, now: coordinator.clock.now)
      let answer = try await worker.post(WorkerRoute.lease, ["x": 1], client)
      #expect(answer.status == 401)
      // Signed by the authority, but never recorded.
      let forged = try coordinator.environment.authority.issueWorkerCertificate(
        workerID: "worker_" + RandomName.suffix(),
        request: VerifiedSigningRequest(pem: worker.signingRequest()),
        now: coordinator.clock.now.date, validSeconds: 3600)
      try coordinator.know("forged", certificatePEM: forged.pem)
      #expect(try await TestWorker("forged").post(WorkerRoute.lease, ["x": 1], client).status == 401)
    }
  }

  @Test func aRevokedKeyIsToldSoWhenItJoinsAgain() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let worker = TestWorker("one")
      try await worker.enrol(coordinator, client, account: "ada")
      let id = try #require(
        try await coordinator.store.fleet(now: coordinator.clock.now).workers.first).id
      _ = try await coordinator.store.revokeWorker(id, now: coordinator.clock.now)
      let again = try await worker.post(
        WorkerRoute.enroll,
        EnrolmentRequest(
          secret: "secret-one", signingRequest: try worker.signingRequest(), workerName: "one"),
        client)
      #expect(again.status == 403)
      #expect(again.errorCode == WorkerErrorCode.membershipEnded)
      #expect(String(decoding: again.body, as: UTF8.self).contains("new invitation"))
      let renewal = try await worker.post(
        WorkerRoute.renew, RenewalRequest(signingRequest: try worker.signingRequest()), client)
      #expect(renewal.status == 401)
      // The operator's new invitation admits the machine, which makes a new key.
      let fresh = TestWorker("fresh")
      try await fresh.enrol(coordinator, client, account: "ada")
      #expect(try await fresh.lease(client).reasons == [.noWork: 1])
    }
  }

  @Test func aNameThatComesTooOftenIsNotTaken() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let worker = TestWorker("one")
      try await worker.enrol(coordinator, client, account: "ada")
      func renew(as name: String?) async throws -> Int {
        try await worker.post(
          WorkerRoute.renew,
          RenewalRequest(signingRequest: try worker.signingRequest(), workerName: name), client
        ).status
      }
      var statuses: [Int] = []
      for number in 0..<6 { statuses.append(try await renew(as: "name \(number)")) }
      #expect(statuses == [200, 200, 200, 200, 429, 429])
      let names = try await coordinator.store.fleet(now: coordinator.clock.now).workers.map(\.name)
      #expect(names == ["name 3"])
      #expect(try await renew(as: nil) == 200)
      #expect(try await renew(as: "name 3") == 200, "it has that name")
    }
  }

  @Test func renewalsAreLimited() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let worker = TestWorker("one")
      try await worker.enrol(coordinator, client, account: "ada")
      var statuses: [Int] = []
      for _ in 0..<20 {
        statuses.append(
          try await worker.post(
            WorkerRoute.renew, RenewalRequest(signingRequest: try worker.signingRequest()), client
          ).status)
      }
      #expect(statuses.count { $0 == 200 } == StoreLimit.certificatesAtOnce - 1)
      #expect(statuses.last == 429)
      // It works on with what it has, and is served again later.
      #expect(try await worker.lease(client).reasons == [.noWork: 1])
      coordinator.clock.advance(seconds: 86_401)
      let later = try await worker.post(
        WorkerRoute.renew, RenewalRequest(signingRequest: try worker.signingRequest()), client)
      #expect(later.status == 200)
    }
  }

  @Test func ofManyResultsForOneLeaseOnlyTheOneThatCountsIsStored() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.addModel()
    try await coordinator.test { client in
      let worker = TestWorker("one")
      try await worker.enrol(coordinator, client, account: "ada")
      _ = try await client.createBatch([
        #"{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"tiny","max_tokens":3,"messages":[{"role":"user","content":"x"}]}}"#
      ])
      try await coordinator.validate()
      let lease = try #require(try await worker.lease(client).leases.first)
      let inputs = try await Self.inputs(lease, worker, client)
      let results = try (0..<10).map {
        try Self.result(inputs, text: [Int32(60 + $0), 61, 62])
      }
      let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
        for result in results {
          group.addTask { try await worker.upload(lease, result, client).status }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(statuses.count { $0 == 200 } == 1)
      // The others waited behind it, or came while it was read: one upload of a worker at a time.
      #expect(Set(statuses).subtracting([200]).isSubset(of: [409, 429]))
      var stored = 0
      for result in results where try await coordinator.blobs.contains(BlobDigest.sha256(result)) {
        stored += 1
      }
      #expect(stored == 1)
    }
  }

  @Test func versionsMustMatch() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let worker = TestWorker("one")
      try await worker.enrol(coordinator, client, account: "ada")
      for versions in [
        PeerVersions(protocolVersion: 0), PeerVersions(protocolVersion: 99),
        PeerVersions(numericsProfile: "exact-0"),
      ] {
        let answer = try await worker.post(
          WorkerRoute.lease,
          LeaseRequest(
            versions: versions, threads: 1, memoryLimitBytes: 1, cacheFreeBytes: 1,
            cachedModels: [], measuredFlopsPerSecond: nil, secondsWanted: 1, maximumUnits: 1),
          client)
        #expect(answer.status == 426)
        #expect(answer.errorCode == WorkerErrorCode.upgradeRequired)
      }
      let malformed = try await worker.post(WorkerRoute.lease, ["threads": 1], client)
      #expect(malformed.errorCode == "invalid_message")
    }
  }

  @Test func aBatchRunsOnTwoAccountsAndIsDelivered() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.addModel()
    try await coordinator.test { client in
      let one = TestWorker("one")
      let two = TestWorker("two")
      try await one.enrol(coordinator, client, account: "ada")
      try await two.enrol(coordinator, client, account: "grace")
      let batch = try await client.createBatch([
        BatchRouteTests.line("plain"),
        BatchRouteTests.line("rich", ",\"n\":2,\"logprobs\":true,\"top_logprobs\":2"),
      ])
      try await coordinator.validate()
      for worker in [one, two] {
        let leases = try await worker.lease(client).leases
        #expect(!leases.isEmpty)
        for lease in leases {
          #expect(try BlobDigest.unit(lease.specification) == lease.unit)
          let inputs = try await Self.inputs(lease, worker, client)
          let beat = try await worker.post(
            WorkerRoute.heartbeat(lease: lease.id), Heartbeat(flopsDone: 1), client)
          #expect(beat.status == 200)
          let answer = try await worker.upload(lease, try Self.result(inputs), client)
          let receipt = try CanonicalJSON.decode(ResultReceipt.self, from: answer.body)
          #expect(receipt.state == (worker.name == "one" ? .awaitingReplica : .accepted))
          // Once more: the same answer, nothing counted twice.
          let again = try await worker.upload(lease, try Self.result(inputs), client)
          #expect(again.body == answer.body)
          let other = try await worker.upload(
            lease, try Self.result(inputs, text: [70]), client)
          #expect(other.status == 409)
          #expect(other.headers[.shouldRetry] == "false")
        }
      }
      try await coordinator.finalise()
      let ended = try await client.send(.get, "/v1/batches/\(batch.id)")
      #expect(ended.json["status"] as? String == "completed")
      try await Self.checkOutput(ended, client)
      let stats = try await client.send(.get, "/stats", key: nil)
      #expect(stats.json["requests_completed"] as? Int == 2)
      #expect((stats.json["accounts"] as? [Any])?.count == 2)
      let told = try await client.send(
        .get, WorkerRoute.standing, key: nil, headers: one.headers)
      #expect(told.status == 200)
      let standing = try CanonicalJSON.decode(Standing.self, from: told.body)
      #expect(standing.worker.units > 0 && standing.worker.credit > 0)
      #expect(standing.account == standing.worker)
      // Equal credit, equal place.
      #expect(standing.rank == 1 && standing.accounts == 2)
      #expect(try await client.send(.get, WorkerRoute.standing, key: nil).status == 401)
    }
  }

  private static func checkOutput(_ batch: Answer, _ client: any TestClientProtocol) async throws {
    let file = try #require(batch.json["output_file_id"] as? String)
    let body = try await client.send(.get, "/v1/files/\(file)/content").body
    let lines = try body.split(separator: 10).map {
      try #require(try JSONSerialization.jsonObject(with: $0) as? [String: Any])
    }
    #expect(lines.compactMap { $0["custom_id"] as? String } == ["plain", "rich"])
    for line in lines {
      #expect((line["id"] as? String)?.hasPrefix("batch_req_") == true)
      #expect(line["error"] is NSNull)
      let response = try #require(line["response"] as? [String: Any])
      #expect(response["status_code"] as? Int == 200)
      let body = try #require(response["body"] as? [String: Any])
      #expect(body["object"] as? String == "chat.completion")
      #expect((body["id"] as? String)?.hasPrefix("chatcmpl-") == true)
      let tally = try #require(body["tally"] as? [String: Any])
      #expect(tally["verification"] as? String == "quorum")
      #expect(tally["replicas"] as? Int == 2)
    }
    func choices(_ index: Int) -> [[String: Any]] {
      let response = lines[index]["response"] as? [String: Any]
      return (response?["body"] as? [String: Any])?["choices"] as? [[String: Any]] ?? []
    }
    #expect(choices(0).count == 1)
    #expect(choices(0)[0]["logprobs"] is NSNull)
    #expect(choices(0)[0]["finish_reason"] as? String == "length")
    let message = choices(0)[0]["message"] as? [String: Any]
    #expect(message?["role"] as? String == "assistant")
    #expect((message?["content"] as? String)?.isEmpty == false)
    #expect(choices(1).map { $0["index"] as? Int } == [0, 1])
    let logprobs = (choices(1)[1]["logprobs"] as? [String: Any])?["content"] as? [[String: Any]]
    #expect(logprobs?.count == 3)
    #expect((logprobs?.first?["top_logprobs"] as? [Any])?.count == 2)
  }

  /// Log-probabilities are written some at a time; what is read is one list.
  @Test func manyLogprobsAreWrittenWhole() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.addModel()
    try await coordinator.test { client in
      let text = (0..<150).map { Int32(60 + $0 % 20) }
      let lines = [
        #"{"custom_id":"a","method":"POST","url":"/v1/completions","body":{"model":"tiny","prompt":"Hello","#
          + #""max_tokens":150,"n":2,"logprobs":3}}"#
      ]
      let batch = try await client.createBatch(lines, endpoint: "/v1/completions")
      try await coordinator.validate()
      for name in ["one", "two"] {
        let worker = TestWorker(name)
        try await worker.enrol(coordinator, client, account: name)
        for lease in try await worker.lease(client).leases {
          let result = try Self.result(try await Self.inputs(lease, worker, client), text: text)
          #expect(try await worker.upload(lease, result, client).status == 200)
        }
      }
      try await coordinator.finalise()
      let ended = try await client.send(.get, "/v1/batches/\(batch.id)")
      let file = try #require(ended.json["output_file_id"] as? String)
      let body = try await client.send(.get, "/v1/files/\(file)/content").body
      // Keys are sorted throughout: whatever is written in pieces is what one encoder would write.
      let line = try JSONSerialization.jsonObject(with: body)
      let sorted = try JSONSerialization.data(
        withJSONObject: line, options: [.sortedKeys, .withoutEscapingSlashes])
      #expect(sorted.count == body.count - 1)
      let response = try #require((line as? [String: Any])?["response"] as? [String: Any])
      let choices = try #require(
        (response["body"] as? [String: Any])?["choices"] as? [[String: Any]])
      #expect(choices.count == 2)
      for choice in choices {
        let logprobs = try #require(choice["logprobs"] as? [String: Any])
        for name in ["tokens", "token_logprobs", "text_offset", "top_logprobs"] {
          #expect((logprobs[name] as? [Any])?.count == 150, "\(name)")
        }
        let tokens = try #require(logprobs["tokens"] as? [String])
        let offsets = try #require(logprobs["text_offset"] as? [Int])
        #expect(offsets.last == tokens.dropLast().joined().unicodeScalars.count)
        #expect((logprobs["top_logprobs"] as? [[String: Double]])?.last?.count == 3)
      }
    }
  }

  @Test func leasesAndBlobsAreTheWorkersOwn() async throws {
    let coordinator = try await TestCoordinator()
    let model = try await coordinator.addModel()
    try await coordinator.test { client in
      let one = TestWorker("one")
      let two = TestWorker("two")
      try await one.enrol(coordinator, client, account: "ada")
      try await two.enrol(coordinator, client, account: "grace")
      let file = try await client.createBatch([BatchRouteTests.line("a")])
      try await coordinator.validate()
      let lease = try #require(try await one.lease(client).leases.first)
      func get(_ digest: WireProtocol.Digest, _ worker: TestWorker, range: String? = nil)
        async throws -> Answer
      {
        var headers = worker.headers
        if let range { headers[.range] = range }
        return try await client.send(.get, WorkerRoute.blob(digest), key: nil, headers: headers)
      }
      #expect(try await get(lease.specification.inputs, one).status == 200)
      #expect(try await get(lease.specification.inputs, two).status == 404)
      #expect(try await get(model.manifest, two).status == 200)
      let part = try await get(model.manifest, two, range: "bytes=0-3")
      #expect(part.status == 206)
      #expect(part.body.count == 4)
      // The same bytes in the order that a worker asks for.
      let whole = try await get(model.manifest, two).body
      var coding = two.headers
      coding[.range] = "bytes=2-"
      coding[try #require(HTTPField.Name(BlobCoding.header))] = BlobCoding.planes
      let coded = try await client.send(
        .get, WorkerRoute.blob(model.manifest), key: nil, headers: coding)
      #expect(coded.status == 206)
      var decoder = BlobCoding.Decoder()
      #expect(try decoder.take(coded.body) == Data(whole.dropFirst(2)) && decoder.isComplete)
      // A client's file is a blob too, but no worker's business.
      let batch = try #require(try await coordinator.store.batch(file.id, key: nil))
      #expect(try await get(batch.inputBlob, one).status == 404)
      let path = WorkerRoute.heartbeat(lease: lease.id)
      let stolen = try await two.post(path, Heartbeat(flopsDone: 1), client)
      #expect(stolen.status == 404)
      #expect(stolen.errorCode == WorkerErrorCode.leaseUnknown)
      for _ in 0..<2 {
        let given = try await one.post(
          WorkerRoute.abandon(lease: lease.id),
          Abandonment(reason: .shuttingDown, detail: "bye"), client)
        #expect(given.status == 204)
      }
    }
  }
}
