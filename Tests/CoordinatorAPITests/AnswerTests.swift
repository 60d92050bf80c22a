import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Foundation
import ModelFormats
import Testing
import WirePayloads
import WireProtocol

/// What an answer says of its tokens' probabilities.
@Suite struct AnswerTests {
  /// Tokens by their bytes; 9 is special.
  private struct Bytes: TokenDecoder {
    let tokens: [[UInt8]]

    func bytes(of token: Int32) -> [UInt8] { tokens[Int(token)] }
    func isSpecial(_ token: Int32) -> Bool { token == 9 }
    func text(of tokens: [Int32]) -> String {
      let text = String(
        decoding: tokens.flatMap { isSpecial($0) ? [] : bytes(of: $0) }, as: UTF8.self)
      // As SentencePiece's decoders do.
      return text.first == " " ? String(text.dropFirst()) : text
    }
  }

  // 🚀 is F0 9F 9A 80.
  private static let decoder = Bytes(tokens: [
    [0xF0, 0x9F], [0x9A], [0x80], Array(" a".utf8), Array("b".utf8), Array("\u{E9}".utf8),
    Array("e\u{301}".utf8), [0x20, 0xF0, 0x9F], [0x5C, 0x9F], Array("<|end|>".utf8),
  ])

  private static func digest(_ text: String) -> Digest { BlobDigest.sha256(Array(text.utf8)) }

  /// The answer's first choice.
  ///
  /// - Parameter top: the alternatives of each token, as many for each.
  private func choice(
    _ endpoint: GenerationEndpoint, _ tokens: [Int32], top: [[Int32]] = [], stop: [String] = []
  ) async throws -> JSONValue {
    let width = top.first?.count ?? 0
    let inputs = GenerateInputs(sequences: [
      GenerateInputs.Sequence(
        promptTokens: [1], maxTokens: tokens.count, topLogprobs: width,
        stopStrings: stop.map { Array($0.utf8) })
    ])
    let result = GenerateResult(sequences: [
      GenerateResult.Sequence(
        tokens: tokens, finish: stop.isEmpty ? .length : .stopString,
        logprobs: tokens.map { -Float($0) - 1 }, topTokens: top.flatMap { $0 },
        topLogprobs: top.flatMap { $0.indices.map { -0.5 - Float($0) } })
    ])
    let blobs = MemoryBlobStore()
    let completed = CompletedRequest(
      unit: Self.digest("unit"), inputs: try await blobs.put(try inputs.encoded()),
      result: try await blobs.put(try result.encoded()), firstSequence: 0, sequenceCount: 1,
      verification: .quorum, replicas: 2, completedAt: Timestamp(seconds: 1))
    let outcome = RequestOutcome(
      id: "batch_req_000000000000000000000000", line: 1, customID: "a", rendering: Data(),
      ending: .completed(completed))
    var line = Data()
    try await AnswerWriter(endpoint: endpoint).write(
      outcome, completed: completed,
      rendering: AnswerRendering(
        choices: 1, model: "m", manifest: Self.digest("manifest"), tokenizer: Self.digest("t")),
      unit: try await AnsweredUnit(completed, blobs: blobs), decoder: Self.decoder
    ) { line.append($0) }
    let value = try JSONReader.parse(Array(line.dropLast()), file: "answer", rules: .strict)
    return try #require(value["response"]?["body"]?["choices"]?.arrayValue?.first)
  }

  private func offsets(_ choice: JSONValue) -> [Int] {
    (choice["logprobs"]?["text_offset"]?.arrayValue ?? []).compactMap(\.intValue)
  }

  private func keys(_ choice: JSONValue, _ index: Int) -> [String] {
    choice["logprobs"]?["top_logprobs"]?.arrayValue?[index].objectValue?.keys ?? []
  }

  @Test func offsetsCountTheCharactersBeforeAToken() async throws {
    let two = try await choice(.completions, [0, 1, 2, 0, 1, 2, 0, 1])
    #expect(two["text"]?.stringValue == "🚀🚀\u{FFFD}")
    #expect(offsets(two) == [0, 0, 0, 1, 1, 1, 2, 2])
    // A special token shows nothing; the first word's space is dropped; U+0301 is a character.
    let words = try await choice(.completions, [3, 9, 6, 4])
    #expect(words["text"]?.stringValue == "ae\u{301}b")
    #expect(offsets(words) == [0, 1, 1, 3])
    // What cannot be continued is a character of its own.
    let broken = try await choice(.completions, [0, 4, 4])
    #expect(offsets(broken) == [0, 0, 2])
    // None lies behind the text that a stop string cuts.
    let cut = try await choice(.completions, [3, 4, 4], stop: ["bb"])
    #expect(cut["text"]?.stringValue == "a")
    #expect(offsets(cut) == [0])
  }

  @Test func alternativesThatAreNoTextStayApart() async throws {
    let answer = try await choice(.completions, [0], top: [[0, 1, 7, 8, 5, 6]])
    #expect(
      keys(answer, 0).map { Array($0.utf8) }.sorted { $0.lexicographicallyPrecedes($1) }
        == [
          "bytes:\\x9a", "bytes:\\xf0\\x9f", "bytes: \\xf0\\x9f", "bytes:\\x5c\\x9f", "\u{E9}",
          "e\u{301}",
        ].map { Array($0.utf8) }.sorted { $0.lexicographicallyPrecedes($1) })
    #expect(answer["logprobs"]?["tokens"]?.arrayValue == [.string("bytes:\\xf0\\x9f")])
  }

  @Test func theChosenTokenIsAmongTheAlternatives() async throws {
    let one = try await choice(.completions, [4], top: [[3]])
    #expect(one["logprobs"]?["top_logprobs"]?.arrayValue?[0][" a"] == .double(-0.5))
    #expect(one["logprobs"]?["top_logprobs"]?.arrayValue?[0]["b"] == .int(-5))
    let same = try await choice(.completions, [4], top: [[4]])
    #expect(keys(same, 0) == ["b"])
    // `logprobs: 0` gives it alone.
    let none = try await choice(.completions, [4])
    #expect(keys(none, 0) == ["b"])
  }

  @Test func chatsTellTheBytesOfEveryToken() async throws {
    let answer = try await choice(.chatCompletions, [0, 1], top: [[0, 7], [2, 1]])
    let entries = try #require(answer["logprobs"]?["content"]?.arrayValue)
    #expect(entries[0]["bytes"] == .array([.int(0xF0), .int(0x9F)]))
    #expect(entries.map { $0["top_logprobs"]?.arrayValue?.count } == [2, 2])
    #expect(entries[1]["top_logprobs"]?.arrayValue?[0]["bytes"] == .array([.int(0x80)]))
  }
}
