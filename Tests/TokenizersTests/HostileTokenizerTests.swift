import Foundation
import TestSupport
import Testing
import Tokenizers

/// Files from strangers: an error that says where, never a crash.
@Suite struct HostileTokenizerTests {
  @Test(arguments: [
    ("", "byte 0"), ("[]", "byte 0"), ("{\"model\": {", "byte"), ("{}", "model.vocab"),
    (#"{"model": {"vocab": {"a": -1}}}"#, "model"),
    (#"{"model": {"vocab": {"a": 4294967295}}}"#, "model"),
    (#"{"model": {"vocab": {"a": 1e300}}}"#, "model"),
    (#"{"model": {"vocab": {"a": 0}, "merges": [["a", "b"]]}}"#, "merges[0]"),
    (#"{"model": {"vocab": {"a": 0}, "merges": [["a"]]}}"#, "model"),
    (#"{"model": {"vocab": {"a": 0}, "merges": ["a"]}}"#, "model"),
    (#"{"model": {"vocab": {"a": 0}, "dropout": 0.5}}"#, "dropout"),
    (#"{"model": {"type": "Riddle", "vocab": {}}}"#, "type"),
    (#"{"normalizer": {"type": "Riddle"}, "model": {"vocab": {}}}"#, "normalizer"),
    (#"{"decoder": {"type": "Riddle"}, "model": {"vocab": {}}}"#, "decoder"),
    (#"{"model": {"type": "Unigram", "unk_id": 9, "vocab": [["a", 0]]}}"#, "unk_id"),
    (#"{"added_tokens": [{}], "model": {"vocab": {}}}"#, "content"),
    (
      #"{"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(("}, "behavior": "Isolated"}, "#
        + #""model": {"vocab": {}}}"#,
      "(("
    ),
  ])
  func refusesWithPlaceAndReason(json: String, place: String) {
    let error = #expect(throws: TokenizerError.self) { try SmallTokenizer.make(json) }
    #expect(error?.file == "tokenizer.json")
    #expect(error?.description.contains(place) == true, "\(String(describing: error))")
  }

  @Test func refusesDeepNesting() {
    let json = #"{"normalizer": "# + String(repeating: "[", count: 100_000)
    let error = #expect(throws: TokenizerError.self) { try SmallTokenizer.make(json) }
    #expect(error?.code == .limitExceeded)
  }

  @Test func damagedFilesNeverCrash() throws {
    let seed: UInt64 = 22
    var random = SeededRandom(seed: seed)
    let small = SmallTokenizer.json(
      normalizer: #"{"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]}"#,
      added: #"[{"id": 300, "content": "<s>", "special": true}]"#, merges: #"[["a", "b"]]"#,
      extraTokens: ["ab"])
    let original = Array(small.utf8)
    var loaded = 0
    for _ in 0..<300 {
      var bytes = original
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let index = Int.random(in: 0..<bytes.count, using: &random)
        bytes[index] = UInt8.random(in: 0...255, using: &random)
      }
      if Bool.random(using: &random) {
        bytes.removeSubrange(Int.random(in: 0..<bytes.count, using: &random)...)
      }
      if let tokenizer = try? Tokenizer(huggingFaceJSON: bytes, file: "damaged") {
        loaded += 1
        _ = try? tokenizer.decode(tokenizer.encode("abc <s> é"))
      }
    }
    // Most damage is noticed, but some only changes a token's text.
    #expect(loaded < 300, "seed \(seed)")
  }

  @Test func expressionsHaveLimits() throws {
    let json = SmallTokenizer.json(
      preTokenizer:
        #"{"type": "Split", "pattern": {"Regex": "(x+x+)+[0-9]"}, "behavior": "Isolated"}"#)
    let tokenizer = try SmallTokenizer.make(json)
    let error = #expect(throws: TokenizerError.self) {
      try tokenizer.encode(String(repeating: "x", count: 5000))
    }
    #expect(error?.code == .expression)
  }
}
