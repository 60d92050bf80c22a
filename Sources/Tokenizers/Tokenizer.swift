/// The number of a token in its vocabulary.
package typealias TokenID = Int32

/// Text to token ids and back, as the `tokenizers` library does it.
///
/// A value that is loaded once and shared; nothing in it changes.
package struct Tokenizer: Sendable {
  enum Model: Sendable {
    case bytePair(BytePairModel)
    case scoredMerges(ScoredMergeModel)
    case unigram(UnigramModel)

    var vocabulary: TokenTable {
      switch self {
      case .bytePair(let model): model.vocabulary
      case .scoredMerges(let model): model.vocabulary
      case .unigram(let model): model.vocabulary
      }
    }

    func encode(_ text: SplitText, into ids: inout [UInt32]) throws {
      switch self {
      case .bytePair(let model):
        var scratch = BytePairModel.Scratch()
        for piece in text.pieces { model.encode(text.bytes, piece, into: &ids, &scratch) }
      case .scoredMerges(let model):
        for piece in text.pieces { model.encode(text.bytes, piece, into: &ids) }
      case .unigram(let model):
        for piece in text.pieces { try model.encode(text.bytes, piece, into: &ids) }
      }
    }
  }

  var normalizer: Normalizer?
  var preTokenizer: PreTokenizer?
  var model: Model
  var added: AddedTokens
  var postProcessor: PostProcessor
  var decoder: DecoderChain

  // MARK: encoding

  /// The ids of a text. Special tokens that are spelled in the text are recognised.
  ///
  /// - Parameter addSpecialTokens: whether the post-processor adds its tokens, such as the one that
  ///   begins a text.
  /// - Throws: `TokenizerError` when a split expression exceeds its limits or a character cannot be
  ///   represented.
  package func encode(_ text: String, addSpecialTokens: Bool = true) throws -> [TokenID] {
    var ids: [UInt32] = []
    let bytes = Array(text.utf8)
    for section in added.sections(ofRaw: bytes) {
      switch section {
      case .token(let id): ids.append(id)
      case .text(let range):
        try encode(Array(bytes[range]), startsInput: range.lowerBound == 0, into: &ids)
      }
    }
    let all = addSpecialTokens ? postProcessor.apply(ids) : ids
    return all.map { TokenID($0) }
  }

  private func encode(_ section: [UInt8], startsInput: Bool, into ids: inout [UInt32]) throws {
    let normalized = try normalizer?.apply(section) ?? section
    for part in added.sections(ofNormalized: normalized) {
      switch part {
      case .token(let id): ids.append(id)
      case .text(let range):
        let isWhole = range == normalized.indices
        var split = SplitText(
          isWhole ? normalized : Array(normalized[range]),
          startsInput: startsInput && range.lowerBound == 0)
        try preTokenizer?.apply(&split)
        try model.encode(split, into: &ids)
      }
    }
  }

  // MARK: decoding

  /// The text of some tokens. Ids that no token has are left out, as in the library.
  ///
  /// - Throws: `TokenizerError` when an expression of the decoder exceeds its limits.
  package func decode(_ ids: [TokenID], skipSpecialTokens: Bool = true) throws -> String {
    var chain = decoder
    var text: [UInt8] = []
    for id in ids {
      guard let token = tokenContent(id), !(skipSpecialTokens && added.isSpecial(token)) else {
        continue
      }
      text += try chain.push(token)
    }
    text += try chain.finish()
    return String(decoding: text, as: UTF8.self)
  }

  /// A decoder for tokens as they are generated.
  package func streamingDetokenizer(skipSpecialTokens: Bool = true) -> StreamingDetokenizer {
    StreamingDetokenizer(tokenizer: self, skipsSpecialTokens: skipSpecialTokens)
  }

  // MARK: vocabulary

  /// One more than the largest id.
  package var vocabularySize: Int {
    max(model.vocabulary.idBound, (added.tokenOf.keys.max().map { Int($0) } ?? -1) + 1)
  }

  /// The id of a token as the vocabulary spells it; nil for an unknown one.
  package func id(of token: String) -> TokenID? {
    let bytes = Array(token.utf8)
    return (added.idOf[bytes] ?? model.vocabulary.id(of: bytes)).map { TokenID($0) }
  }

  /// A token as the vocabulary spells it; nil for an id that no token has.
  package func token(_ id: TokenID) -> String? {
    tokenContent(id).map { String(decoding: $0, as: UTF8.self) }
  }

  /// Whether a token is left out when decoding without special tokens.
  package func isSpecial(_ id: TokenID) -> Bool {
    tokenContent(id).map { added.isSpecial($0) } ?? false
  }

  /// The bytes that a token contributes in the middle of a text: a part of a character for some,
  /// empty for an id that no token has. Special tokens give their own spelling.
  package func tokenBytes(_ id: TokenID) -> [UInt8] {
    guard let token = tokenContent(id) else { return [] }
    if added.isSpecial(token) { return token }
    return (try? decoder.rawBytes(of: token)) ?? token
  }

  /// Whether a token is a single byte that stands in for a part of a character (`<0xNN>`). Where
  /// such tokens follow one another, decoding makes text of all of them or U+FFFD of each.
  package func isFallbackByte(_ id: TokenID) -> Bool {
    guard let token = tokenContent(id), !added.isSpecial(token) else { return false }
    return decoder.isFallbackByte(token)
  }

  func tokenContent(_ id: TokenID) -> [UInt8]? {
    guard let id = UInt32(exactly: id) else { return nil }
    return added.spellingOf[id] ?? model.vocabulary.token(id)
  }
}

/// Turns generated tokens into text piece by piece.
///
/// A piece never splits a character: what is not certain yet is held back until a later token or
/// `finish` settles it. The pieces joined are exactly what `Tokenizer.decode` gives for all ids.
package struct StreamingDetokenizer: Sendable {
  private let tokenizer: Tokenizer
  private let skipsSpecialTokens: Bool
  private var chain: DecoderChain

  init(tokenizer: Tokenizer, skipsSpecialTokens: Bool) {
    self.tokenizer = tokenizer
    self.skipsSpecialTokens = skipsSpecialTokens
    chain = tokenizer.decoder
  }

  /// The text that a further token makes certain, often empty.
  ///
  /// Throws: `TokenizerError` when an expression of the decoder exceeds its limits.
  package mutating func push(_ id: TokenID) throws -> String {
    guard let token = tokenizer.tokenContent(id),
      !(skipsSpecialTokens && tokenizer.added.isSpecial(token))
    else { return "" }
    return String(decoding: try chain.push(token), as: UTF8.self)
  }

  /// The rest: an incomplete character becomes U+FFFD. The value must not be used afterwards.
  package mutating func finish() throws -> String {
    String(decoding: try chain.finish(), as: UTF8.self)
  }
}
