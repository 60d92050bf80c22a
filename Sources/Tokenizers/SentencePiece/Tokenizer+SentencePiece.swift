extension Tokenizer {
  /// Loads a SentencePiece `.model` file, as Llama's, Mistral's and Gemma's first publications have
  /// it. The token that begins a text is added where the file has one, as transformers does for
  /// these families; control tokens are recognised in texts.
  ///
  /// - Throws: `TokenizerError` naming the file and the reason.
  package init(sentencePieceFile path: String) throws {
    self = try Tokenizer(
      sentencePiece: try readFile(path, limit: Self.fileLimitBytes), file: path)
  }

  /// Parses the bytes of a `.model` file; `file` is the name that errors carry.
  package init(sentencePiece bytes: [UInt8], file: String) throws {
    do {
      try self.init(try SentencePieceFile(bytes))
    } catch let error as TokenizerError {
      throw error.inFile(file)
    }
  }

  private init(_ file: SentencePieceFile) throws {
    var vocabulary = TokenTable(minimumCapacity: file.pieces.count)
    for (id, piece) in file.pieces.enumerated() {
      try vocabulary.insert(piece.text, id: id, replacesID: false)
    }
    // Texts do not become these, though they may spell them.
    let excluded = Set(
      file.pieces.indices.filter {
        ![.normal, .userDefined].contains(file.pieces[$0].type)
      }.map { UInt32($0) })
    let unknown = file.pieces.firstIndex { $0.type == .unknown }.map { UInt32($0) }
    let model: Model
    switch file.model {
    case .bytePair:
      var merges = ScoredMergeModel(
        vocabulary: vocabulary, scores: file.pieces.map(\.score),
        byteTokens: (0..<256).map {
          file.hasByteFallback ? vocabulary.id(of: byteTokenName(UInt8($0))) : nil
        }, unknownToken: unknown)
      (merges.excluded, merges.fusesUnknown) = (excluded, true)
      model = .scoredMerges(merges)
    case .unigram:
      let usable = file.pieces.filter { $0.type == .normal }.map(\.score)
      var unigram = UnigramModel(
        vocabulary: vocabulary, scores: file.pieces.map { Double($0.score) },
        unknownToken: unknown, byteFallback: file.hasByteFallback,
        lowestScore: Double(usable.min() ?? 0))
      unigram.excluded = excluded
      model = .unigram(unigram)
    }
    let tokens = file.pieces.compactMap { piece -> AddedToken? in
      switch piece.type {
      case .normal, .unused, .byte: return nil
      case .control, .unknown:
        return AddedToken(content: piece.text, isNormalized: false, isSpecial: true)
      case .userDefined:
        return AddedToken(content: piece.text, isNormalized: false, isSpecial: false)
      }
    }
    var added = AddedTokens()
    try added.add(tokens, vocabulary: vocabulary, modelSize: file.pieces.count)
    try added.prepare(nil)
    let blank = SentencePieceNormalizer.blank
    var stages: [DecoderStage.Kind] = [.replace(.literal(blank), [0x20]), .byteFallback, .fuse]
    let leading = file.removesExtraBlanks ? Int.max : file.addsPrefix ? 1 : 0
    if leading > 0 { stages.append(.strip(" ", start: leading, stop: 0)) }
    self.init(
      normalizer: .sentencePiece(try SentencePieceNormalizer(file)), preTokenizer: nil,
      model: model, added: added,
      postProcessor: PostProcessor(before: file.beginningID.map { UInt32($0) }, after: nil),
      decoder: DecoderChain(stages))
  }
}
