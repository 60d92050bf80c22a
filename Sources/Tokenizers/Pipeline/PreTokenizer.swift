import ModelFormats

/// A text cut into the pieces that the model encodes one by one.
struct SplitText: Sendable {
  /// Valid UTF-8; pieces are ranges of it, in order.
  var bytes: [UInt8]
  var pieces: [Range<Int>]
  /// Whether the first piece begins where the whole input began.
  var startsInput: Bool

  init(_ bytes: [UInt8], startsInput: Bool) {
    self.bytes = bytes
    pieces = bytes.isEmpty ? [] : [bytes.indices]
    self.startsInput = startsInput
  }

  /// Cuts every piece.
  mutating func split(_ cut: ([UInt8], Range<Int>) throws -> [Range<Int>]) rethrows {
    let first = pieces.first?.lowerBound
    var result: [Range<Int>] = []
    result.reserveCapacity(pieces.count)
    for piece in pieces { result.append(contentsOf: try cut(bytes, piece)) }
    if result.first?.lowerBound != first { startsInput = false }
    pieces = result
  }

  /// Rewrites every piece; `rewrite` appends the new bytes. Its last argument is true for a first
  /// piece that starts the input.
  mutating func rewrite(_ rewrite: (ArraySlice<UInt8>, inout [UInt8], Bool) -> Void) {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count + bytes.count / 4)
    for index in pieces.indices {
      let start = result.count
      rewrite(bytes[pieces[index]], &result, index == 0 && startsInput)
      pieces[index] = start..<result.count
    }
    bytes = result
  }
}

/// How a tokenizer cuts a normalized text into pieces.
indirect enum PreTokenizer: Sendable {
  case sequence([PreTokenizer])
  case byteLevel(addPrefixSpace: Bool, usesExpression: Bool)
  case split(TextPattern, SplitBehavior, inverted: Bool)
  case scalars(ScalarSet, SplitBehavior)
  case metaspace(Metaspace)
  case words
  case fixedLength(Int)

  /// - Parameter json: the `pre_tokenizer` member of a tokenizer file.
  /// - Throws: `TokenizerError` for a kind or a setting that is unknown.
  init(_ json: JSONValue) throws {
    let type = json["type"]?.stringValue ?? ""
    switch type {
    case "Sequence":
      let members = json["pretokenizers"]?.arrayValue ?? []
      self = .sequence(try members.map { try PreTokenizer($0) })
    case "ByteLevel":
      self = .byteLevel(
        addPrefixSpace: json["add_prefix_space"]?.boolValue ?? true,
        usesExpression: json["use_regex"]?.boolValue ?? true)
    case "Split":
      self = .split(
        try TextPattern(json["pattern"]), try SplitBehavior(json["behavior"]),
        inverted: json["invert"]?.boolValue ?? false)
    case "Digits":
      let individual = json["individual_digits"]?.boolValue ?? false
      self = .scalars(UnicodeClasses.numbers, individual ? .isolated : .contiguous)
    case "Punctuation":
      let behavior = try json["behavior"].map { try SplitBehavior($0) } ?? .isolated
      self = .scalars(UnicodeClasses.asciiOrPunctuation, behavior)
    case "WhitespaceSplit": self = .scalars(UnicodeClasses.whiteSpace, .removed)
    case "BertPreTokenizer":
      self = .sequence([
        .scalars(UnicodeClasses.whiteSpace, .removed),
        .scalars(UnicodeClasses.asciiOrPunctuation, .isolated),
      ])
    case "Whitespace": self = .words
    case "Metaspace": self = .metaspace(try Metaspace(json))
    case "CharDelimiterSplit":
      self = .split(
        .literal(try requiredBytes(json, "delimiter")), .removed, inverted: false)
    case "FixedLength": self = .fixedLength(max(1, json["length"]?.intValue ?? 5))
    default:
      throw TokenizerError(.unsupported, place: "pre_tokenizer", "type \(quoted(type))")
    }
  }

  /// Throws: `TokenizerError` when an expression exceeds its limits.
  func apply(_ text: inout SplitText) throws {
    switch self {
    case .sequence(let steps): for step in steps { try step.apply(&text) }
    case .byteLevel(let addPrefixSpace, let usesExpression):
      try byteLevel(&text, addPrefixSpace, usesExpression)
    case .split(let pattern, let behavior, let inverted):
      let matches = pattern.pieceMatcher()
      try text.split { bytes, piece in
        behavior.split(piece, at: try matches(bytes, piece), inverted: inverted)
      }
    case .scalars(let set, let behavior):
      text.split { bytes, piece in behavior.split(piece, at: scalars(of: set, in: bytes, piece)) }
    case .metaspace(let metaspace): metaspace.apply(&text)
    case .words:
      let pattern = try Self.wordPattern.get()
      try text.split { bytes, piece in try pattern.matches(in: bytes, piece) }
    case .fixedLength(let length): text.split { chunks($0, $1, length) }
    }
  }

  private func byteLevel(
    _ text: inout SplitText, _ addPrefixSpace: Bool, _ usesExpression: Bool
  ) throws {
    if addPrefixSpace {
      text.rewrite { piece, result, _ in
        if piece.first != 0x20 { result.append(0x20) }
        result.append(contentsOf: piece)
      }
    }
    if usesExpression {
      let pattern = try Self.gpt2Pattern.get()
      let matcher = pattern.matcher()
      try text.split { bytes, piece in
        SplitBehavior.isolated.split(
          piece, at: try pattern.matches(in: bytes, piece, with: matcher))
      }
    }
    ByteAlphabet.spell(&text)
  }

  private func scalars(of set: ScalarSet, in bytes: [UInt8], _ piece: Range<Int>) -> [Range<Int>] {
    var found: [Range<Int>] = []
    var position = piece.lowerBound
    while position < piece.upperBound {
      let (scalar, length) = decodeScalar(bytes, at: position)
      if set.contains(scalar) { found.append(position..<position + length) }
      position += length
    }
    return found
  }

  private func chunks(_ bytes: [UInt8], _ piece: Range<Int>, _ length: Int) -> [Range<Int>] {
    var result: [Range<Int>] = []
    var start = piece.lowerBound
    var position = start
    var count = 0
    while position < piece.upperBound {
      position += decodeScalar(bytes, at: position).length
      count += 1
      if count == length || position == piece.upperBound {
        result.append(start..<position)
        start = position
        count = 0
      }
    }
    return result
  }

  /// GPT-2's expression, which `ByteLevel` implies.
  static let gpt2Expression =
    #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
  private static let gpt2Pattern = Result { try SplitPattern(gpt2Expression) }
  /// Rust's `\w+|[^\w\s]+`; its `\w` is not Oniguruma's.
  private static let wordPattern = Result {
    let word = #"\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200c}\x{200d}"#
    return try SplitPattern("[\(word)]+|[^\(word)\\s]+")
  }
}

