import Foundation
import ModelFormats

/// What a GGUF file says about its tokenizer (keys `tokenizer.ggml.*`), as plain values.
package struct GGUFTokenizerDescription: Sendable {
  /// Kinds of tokens (llama.cpp, `llama_token_type`).
  package enum TokenType: Int, Sendable {
    case undefined = 0
    case normal, unknown, control, userDefined, unused, byte
  }

  /// `llama` for SentencePiece's byte-pair encoding with scores, `gpt2` for byte-level merges.
  package var model: String
  /// The name of the split expressions.
  package var preTokenizer: String?
  package var tokens: [String]
  package var scores: [Double]
  package var types: [Int]
  package var merges: [String]
  package var beginningID: Int?
  package var endID: Int?
  package var unknownID: Int?
  package var addsBeginning: Bool?
  package var addsEnd: Bool?
  package var addsSpacePrefix: Bool?
  /// Ids of further tokens that end a turn (`eot_token_id`, `eom_token_id`).
  package var turnEndIDs: [Int] = []
  /// Special tokens by the names that chat templates know.
  package var specialIDs: [(name: String, id: Int)] = []
  /// `tokenizer.chat_template`.
  package var chatTemplate: String?

  package init(
    model: String, preTokenizer: String? = nil, tokens: [String], scores: [Double] = [],
    types: [Int] = [], merges: [String] = []
  ) {
    self.model = model
    self.preTokenizer = preTokenizer
    self.tokens = tokens
    self.scores = scores
    self.types = types
    self.merges = merges
  }

  /// Throws: `TokenizerError` when the file names no tokenizer or no tokens.
  package init(_ file: GGUFFile) throws {
    func value(_ key: String) -> GGUFValue? { file.metadata["tokenizer.ggml.\(key)"] }
    guard let model = value("model")?.stringValue else {
      throw TokenizerError(
        .malformed, file: file.name, place: "tokenizer.ggml.model", "missing: no tokenizer")
    }
    guard let tokens = value("tokens")?.stringsValue else {
      throw TokenizerError(.malformed, file: file.name, place: "tokenizer.ggml.tokens", "missing")
    }
    self.init(
      model: model, preTokenizer: value("pre")?.stringValue, tokens: tokens,
      scores: value("scores")?.doublesValue ?? [], types: value("token_type")?.intsValue ?? [],
      merges: value("merges")?.stringsValue ?? [])
    beginningID = value("bos_token_id")?.intValue
    endID = value("eos_token_id")?.intValue
    turnEndIDs = ["eot_token_id", "eom_token_id"].compactMap { value($0)?.intValue }
    unknownID = value("unknown_token_id")?.intValue
    // One name is misspelt in the files of older converters.
    specialIDs = [
      ("bos_token", "bos_token_id"), ("eos_token", "eos_token_id"),
      ("unk_token", "unknown_token_id"), ("sep_token", "seperator_token_id"),
      ("sep_token", "separator_token_id"), ("pad_token", "padding_token_id"),
      ("cls_token", "cls_token_id"), ("mask_token", "mask_token_id"),
    ].compactMap { name, key in value(key)?.intValue.map { (name: name, id: $0) } }
    addsBeginning = value("add_bos_token")?.boolValue
    addsEnd = value("add_eos_token")?.boolValue
    addsSpacePrefix = value("add_space_prefix")?.boolValue
    chatTemplate = file.metadata["tokenizer.chat_template"]?.stringValue
  }

  func type(of id: Int) -> TokenType {
    id < types.count ? TokenType(rawValue: types[id]) ?? .undefined : .normal
  }

  /// A token id from the file, if it names a token.
  func checkedID(_ id: Int?) -> UInt32? {
    guard let id, tokens.indices.contains(id) else { return nil }
    return UInt32(id)
  }
}

extension Tokenizer {
  /// Builds the tokenizer that a GGUF file describes; `file` is the name that errors carry.
  ///
  /// - Throws: `TokenizerError` for an unknown kind or malformed contents.
  package init(gguf description: GGUFTokenizerDescription, file: String) throws {
    do {
      guard description.tokens.count <= TokenTable.idLimit else {
        throw TokenizerError(.limitExceeded, place: "tokenizer.ggml.tokens", "too many tokens")
      }
      switch description.model {
      case "gpt2": try self.init(byteLevelGGUF: description)
      case "llama": try self.init(scoredGGUF: description)
      default:
        throw TokenizerError(
          .unsupported, place: "tokenizer.ggml.model", quoted(description.model))
      }
    } catch let error as TokenizerError {
      throw error.inFile(file)
    }
  }

