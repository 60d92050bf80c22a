import CoordinatorAPI
import Foundation
import TestSupport
import Testing

@Suite struct MultipartParserTests {
  /// Parts as a test writes them and as the parser gives them back.
  struct Part: Equatable {
    var header: MultipartPart
    var content: Data
  }

  static func parse(
    _ body: Data, boundary: String = "b", chunk: () -> Int, limits: MultipartParser.Limits = .init()
  ) throws -> [Part] {
    var parser = MultipartParser(
      boundary: try MultipartBoundary(contentType: "multipart/form-data; boundary=\"\(boundary)\""),
      limits: limits)
    var parts: [Part] = []
    var open = false
    var rest = body[...]
    while !rest.isEmpty {
      let piece = rest.prefix(max(1, chunk()))
      rest = rest.dropFirst(piece.count)
      for event in try parser.feed(piece) {
        switch event {
        case .partBegan(let header):
          #expect(!open)
          open = true
          parts.append(Part(header: header, content: Data()))
        case .bytes(let bytes):
          #expect(open && !bytes.isEmpty)
          parts[parts.count - 1].content.append(bytes)
        case .partEnded:
          #expect(open)
          open = false
        }
      }
    }
    try parser.finish()
    #expect(!open)
    return parts
  }

  static func body(_ parts: [Part], boundary: String) -> Data {
    var data = Data()
    for part in parts {
      var header = "--\(boundary)\r\nContent-Disposition: form-data; name=\"\(part.header.name)\""
      if let filename = part.header.filename {
        header += "; filename=\"\(filename)\"\r\nContent-Type: application/octet-stream"
      }
      data.append(Data((header + "\r\n\r\n").utf8))
      data.append(part.content)
      data.append(Data("\r\n".utf8))
    }
    data.append(Data("--\(boundary)--\r\n".utf8))
    return data
  }

  @Test func readsWhatTheOfficialClientSends() throws {
    let body = Data(
      """
      --b\r
      Content-Disposition: form-data; name="purpose"\r
      \r
      batch\r
      --b\r
      Content-Disposition: form-data; name="expires_after[anchor]"\r
      \r
      created_at\r
      --b\r
      Content-Disposition: form-data; name="file"; filename="in \\"put\\".jsonl"\r
      Content-Type: application/octet-stream\r
      \r
      {"a":1}\n--b\r\n-\r
      --b--\r\n
      """.utf8)
    for size in [1, 2, 3, 7, 1000] {
      let parts = try Self.parse(body, chunk: { size })
      #expect(parts.map(\.header.name) == ["purpose", "expires_after[anchor]", "file"])
      #expect(parts[2].header.filename == "in \"put\".jsonl")
      #expect(parts[0].content == Data("batch".utf8))
      #expect(parts[2].content == Data("{\"a\":1}\n--b\r\n-".utf8))
    }
  }

  @Test func randomFormsSurviveRandomChunks() throws {
    for seed in testSeeds(60) {
      var random = SeededRandom(seed: seed)
      let boundary = "x" + String(random.next(), radix: 36)
      let pieces = [
        "\r\n", "--", "\r\n--", "\r", "\n", boundary.prefix(3).description, "\r\n--x", "a", "\0",
      ]
      let parts = (0..<Int.random(in: 1...5, using: &random)).map { index in
        var content = Data()
        for _ in 0..<Int.random(in: 0...60, using: &random) {
          content.append(
            random.chance(0.7)
              ? Data(pieces.randomElement(using: &random)!.utf8)
              : Data(random.bytes(Int.random(in: 0...40, using: &random))))
        }
        return Part(
          header: MultipartPart(name: "n\(index)", filename: random.chance(0.5) ? "f" : nil),
          content: content)
      }
      let body = Self.body(parts, boundary: boundary)
      let read = try Self.parse(
        body, boundary: boundary, chunk: { Int.random(in: 1...90, using: &random) })
      #expect(read == parts, "seed \(seed)")
    }
  }

  @Test func damagedFormsThrowAndNeverTrap() {
    for seed in testSeeds(300) {
      var random = SeededRandom(seed: seed)
      let parts = [
        Part(header: .init(name: "purpose"), content: Data("batch".utf8)),
        Part(header: .init(name: "file", filename: "f"), content: Data(random.bytes(200))),
      ]
      var body = Self.body(parts, boundary: "b")
      for _ in 0..<Int.random(in: 1...6, using: &random) {
        body[Int.random(in: 0..<body.count, using: &random)] = UInt8.random(
          in: 0...255, using: &random)
      }
      if random.chance(0.3) { body = body.prefix(Int.random(in: 0...body.count, using: &random)) }
      do {
        _ = try Self.parse(body, chunk: { Int.random(in: 1...50, using: &random) })
      } catch {
        #expect(error is MultipartError, "seed \(seed): \(error)")
      }
    }
  }

  @Test func limitsAreKept() throws {
    let long = Data("--b\r\nX: \(String(repeating: "y", count: 10000))".utf8)
    #expect(throws: MultipartError.headersTooLarge(limit: 8192)) {
      try Self.parse(long, chunk: { 100 })
    }
    let many = Self.body(
      (0..<70).map { Part(header: .init(name: "n\($0)"), content: Data()) }, boundary: "b")
    #expect(throws: MultipartError.tooManyParts(limit: 64)) { try Self.parse(many, chunk: { 100 }) }
    #expect(throws: MultipartError.truncated) {
      try Self.parse(
        Data("--b\r\nContent-Disposition: form-data; name=a\r\n\r\nabc".utf8), chunk: { 5 })
    }
  }

  @Test(arguments: [
    "text/plain", "multipart/form-data", "multipart/form-data; boundary=",
    "multipart/form-data; boundary=\"\u{1}\"", "multipart/mixed; boundary=b",
    "multipart/form-data; boundary=\"\(String(repeating: "b", count: 71))\"",
    "multipart/form-data; boundary=\"abc",
  ])
  func badContentTypesAreRefused(_ contentType: String) {
    #expect(throws: MultipartError.self) { try MultipartBoundary(contentType: contentType) }
  }
}
