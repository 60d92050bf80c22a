import Testing
import Tokenizers

@Suite struct GGUFTokenizerTests {
  /// Byte-level tokens: the characters of "hello world", two merges, a control token.
  private func byteLevel() -> GGUFTokenizerDescription {
    var description = GGUFTokenizerDescription(
      model: "gpt2", preTokenizer: "smollm",
      tokens: ["<|end|>", "h", "e", "l", "o", "w", "r", "d", "Ġ", "he", "ll", "Ġw", "1"],
      types: [3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], merges: ["h e", "l l", "Ġ w"])
    description.beginningID = 0
    description.endID = 0
    return description
  }

  @Test func byteLevelMergesAndSpecialTokens() throws {
    let tokenizer = try Tokenizer(gguf: byteLevel(), file: "x.gguf")
    let ids = try tokenizer.encode("hello world<|end|>11")
    #expect(ids == [9, 10, 4, 11, 4, 6, 3, 7, 0, 12, 12])
    #expect(try tokenizer.decode(ids, skipSpecialTokens: false) == "hello world<|end|>11")
    #expect(try tokenizer.decode(ids) == "hello world11")
    #expect(tokenizer.tokenBytes(11) == Array(" w".utf8))
    #expect(tokenizer.isSpecial(0))
  }

  @Test func addsTheTokensThatTheFileAsksFor() throws {
    var description = byteLevel()
    description.addsBeginning = true
    description.addsEnd = true
    let tokenizer = try Tokenizer(gguf: description, file: "x.gguf")
    #expect(try tokenizer.encode("he") == [0, 9, 0])
    #expect(try tokenizer.encode("he", addSpecialTokens: false) == [9])
  }

  @Test func scoredMergesFallBackToBytes() throws {
    var tokens = ["<unk>", "<s>", "</s>"]
    tokens += (0..<256).map { byte in
      let digits = String(byte, radix: 16, uppercase: true)
      return "<0x\(digits.count == 1 ? "0" : "")\(digits)>"
    }
    tokens += ["▁", "a", "b", "ab", "▁ab", "ba"]
    var description = GGUFTokenizerDescription(
      model: "llama", tokens: tokens,
      scores: Array(repeating: 0, count: 259) + [-5, -6, -7, -2, -3, -1],
      types: [2, 3, 3] + Array(repeating: 6, count: 256) + Array(repeating: 1, count: 6))
    description.beginningID = 1
    description.unknownID = 0
    let tokenizer = try Tokenizer(gguf: description, file: "x.gguf")
    // "ba" has the best score, so that "abab" is a-ba-b and not ab-ab.
    #expect(try tokenizer.encode("abab") == [1, 259, 260, 264, 261])
    #expect(try tokenizer.encode("ab", addSpecialTokens: false) == [263])
    let ids = try tokenizer.encode("é", addSpecialTokens: false)
    #expect(ids == [259, 3 + 0xC3, 3 + 0xA9])
    #expect(try tokenizer.decode(ids) == "é")
    #expect(tokenizer.tokenBytes(3 + 0xC3) == [0xC3])
  }

  @Test(arguments: [
    "default", "smollm", "llama-bpe", "qwen2", "qwen35", "deepseek-llm", "deepseek-coder",
    "deepseek-v3", "falcon", "tekken", "gpt-4o", "bailingmoe", "seed-coder", "kimi-k2", "bloom",
    "viking", "dbrx",
  ])
  func everyNamedExpressionCompiles(name: String) throws {
    let description = GGUFTokenizerDescription(
      model: "gpt2", preTokenizer: name, tokens: SmallTokenizer.alphabet)
    let tokenizer = try Tokenizer(gguf: description, file: "x.gguf")
    let text = "It's 12345 words,\r\n  中文かな and 'SYMBOLS'!? \n"
    let ids = try tokenizer.encode(text, addSpecialTokens: false)
    #expect(ids.map { UInt8($0) } == Array(text.utf8))
  }

  @Test func refusesWhatItDoesNotKnow() {
    for (model, pre) in [("bert", "default"), ("gpt2", "no-such-expressions")] {
      let description = GGUFTokenizerDescription(
        model: model, preTokenizer: pre, tokens: ["a"], merges: [])
      let error = #expect(throws: TokenizerError.self) {
        try Tokenizer(gguf: description, file: "x.gguf")
      }
      #expect(error?.code == .unsupported)
      #expect(error?.file == "x.gguf")
    }
  }
}
