import CoordinatorAPI
import Foundation
import HTTPTypes
import HummingbirdTesting
import Testing

@Suite struct FileRouteTests {
  @Test func uploadsReadListDelete() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let content = Data("{\"a\":1}\n".utf8)
      let made = try await client.upload(
        content,
        fields: [("expires_after[anchor]", "created_at"), ("expires_after[seconds]", "3600")])
      #expect(made.status == 200)
      let json = made.json
      #expect(made.id.hasPrefix("file-"))
      #expect(json["object"] as? String == "file")
      #expect(json["bytes"] as? Int == content.count)
      #expect(json["created_at"] as? Int == 1_800_000_000)
      #expect(json["expires_at"] as? Int == 1_800_003_600)
      #expect(json["filename"] as? String == "in.jsonl")
      #expect(json["purpose"] as? String == "batch")
      #expect(json["status"] as? String == "processed")
      #expect(json["status_details"] is NSNull)

      let read = try await client.send(.get, "/v1/files/\(made.id)")
      #expect(read.body == made.body)
      let bytes = try await client.send(.get, "/v1/files/\(made.id)/content")
      #expect(bytes.body == content)
      #expect(bytes.headers[.contentLength] == "\(content.count)")

      let deleted = try await client.send(.delete, "/v1/files/\(made.id)")
      #expect(deleted.json["deleted"] as? Bool == true)
      #expect(try await client.send(.get, "/v1/files/\(made.id)").status == 404)
      #expect(try await client.send(.delete, "/v1/files/\(made.id)").status == 404)
    }
  }

  @Test func filesExpire() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let made = try await client.upload(
        Data(),
        fields: [("expires_after[anchor]", "created_at"), ("expires_after[seconds]", "3600")])
      coordinator.clock.advance(seconds: 3600)
      #expect(try await client.send(.get, "/v1/files/\(made.id)").status == 404)
    }
  }

  @Test func listsPage() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      var ids: [String] = []
      for _ in 0..<5 { ids.append(try await client.upload(Data()).id) }
      for (order, expected) in [("asc", ids), ("desc", Array(ids.reversed()))] {
        var seen: [String] = []
        while true {
          let after = seen.last.map { "&after=\($0)" } ?? ""
          let page = try await client.send(
            .get, "/v1/files?purpose=batch&limit=2&order=\(order)\(after)")
          #expect(page.json["object"] as? String == "list")
          seen += (page.json["data"] as? [[String: Any]] ?? []).compactMap { $0["id"] as? String }
          if page.json["has_more"] as? Bool != true { break }
        }
        #expect(seen == expected)
      }
      #expect(
        try await client.send(.get, "/v1/files?purpose=fine-tune").json["has_more"] as? Bool
          == false)
      #expect(try await client.send(.get, "/v1/files/\(ids[0])%00").status == 404)
      for query in [
        "limit=0", "limit=x", "order=up", "purpose=p", "after=file-none", "after=\(ids[0])%00",
      ] {
        let answer = try await client.send(.get, "/v1/files?\(query)")
        #expect(answer.status == 400, "\(query)")
        #expect(answer.errorCode == "invalid_value", "\(query)")
      }
    }
  }

  @Test func ranges() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let id = try await client.upload(Data("0123456789".utf8)).id
      func get(_ range: String) async throws -> Answer {
        try await client.send(.get, "/v1/files/\(id)/content", headers: [.range: range])
      }
      let part = try await get("bytes=2-4")
      #expect(part.status == 206)
      #expect(part.body == Data("234".utf8))
      #expect(part.headers[.contentRange] == "bytes 2-4/10")
      #expect(try await get("bytes=7-").body == Data("789".utf8))
      #expect(try await get("bytes=-3").body == Data("789".utf8))
      #expect(try await get("bytes=8-99").headers[.contentRange] == "bytes 8-9/10")
      let outside = try await get("bytes=10-")
      #expect(outside.status == 416)
      #expect(outside.headers[.contentRange] == "bytes */10")
      for whole in ["bytes=x-y", "lines=1-2", "bytes=5-2", "bytes=0-1,3-4"] {
        #expect(try await get(whole).status == 200, "\(whole)")
      }
    }
  }

  @Test func badUploadsAreRefused() async throws {
    var limits = APILimits()
    limits.uploadBytes = 1000
    let coordinator = try await TestCoordinator(limits: limits)
    try await coordinator.test { client in
      let large = try await client.upload(Data(count: 1001))
      #expect(large.status == 413)
      #expect(try await client.upload(Data(count: 1000)).status == 200)
      #expect(try await client.upload(Data(count: 100_000)).status == 413)
      #expect(try await client.upload(Data(), purpose: "assistants").status == 400)
      for fields in [
        [("expires_after[anchor]", "created_at")],
        [("expires_after[anchor]", "never"), ("expires_after[seconds]", "3600")],
        [("expires_after[anchor]", "created_at"), ("expires_after[seconds]", "3599")],
        [("unknown", "x")], [("purpose", "batch")],
      ] {
        #expect(try await client.upload(Data(), fields: fields).status == 400, "\(fields)")
      }
      func post(_ type: String, _ body: String) async throws -> Answer {
        try await client.send(
          .post, "/v1/files", headers: [.contentType: type], body: Data(body.utf8))
      }
      #expect(try await post("application/json", "{}").errorCode == "invalid_multipart")
      #expect(try await post("multipart/form-data; boundary=b", "--b").status == 400)
      #expect(try await post("multipart/form-data; boundary=b", "--b--").status == 400)
      let field =
        "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx\r\n--b--\r\n"
      #expect(try await post("multipart/form-data; boundary=b", field).errorCode == "invalid_type")
    }
  }

  @Test func everyErrorHasOpenAIsShape() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let cases: [(Answer, Int, String)] = [
        (try await client.send(.get, "/v1/files", key: nil), 401, "invalid_api_key"),
        (try await client.send(.get, "/v1/files", key: "tally-wrong"), 401, "invalid_api_key"),
        (try await client.send(.get, "/v1/files/file-x"), 404, "not_found"),
        (try await client.send(.get, "/v1/nowhere"), 404, "unknown_url"),
        (try await client.send(.put, "/v1/files"), 405, "method_not_allowed"),
        (try await client.send(.get, "/v1/models/none"), 404, "model_not_found"),
        (try await client.send(.post, "/v1/batches", json: "{"), 400, "invalid_json"),
        (
          try await client.send(.post, "/v1/batches", json: "[]"), 400, "invalid_type"
        ),
        (
          try await client.send(
            .post, "/v1/batches", body: Data(repeating: 0x20, count: 2 << 20)), 413,
          "content_too_large"
        ),
        (
          try await client.send(.post, "/v1/chat/completions", json: "{}"), 400, "batches_only"
        ),
        (
          try await client.send(.post, "/worker/v1/lease", json: "{}"), 401, "certificate_required"
        ),
      ]
      for (answer, status, code) in cases {
        #expect(answer.status == status, "\(code)")
        #expect(answer.errorCode == code)
        let error = answer.json["error"] as? [String: Any] ?? [:]
        #expect(Set(error.keys) == ["message", "type", "param", "code"], "\(code)")
        #expect(answer.headers[.requestID]?.hasPrefix("req_") == true, "\(code)")
      }
      #expect(try await client.send(.put, "/v1/files").headers[.allow] == "GET, POST")
      // Every method that the parser knows, not just the usual ones.
      for method in ["TRACE", "CONNECT", "PROPFIND", "M-SEARCH", "PURGE"] {
        let answer = try await client.send(try #require(HTTPRequest.Method(method)), "/healthz")
        #expect(answer.status == 405, "\(method)")
        #expect(answer.headers[.allow] == "GET", "\(method)")
      }
      // What every answer carries, errors too.
      for path in ["/healthz", "/v1/files", "/v1/nowhere"] {
        let headers = try await client.send(.get, path).headers
        #expect(headers[.xContentTypeOptions] == "nosniff", "\(path)")
        #expect(headers[.strictTransportSecurity] == "max-age=31536000", "\(path)")
      }
    }
  }

  @Test func filesOfAnotherKeyAreInvisible() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let id = try await client.upload(Data("x".utf8)).id
      for path in ["/v1/files/\(id)", "/v1/files/\(id)/content"] {
        #expect(try await client.send(.get, path, key: TestCoordinator.otherKey).status == 404)
      }
      let deletion = try await client.send(
        .delete, "/v1/files/\(id)", key: TestCoordinator.otherKey)
      #expect(deletion.status == 404)
      let list = try await client.send(.get, "/v1/files", key: TestCoordinator.otherKey)
      #expect((list.json["data"] as? [Any])?.isEmpty == true)
    }
  }
}
