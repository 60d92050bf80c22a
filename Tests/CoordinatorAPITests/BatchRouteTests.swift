import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Foundation
import HTTPTypes
import Testing

@Suite struct BatchRouteTests {
  static func line(_ id: String, _ extra: String = "", text: String = "Hi") -> String {
    """
    {"custom_id":"\(id)","method":"POST","url":"/v1/chat/completions","body":{"model":"tiny",\
    "messages":[{"role":"user","content":"\(text)"}],"max_tokens":4\(extra)}}
    """
  }

  @Test func aBatchIsCreatedValidatedAndShown() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.addModel()
    try await coordinator.test { client in
      let made = try await client.createBatch(
        [Self.line("a"), "", Self.line("b", ",\"n\":2")],
        extra:
          ",\"metadata\":{\"k\":\"v\"},\"output_expires_after\":{\"anchor\":\"created_at\","
          + "\"seconds\":3600}")
      #expect(made.status == 200)
      let expected: Set<String> = [
        "id", "object", "endpoint", "model", "errors", "input_file_id", "completion_window",
        "status", "output_file_id", "error_file_id", "created_at", "in_progress_at", "expires_at",
        "finalizing_at", "completed_at", "failed_at", "expired_at", "cancelling_at",
        "cancelled_at", "request_counts", "usage", "metadata",
      ]
      #expect(Set(made.json.keys) == expected)
      #expect(made.json["status"] as? String == "validating")
      #expect(made.json["errors"] is NSNull)
      #expect(made.json["expires_at"] as? Int == 1_800_086_400)
      #expect(made.json["metadata"] as? [String: String] == ["k": "v"])

      try await coordinator.validate()
      let shown = try await client.send(.get, "/v1/batches/\(made.id)")
      #expect(shown.json["status"] as? String == "in_progress")
      #expect(shown.json["model"] as? String == "tiny")
      #expect((shown.json["request_counts"] as? [String: Int])?["total"] == 2)
      let progress = try await client.send(.get, "/tally/v1/batches/\(made.id)")
      #expect(progress.status == 200)
      #expect(progress.json["waiting_requests"] as? Int == 2)
      #expect(progress.json["seconds_left"] as? Int == 86400)

      let cancelled = try await client.send(.post, "/v1/batches/\(made.id)/cancel")
      #expect(cancelled.json["status"] as? String == "cancelling")
      try await coordinator.finalise()
      let ended = try await client.send(.get, "/v1/batches/\(made.id)")
      #expect(ended.json["status"] as? String == "cancelled")
      let file = try #require(ended.json["error_file_id"] as? String)
      let text = String(
        decoding: try await client.send(.get, "/v1/files/\(file)/content").body, as: UTF8.self)
      let lines = text.split(separator: "\n")
      #expect(lines.count == 2)
      let first = try #require(
        try JSONSerialization.jsonObject(with: Data(lines[0].utf8)) as? [String: Any])
      #expect(first["custom_id"] as? String == "a")
      #expect(first["response"] is NSNull)
      #expect((first["error"] as? [String: String])?["code"] == "batch_cancelled")
      #expect(
        try await client.send(.get, "/v1/batches/\(made.id)", key: TestCoordinator.otherKey).status
          == 404)
    }
  }

  @Test func badLinesFailTheBatchByNumber() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.addModel()
    try await coordinator.test { client in
      let made = try await client.createBatch([
        Self.line("a"), Self.line("a"), "{not json", Self.line("c", ",\"temperature\":17"),
        Self.line("d", ",\"tools\":[1]"), Self.line("e"),
      ])
      try await coordinator.validate()
      let failed = try await client.send(.get, "/v1/batches/\(made.id)")
      #expect(failed.json["status"] as? String == "failed")
      #expect(failed.json["failed_at"] as? Int == 1_800_000_000)
      let errors = (failed.json["errors"] as? [String: Any])?["data"] as? [[String: Any]] ?? []
      #expect(errors.map { $0["line"] as? Int } == [2, 3, 4, 5])
      #expect(
        errors.map { $0["code"] as? String } == [
          "duplicate_custom_id", "invalid_json_line", "invalid_value", "unsupported_parameter",
        ])
      #expect(errors.allSatisfy { Set($0.keys) == ["code", "line", "message", "param"] })
    }
  }

  @Test func emptyAndOversizedFilesFail() async throws {
    var limits = APILimits()
    limits.batchLines = 3
    limits.lineBytes = 1000
    let coordinator = try await TestCoordinator(limits: limits)
    try await coordinator.addModel()
    try await coordinator.test { client in
      let cases: [([String], String)] = [
        ([""], "empty_file"), (["", "  "], "empty_file"),
        ((0..<4).map { Self.line("l\($0)") }, "too_many_requests"),
        ([Self.line("a", text: String(repeating: "x", count: 1000))], "line_too_long"),
      ]
      for (lines, code) in cases {
        let made = try await client.createBatch(lines)
        try await coordinator.validate()
        let failed = try await client.send(.get, "/v1/batches/\(made.id)")
        let errors = (failed.json["errors"] as? [String: Any])?["data"] as? [[String: Any]]
        #expect(errors?.first?["code"] as? String == code)
      }
    }
  }

  @Test func whatFailsForOneRequestFailsItsLineOnly() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.addModel()
    try await coordinator.test { client in
      let made = try await client.createBatch([
        Self.line("long", text: String(repeating: "word ", count: 400)),
        Self.line("room", ",\"max_completion_tokens\":null").replacing(
          "\"max_tokens\":4", with: "\"max_tokens\":256"),
        Self.line("role").replacing("\"user\"", with: "\"developer\""),
      ])
      try await coordinator.validate()
      try await coordinator.finalise()
      let ended = try await client.send(.get, "/v1/batches/\(made.id)")
      #expect(ended.json["status"] as? String == "completed")
      #expect((ended.json["request_counts"] as? [String: Int])?["failed"] == 3)
      #expect(ended.json["output_file_id"] is NSNull)
      let file = try #require(ended.json["error_file_id"] as? String)
      let body = try await client.send(.get, "/v1/files/\(file)/content").body
      let lines = try body.split(separator: 10).map {
        try #require(try JSONSerialization.jsonObject(with: $0) as? [String: Any])
      }
      let codes = lines.map { line -> String? in
        let response = line["response"] as? [String: Any]
        #expect(response?["status_code"] as? Int == 400)
        #expect(line["error"] is NSNull)
        let body = response?["body"] as? [String: Any]
        return (body?["error"] as? [String: Any])?["code"] as? String
      }
      #expect(
        codes == [
          "context_length_exceeded", "context_length_exceeded", "chat_template_error",
        ])
    }
  }

  @Test func metadataKeysAreComparedByCodePoints() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let made = try await client.createBatch(
        [Self.line("a")], extra: ",\"metadata\":{\"\u{E9}\":\"one\",\"e\u{301}\":\"two\"}")
      #expect(made.status == 200)
      let shown = try await client.send(.get, "/v1/batches/\(made.id)").body
      let listed = try await client.send(.get, "/v1/batches").body
      for body in [made.body, shown, listed] {
        let text = Array(body)
        for pair in ["\"\u{E9}\":\"one\"", "\"e\u{301}\":\"two\""] {
          #expect(
            text.firstRange(of: Array(pair.utf8)) != nil,
            "\(String(decoding: body, as: UTF8.self))")
        }
      }
      // 64 code points, whatever they combine to.
      let long = String(repeating: "e\u{301}", count: 33)
      let refused = try await client.createBatch(
        [Self.line("a")], extra: ",\"metadata\":{\"\(long)\":\"x\"}")
      #expect(refused.status == 400)
    }
  }

  @Test func badLinesFailAloneWhereThatIsAskedFor() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.addModel()
    try await coordinator.test { client in
      let skip = ",\"metadata\":{\"tally_skip_bad_lines\":\"true\"}"
      let made = try await client.createBatch(
        [
          Self.line("x").replacing("\"tiny\"", with: "\"none\""), Self.line("a"), Self.line("a"),
          "{not json", Self.line("c", ",\"temperature\":17"), "", Self.line("d"),
        ], extra: skip)
      try await coordinator.validate()
      let running = try await client.send(.get, "/v1/batches/\(made.id)")
      #expect(running.json["status"] as? String == "in_progress")
      #expect(running.json["model"] as? String == "tiny")
      #expect(
        running.json["request_counts"] as? [String: Int] == [
          "total": 6, "completed": 0, "failed": 4,
        ])
      _ = try await client.send(.post, "/v1/batches/\(made.id)/cancel")
      try await coordinator.finalise()
      let ended = try await client.send(.get, "/v1/batches/\(made.id)")
      let file = try #require(ended.json["error_file_id"] as? String)
      let errors = try await client.send(.get, "/v1/files/\(file)/content").body
      let lines = try errors.split(separator: 10).map {
        try #require(try JSONSerialization.jsonObject(with: $0) as? [String: Any])
      }
      let failures = lines.compactMap { line -> String? in
        let body = (line["response"] as? [String: Any])?["body"] as? [String: Any]
        guard let error = body?["error"] as? [String: Any] else { return nil }
        let words = (error["message"] as? String ?? "").prefix { $0 != ":" }
        return "\(line["custom_id"] ?? "") \(error["code"] ?? "") \(words)"
      }
      #expect(
        failures == [
          "x model_not_found Line 1", "a duplicate_custom_id Line 3",
          "line 4 invalid_json_line Line 4", "c invalid_value Line 5",
        ])

      // JSON of another form is bad lines, as long as one is good.
      for first in [["["], ["{\"custom_id\": \"cut\","], ["[{\"custom_id\":\"a\"}]"]] {
        let some = try await client.createBatch(first + [Self.line("a"), "]"], extra: skip)
        try await coordinator.validate()
        let running = try await client.send(.get, "/v1/batches/\(some.id)")
        #expect(running.json["status"] as? String == "in_progress", "\(first)")
        #expect(
          running.json["request_counts"] as? [String: Int]
            == ["total": 3, "completed": 0, "failed": 2], "\(first)")
        _ = try await client.send(.post, "/v1/batches/\(some.id)/cancel")
        try await coordinator.finalise()
      }
      let list = try await client.createBatch(["[", "{\"custom_id\": \"a\"},", "]"], extra: skip)
      try await coordinator.validate()
      let told = try await client.send(.get, "/v1/batches/\(list.id)")
      let refusals = (told.json["errors"] as? [String: Any])?["data"] as? [[String: Any]] ?? []
      let message = refusals.first?["message"] as? String
      #expect(refusals.count == 1 && message?.contains("JSON, not JSONL") == true)

      // Where no line is good, nothing is skipped.
      let bad = try await client.createBatch(["{not json", "[]x"], extra: skip)
      try await coordinator.validate()
      let failed = try await client.send(.get, "/v1/batches/\(bad.id)")
      #expect(failed.json["status"] as? String == "failed")
      let unknown = try await client.createBatch(
        [Self.line("a")], extra: ",\"metadata\":{\"tally_skip_bad_lines\":\"yes\"}")
      #expect(unknown.status == 400)
    }
  }

  @Test(arguments: [
    ["[", "  {\"custom_id\": \"a\"},", "]"], ["[{\"custom_id\": \"a\"}]"],
    ["", "{", "  \"custom_id\": \"a\"", "}"], ["{\"custom_id\": \"a\",", "\"body\": {}}"],
  ])
  func otherJSONIsToldInOneSentence(_ lines: [String]) async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let made = try await client.createBatch(lines)
      try await coordinator.validate()
      let failed = try await client.send(.get, "/v1/batches/\(made.id)")
      let errors = (failed.json["errors"] as? [String: Any])?["data"] as? [[String: Any]]
      #expect(errors?.count == 1)
      #expect((errors?.first?["message"] as? String)?.contains("JSON, not JSONL") == true)
    }
  }

  @Test func aBrokenFirstLineIsNoOtherJSON() {
    var form = JSONLinesForm()
    for line in ["{\"custom_id\": \"}\"", " {}", "["] {
      let isBroken = form.isBroken(by: Array(line.utf8))
      #expect(!isBroken, "\(line)")
    }
  }

  @Test func aSecondValidationChangesNothing() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.addModel()
    try await coordinator.test { client in
      let made = try await client.createBatch((0..<20).map { Self.line("l\($0)") })
      let batch = try #require(try await coordinator.store.batch(made.id, key: nil))
      let served = try #require(
        try await coordinator.environment.catalog.model("tiny", date: batch.times.created))
      let planner = RequestPlanner(
        batch: batch.id, model: served.record, encoder: served, defaultChatTokens: 16)
      // As if the process had been killed after the first lines.
      var validator = BatchLineValidator(endpoint: .chatCompletions) { _ in true }
      let first = try (1...5).map { number in
        try planner.plan(
          validator.validate(Array(Self.line("l\(number - 1)").utf8), number: number),
          number: number)
      }
      try await coordinator.store.appendRequests(first, to: batch.id)
      try await coordinator.validate()
      let shown = try await client.send(.get, "/v1/batches/\(made.id)")
      #expect((shown.json["request_counts"] as? [String: Int])?["total"] == 20)
    }
  }

  @Test func retriedCreationsMakeOneBatch() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let file = try await client.upload(Data("x".utf8))
      let body = Data(
        """
        {"input_file_id":"\(file.id)","endpoint":"/v1/completions","completion_window":"7d"}
        """.utf8)
      let first = try await client.send(.post, "/v1/batches", body: body)
      let again = try await client.send(
        .post, "/v1/batches", headers: [.stainlessRetryCount: "1"], body: body)
      #expect(again.id == first.id)
      #expect(try await client.send(.post, "/v1/batches", body: body).id != first.id)
      #expect(first.json["expires_at"] as? Int == 1_800_000_000 + 7 * 86400)
    }
  }

  @Test(arguments: [
    ("", "input_file_id"), ("\"input_file_id\":3", "input_file_id"),
    ("FILE,\"endpoint\":\"/v1/embeddings\"", "endpoint"),
    ("FILE,ENDPOINT", "completion_window"),
    ("FILE,ENDPOINT,\"completion_window\":\"23h\"", "completion_window"),
    ("FILE,ENDPOINT,\"completion_window\":\"1 day\"", "completion_window"),
    ("FILE,ENDPOINT,WINDOW,\"metadata\":{\"k\":1}", "metadata"),
    ("FILE,ENDPOINT,WINDOW,\"metadata\":{\"tally_pool\":\"x\"}", "metadata"),
    ("FILE,ENDPOINT,WINDOW,\"metadata\":{\"k\":\"a\\u0000b\"}", "metadata"),
    ("FILE,ENDPOINT,WINDOW,\"metadata\":{\"k\\u0000\":\"a\"}", "metadata"),
    ("\"input_file_id\":\"IDENTITY\\u0000x\",ENDPOINT,WINDOW", "input_file_id"),
    ("FILE,ENDPOINT,WINDOW,\"surprise\":1", "surprise"),
    (
      "FILE,ENDPOINT,WINDOW,\"output_expires_after\":{\"anchor\":\"created_at\",\"seconds\":1}",
      "output_expires_after.seconds"
    ),
  ])
  func badCreationsNameTheField(_ members: String, _ param: String) async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let file = try await client.upload(Data("x".utf8))
      let json = "{\(members)}".replacing("FILE", with: "\"input_file_id\":\"\(file.id)\"")
        .replacing("IDENTITY", with: file.id)
        .replacing("ENDPOINT", with: "\"endpoint\":\"/v1/chat/completions\"")
        .replacing("WINDOW", with: "\"completion_window\":\"24h\"")
      let answer = try await client.send(.post, "/v1/batches", json: json)
      #expect(answer.status == 400)
      #expect((answer.json["error"] as? [String: Any])?["param"] as? String == param)
    }
  }

  @Test func endedBatchesCannotBeCancelled() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let made = try await client.createBatch([""])
      try await coordinator.validate()
      let answer = try await client.send(.post, "/v1/batches/\(made.id)/cancel")
      #expect(answer.status == 409)
      #expect(answer.headers[.shouldRetry] == "false")
      #expect(try await client.send(.post, "/v1/batches/batch_none/cancel").status == 404)
    }
  }
}
