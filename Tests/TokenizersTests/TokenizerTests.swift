import Foundation
import ModelFormats
import TestSupport
import Testing
import Tokenizers

/// Small tokenizers made in the test.
enum SmallTokenizer {
  /// GPT-2's characters for the 256 bytes.
  static let alphabet: [String] = {
    var next: UInt32 = 0x100
    return (0..<256).map { (value: Int) -> String in
      switch value {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: return String(Unicode.Scalar(UInt8(value)))
      default:
        defer { next += 1 }
        return String(Unicode.Scalar(next) ?? " ")
      }
    }
  }()

  /// A byte-level tokenizer whose ids are the bytes themselves.
  static func json(
    normalizer: String = "null", preTokenizer: String? = nil, added: String = "[]",
    merges: String = "[]", extraTokens: [String] = []
  ) -> String {
    let tokens = (alphabet + extraTokens).enumerated().map { id, token in
      "\(JSONValue.string(token).serialized()): \(id)"
    }
    let byteLevel = #"{"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}"#
    return """
      {"added_tokens": \(added), "normalizer": \(normalizer),
       "pre_tokenizer": \(preTokenizer ?? byteLevel), "post_processor": null,
       "decoder": {"type": "ByteLevel"},
       "model": {"type": "BPE", "merges": \(merges), "vocab": {\(tokens.joined(separator: ", "))}}}
      """
  }

  static func make(_ json: String) throws -> Tokenizer {
    try Tokenizer(huggingFaceJSON: Array(json.utf8), file: "tokenizer.json")
  }
}

@Suite struct TokenizerTests {
  @Test func textsSurviveTheRoundTrip() throws {
    let tokenizer = try SmallTokenizer.make(SmallTokenizer.json())
    let text = "Zażółć\u{0} 你好 🌍\r\n"
    #expect(try tokenizer.encode(text).map { UInt8($0) } == Array(text.utf8))
    #expect(try tokenizer.decode(tokenizer.encode(text)) == text)
  }

