import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Foundation
import ModelFormats
import Testing
import Tokenizers
import WirePayloads
import WireProtocol

/// What an answer says of its tokens' probabilities.
@Suite struct AnswerTests {
  /// Tokens by their bytes; 9 is special.
  private struct Bytes: TokenDecoder {
    let tokens: [[UInt8]]

    func bytes(of token: Int32) -> [UInt8] { tokens[Int(token)] }
    func isSpecial(_ token: Int32) -> Bool { token == 9 }
    func isFallbackByte(_ token: Int32) -> Bool { false }
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
    _ endpoint: GenerationEndpoint, _ tokens: [Int32], top: [[Int32]] = [], stop: [String] = [],
    decoder: any TokenDecoder = Self.decoder
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
      unit: try await AnsweredUnit(completed, blobs: blobs), decoder: decoder
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

  /// A tokenizer as SentencePiece's are in `tokenizer.json`: 0 to 255 are the bytes.
  private static func fallbackTokenizer() throws -> Tokenizer {
    let bytes = (0..<256).map { "\"<0x\(String(format: "%02X", $0))>\":\($0)" }
    let words = ["\u{2581}", "\u{2581}\u{2581}", "\u{2581}a", "b", "\u{E9}"].enumerated()
      .map { "\"\($1)\":\(256 + $0)" }
    let json = """
      {"added_tokens":[{"id":261,"content":"<|end|>","special":true,"single_word":false,
        "lstrip":false,"rstrip":false,"normalized":false}],
       "normalizer":null,"pre_tokenizer":null,"post_processor":null,
       "decoder":{"type":"Sequence","decoders":[
         {"type":"Replace","pattern":{"String":"\u{2581}"},"content":" "},{"type":"ByteFallback"},
         {"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},
       "model":{"type":"BPE","byte_fallback":true,"merges":[],
         "vocab":{\((bytes + words).joined(separator: ","))}}}
      """
    return try Tokenizer(huggingFaceJSON: Array(json.utf8), file: "tokenizer.json")
  }

  @Test(arguments: [
    // A run of bytes that is no text is U+FFFD for each of its tokens, also before an end or a
    // word.
    ([0xF0, 0x9F, 0x9A, 0x80, 0xF0], "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}", [0, 1, 2, 3, 4]),
    ([0xF0, 0x9F, 259], "\u{FFFD}\u{FFFD}b", [0, 1, 2]),
    ([0xF0, 0x9F, 0x9A, 0x80, 259], "🚀b", [0, 0, 0, 0, 1]),
    // A special token does not part a run.
    ([0xF0, 0x9F, 261, 0x9A, 0x80, 259], "🚀b", [0, 0, 0, 0, 0, 1]),
    ([260, 0xC3, 0xA9, 0xC3, 259], "\u{E9}\u{FFFD}\u{FFFD}\u{FFFD}b", [0, 1, 2, 3, 4]),
    // The decoder takes one space of two, of three, and of each by itself.
    ([257, 259, 259], " bb", [0, 1, 2]), ([257, 258, 259], "  ab", [0, 1, 3]),
    ([256, 256, 258, 259], "  ab", [0, 0, 1, 3]), ([258, 258, 259], "a ab", [0, 1, 3]),
    ([259, 258], "b a", [0, 1]), ([257], " ", [0]),
  ] as [([Int32], String, [Int])])
  func offsetsFollowADecoderOfBytes(_ tokens: [Int32], _ text: String, _ expected: [Int])
    async throws
  {
    let answer = try await choice(.completions, tokens, decoder: Self.fallbackTokenizer())
    #expect(answer["text"]?.stringValue == text)
    #expect(offsets(answer) == expected)
  }

  @Test func aCutRunOfBytesKeepsItsOffsets() async throws {
    let decoder = try Self.fallbackTokenizer()
    // "    a", of which the text keeps two spaces.
    let spaces = try await choice(.completions, [257, 256, 258], stop: [" a"], decoder: decoder)
    #expect(spaces["text"]?.stringValue == "  ")
    #expect(offsets(spaces) == [0, 1])
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