  private init(byteLevelGGUF description: GGUFTokenizerDescription) throws {
    let name = description.preTokenizer ?? "default"
    guard let split = SplitExpressions.named(name) else {
      throw TokenizerError(.unsupported, place: "tokenizer.ggml.pre", quoted(name))
    }
    let vocabulary = try Self.table(description)
    var model = BytePairModel(
      vocabulary: vocabulary, merges: try Self.merges(description, vocabulary))
    model.ignoresMerges = split.ignoresMerges
    model.prepare()
    let normalizer = split.normalization.map { Normalizer.form($0) }
    let steps = try split.expressions.map {
      PreTokenizer.split(.expression(try SplitPattern($0)), .isolated, inverted: false)
    }
    self.init(
      normalizer: normalizer,
      preTokenizer: .sequence(steps + [.byteLevel(addPrefixSpace: false, usesExpression: false)]),
      model: .bytePair(model), added: try Self.addedTokens(description, vocabulary),
      postProcessor: Self.postProcessor(description, begins: split.addsBeginning),
      decoder: DecoderChain([.byteLevel]))
  }

  private init(scoredGGUF description: GGUFTokenizerDescription) throws {
    let vocabulary = try Self.table(description)
    guard description.scores.count == description.tokens.count else {
      throw TokenizerError(.malformed, place: "tokenizer.ggml.scores", "not one for each token")
    }
    let model = ScoredMergeModel(
      vocabulary: vocabulary, scores: description.scores.map { Float($0) },
      byteTokens: (0..<256).map { vocabulary.id(of: byteTokenName(UInt8($0))) },
      unknownToken: description.checkedID(description.unknownID))
    let space = Array("\u{2581}".utf8)
    let prefixes = description.addsSpacePrefix ?? true
    let replace = Normalizer.replace(.literal([0x20]), space)
    var stages: [DecoderStage.Kind] = [.replace(.literal(space), [0x20]), .byteFallback, .fuse]
    if prefixes { stages.append(.strip(" ", start: 1, stop: 0)) }
    let normalizer = prefixes ? Normalizer.sequence([.prepend(space), replace]) : replace
    self.init(
      normalizer: normalizer, preTokenizer: nil, model: .scoredMerges(model),
      added: try Self.addedTokens(description, vocabulary),
      postProcessor: Self.postProcessor(description, begins: true), decoder: DecoderChain(stages))
  }

  private static func table(_ description: GGUFTokenizerDescription) throws -> TokenTable {
    var table = TokenTable(minimumCapacity: description.tokens.count)
    for (id, token) in description.tokens.enumerated() {
      // Of two equal tokens the first is the one that texts become.
      try table.insert(Array(token.utf8), id: id, replacesID: false)
    }
    return table
  }

  private static func merges(
    _ description: GGUFTokenizerDescription, _ vocabulary: TokenTable
  ) throws -> MergeTable {
    var merges = MergeTable(minimumCapacity: description.merges.count)
    for (rank, text) in description.merges.enumerated() {
      let pair = Array(text.utf8)
      guard let blank = pair.firstIndex(of: 0x20),
        let left = vocabulary.id(of: Array(pair[..<blank])),
        let right = vocabulary.id(of: Array(pair[(blank + 1)...])),
        let id = vocabulary.id(of: Array(pair[..<blank] + pair[(blank + 1)...]))
      else {
        // llama.cpp matches merges by their text and so never uses such a one.
        continue
      }
      try merges.insert(left, right, MergeTable.Merge(rank: UInt32(rank), id: id))
    }
    return merges
  }

  /// Control tokens are special; both they and user-defined ones are found before the model sees
  /// the text.
  private static func addedTokens(
    _ description: GGUFTokenizerDescription, _ vocabulary: TokenTable
  ) throws -> AddedTokens {
    let tokens = description.tokens.enumerated().compactMap { id, token -> AddedToken? in
      let type = description.type(of: id)
      let isUnknown = type == .unknown
      guard type == .control || type == .userDefined || isUnknown else { return nil }
      return AddedToken(
        content: Array(token.utf8), isNormalized: false, isSpecial: type != .userDefined)
    }
    var added = AddedTokens()
    try added.add(tokens, vocabulary: vocabulary, modelSize: description.tokens.count)
    try added.prepare(nil)
    return added
  }

  private static func postProcessor(
    _ description: GGUFTokenizerDescription, begins: Bool
  ) -> PostProcessor {
    PostProcessor(
      before: description.addsBeginning ?? begins
        ? description.checkedID(description.beginningID) : nil,
      after: description.addsEnd ?? false ? description.checkedID(description.endID) : nil)
  }
}