  @Test func mergesTakeTheLowestRankFirst() throws {
    let tokenizer = try SmallTokenizer.make(
      SmallTokenizer.json(
        merges: #"[["b", "c"], "a b", ["bc", "c"]]"#, extraTokens: ["bc", "ab", "bcc"]))
    #expect(try tokenizer.encode("abcc") == [0x61, 258])
    #expect(try tokenizer.encode("ab") == [257])
  }

  @Test func canonicallyEquivalentTokensStayApart() throws {
    let composed = "\u{E9}"
    let decomposed = "e\u{301}"
    let tokenizer = try SmallTokenizer.make(
      """
      {"model": {"type": "BPE", "merges": [["e", "\u{301}"]], "vocab":
        {"\(composed)": 0, "e": 1, "\u{301}": 2, "\(decomposed)": 3}}}
      """)
    #expect(try tokenizer.encode(composed) == [0])
    #expect(try tokenizer.encode(decomposed) == [3])
  }

  @Test func normalizesAsUnicodeSays() throws {
    let seed: UInt64 = 20
    var random = SeededRandom(seed: seed)
    let scalars: [Unicode.Scalar] = [
      "a", "e", "é", "\u{301}", "\u{323}", "\u{345}", "가", "\u{1100}", "\u{1161}", "\u{11A8}",
      "中", "か", "\u{3099}", "Å", "ﬁ", "½", "\u{1E9B}", "ж", "\u{306}", "Ａ", " ", "\u{958}",
      "\u{F900}", "🙂",
    ]
    for form in ["NFC", "NFD", "NFKC", "NFKD"] {
      let tokenizer = try SmallTokenizer.make(
        SmallTokenizer.json(normalizer: #"{"type": "\#(form)"}"#))
      for _ in 0..<200 {
        var text = String.UnicodeScalarView()
        for _ in 0..<8 { text.append(scalars[Int.random(in: 0..<scalars.count, using: &random)]) }
        let input = String(text)
        let decomposed =
          form.contains("K")
          ? input.decomposedStringWithCompatibilityMapping
          : input.decomposedStringWithCanonicalMapping
        let expected =
          form.hasSuffix("C") ? decomposed.precomposedStringWithCanonicalMapping : decomposed
        let output = try tokenizer.decode(tokenizer.encode(input))
        #expect(sameBytes(output, expected), "seed \(seed), \(form) of \(input.debugDescription)")
      }
    }
  }

  @Test func findsAddedTokens() throws {
    let tokenizer = try SmallTokenizer.make(
      SmallTokenizer.json(
        added: """
          [{"content": "<s>", "special": true, "lstrip": true},
           {"content": "<sx>", "special": true},
           {"content": "word", "single_word": true, "normalized": false}]
          """))
    #expect(try tokenizer.encode("a  <s><sx>") == [0x61, 256, 257])
    #expect(try tokenizer.encode("word words").prefix(2) == [258, 0x20])
    #expect(try tokenizer.encode("sword").count == 5)
    #expect(try tokenizer.decode([0x61, 256, 258]) == "aword")
    #expect(tokenizer.id(of: "<sx>") == 257)
    #expect(tokenizer.vocabularySize == 259)
  }

  @Test func longPiecesTakeNoQuadraticTime() throws {
    let tokenizer = try SmallTokenizer.make(
      SmallTokenizer.json(
        merges: #"[["a", "a"], ["aa", "aa"], ["aaaa", "aaaa"], ["a", "b"]]"#,
        extraTokens: ["aa", "aaaa", "aaaaaaaa", "ab"]))
    let count = 1_000_000
    let ids = try tokenizer.encode(String(repeating: "a", count: count))
    #expect(ids == Array(repeating: 258, count: count / 8))
  }

  // MARK: streams

  @Test func streamsNeverSplitCharacters() throws {
    let tokenizer = try SmallTokenizer.make(SmallTokenizer.json())
    var stream = tokenizer.streamingDetokenizer()
    let pieces = try Array("a🌍é".utf8).map { try stream.push(TokenID($0)) }
    #expect(pieces == ["a", "", "", "", "🌍", "", "é"])
    #expect(try stream.finish() == "")
  }

  @Test func streamsEqualTheWholeDecode() throws {
    let tokenizer = try SmallTokenizer.make(SmallTokenizer.json())
    let seed: UInt64 = 21
    var random = SeededRandom(seed: seed)
    for _ in 0..<500 {
      let ids = (0..<12).map { _ in TokenID(Int.random(in: 0..<256, using: &random)) }
      var stream = tokenizer.streamingDetokenizer()
      var text = ""
      for id in ids { text += try stream.push(id) }
      text += try stream.finish()
      #expect(sameBytes(text, try tokenizer.decode(ids)), "seed \(seed), ids \(ids)")
    }
    var stream = tokenizer.streamingDetokenizer()
    #expect(try stream.push(0xE4) == "")
    #expect(try stream.finish() == "\u{FFFD}")
  }

  // MARK: the command

  @Test func commandReadsAndWritesLines() throws {
    let command = TokenizeCommand(try SmallTokenizer.make(SmallTokenizer.json()))
    #expect(
      try command.encode(line: #"{"text": "h\u00e9", "add_special_tokens": false}"#)
        == #"{"ids": [104, 195, 169]}"#)
    #expect(
      try command.decode(line: #"{"ids": [104, 195, 169], "skip_special_tokens": true}"#)
        == #"{"text": "hé"}"#)
    for line in ["", "{}", #"{"text": 1}"#, #"{"text": "a""#] {
      #expect(throws: TokenizerError.self) { try command.encode(line: line) }
    }
    #expect(throws: TokenizerError.self) { try command.decode(line: #"{"ids": [-1]}"#) }
  }
}
