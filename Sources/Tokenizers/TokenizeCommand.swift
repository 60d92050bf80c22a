import ModelFormats

/// The work of `tally tokenize`: a JSON line in, a JSON line out.
package struct TokenizeCommand: Sendable {
  package let tokenizer: Tokenizer

  /// - Parameter path: a `tokenizer.json`, a Hugging Face folder or a GGUF file.
  /// - Throws: `TokenizerError` or `FormatError`.
  package init(path: String) throws { tokenizer = try TokenizerBundle(path: path).tokenizer }

  package init(_ tokenizer: Tokenizer) { self.tokenizer = tokenizer }

  /// `{"text": .., "add_special_tokens": true}` to `{"ids": [..]}`.
  ///
  /// - Throws: `TokenizerError` for a line that is not of this shape.
  package func encode(line: String) throws -> String {
    let json = try parseJSON(Array(line.utf8))
    guard let text = json["text"]?.stringValue else {
      throw TokenizerError(.malformed, place: "text", "a string is missing")
    }
    let ids = try tokenizer.encode(
      text, addSpecialTokens: json["add_special_tokens"]?.boolValue ?? true)
    return "{\"ids\": [\(ids.map { String($0) }.joined(separator: ", "))]}"
  }

  /// `{"ids": [..], "skip_special_tokens": false}` to `{"text": ..}`.
  ///
  /// - Throws: `TokenizerError` for a line that is not of this shape.
  package func decode(line: String) throws -> String {
    let json = try parseJSON(Array(line.utf8))
    guard let list = json["ids"]?.arrayValue else {
      throw TokenizerError(.malformed, place: "ids", "an array is missing")
    }
    let ids = try list.map { entry in
      guard let id = entry.intValue.flatMap({ TokenID(exactly: $0) }), id >= 0 else {
        throw TokenizerError(.malformed, place: "ids", "not a token id")
      }
      return id
    }
    let text = try tokenizer.decode(
      ids, skipSpecialTokens: json["skip_special_tokens"]?.boolValue ?? false)
    return "{\"text\": \(JSONValue.string(text).serialized())}"
  }
}
