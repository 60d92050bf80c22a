import ModelFormats
import Testing
import Tokenizers

/// Where expressions in Oniguruma's spelling cut texts.
@Suite struct SplitExpressionTests {
  /// The pieces of a text, made visible by a tokenizer whose every piece ends with a mark.
  private func pieces(_ expression: String, _ text: String) throws -> [String] {
    let pattern = JSONValue.string(expression).serialized()
    let tokenizer = try SmallTokenizer.make(
      """
      {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": \(pattern)}, "behavior": "Isolated"},
       "decoder": {"type": "BPEDecoder", "suffix": "/"},
       "model": {"type": "BPE", "byte_fallback": false, "end_of_word_suffix": "/", "merges": [],
         "vocab": {\(vocabulary(text))}}}
      """)
    let ids = try tokenizer.encode(text)
    return ids.compactMap { tokenizer.token($0) }.joined().split(separator: "/").map(String.init)
  }

  private func vocabulary(_ text: String) -> String {
    let tokens = Set(text.unicodeScalars).sorted().flatMap { ["\($0)", "\($0)/"] }
    return tokens.enumerated()
      .map { "\(JSONValue.string($1).serialized()): \($0)" }.joined(separator: ", ")
  }

  @Test func readsOnigurumasSpellings() throws {
    #expect(try pieces(#"\p{N}{1,3}"#, "a12345b") == ["a", "123", "45", "b"])
    #expect(try pieces(#"a{1,2}+|b{,2}"#, "aaabbb") == ["aaa", "bb", "b"])
    #expect(try pieces(#"(?i:'s)|\h+"#, "x'Sfez") == ["x", "'S", "fe", "z"])
    #expect(try pieces(#"[a-z&&[^aeiou]]+"#, "banana") == ["b", "a", "n", "a", "n", "a"])
    #expect(try pieces(#"\s+(?!\S)|\s+"#, "a   b") == ["a", "  ", " ", "b"])
    #expect(try pieces(#"[^\r\n\p{L}\p{N}]?+\p{L}++|\u4e2d"#, "a b中") == ["a", " b中"])
    #expect(try pieces(#"^b|.$"#, "a\nbc") == ["a", "\n", "b", "c"])
  }

  @Test func knowsUnicode16AndItsWhiteSpace() throws {
    // U+1C89 became a letter in Unicode 16; U+180E is no white space since 6.3.
    #expect(try pieces(#"\p{L}+"#, "a\u{1C89}1") == ["a\u{1C89}", "1"])
    #expect(try pieces(#"\s"#, "a\u{180E}b c") == ["a\u{180E}b", " ", "c"])
  }
}