/// SentencePiece's visible space: blanks become `▁` and words begin with it.
struct Metaspace: Sendable {
  enum PrependScheme: String, Sendable {
    case first, always, never
  }

  var replacement: [UInt8]
  var prepends: PrependScheme
  var splits: Bool

  /// - Parameter json: a `Metaspace` pre-tokenizer or decoder, in its old or its new spelling.
  init(_ json: JSONValue) throws {
    replacement = try requiredBytes(json, "replacement")
    guard !replacement.isEmpty else {
      throw TokenizerError(.malformed, place: "replacement", "empty")
    }
    let scheme = json["prepend_scheme"]?.stringValue
    guard let prepends = PrependScheme(rawValue: scheme ?? "always") else {
      throw TokenizerError(.malformed, place: "prepend_scheme", "unknown scheme")
    }
    let addsPrefix = json["add_prefix_space"]?.boolValue ?? true
    self.prepends = addsPrefix ? prepends : .never
    splits = json["split"]?.boolValue ?? true
  }

  func apply(_ text: inout SplitText) {
    text.rewrite { piece, result, startsInput in
      let changed = replacing([0x20], with: replacement, in: Array(piece))
      let wantsPrefix = prepends == .always || (prepends == .first && startsInput)
      if wantsPrefix, !changed.starts(with: replacement) {
        result.append(contentsOf: replacement)
      }
      result.append(contentsOf: changed)
    }
    guard splits else { return }
    text.split { bytes, piece in
      SplitBehavior.mergedWithNext.split(piece, at: occurrences(of: replacement, in: bytes, piece))
    }
  }
}
