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

  @Test func ofManyResultsForOneLeaseOnlyTheOneThatCountsIsStored() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.addModel()
    try await coordinator.test { client in
      let worker = TestWorker("one")
      try await worker.enrol(coordinator, client, account: "ada")
      _ = try await client.createBatch([
        #"{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"tiny","#
          + #""max_tokens":3,"messages":[{"role":"user","content":"x"}]}}"#
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
        #"{"custom_id":"a","method":"POST","url":"/v1/completions","body":{"model":"tiny","#
          + #""prompt":"Hello","max_tokens":150,"n":2,"logprobs":3}}"#
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
