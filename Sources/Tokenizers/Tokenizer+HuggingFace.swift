import Foundation
import ModelFormats

extension Tokenizer {
  /// A tokenizer file larger than this is refused; the largest published ones have some 35 MB.
  package static let fileLimitBytes = 512 << 20

  /// Loads a Hugging Face `tokenizer.json`.
  ///
  /// Padding and truncation in the file are not applied: they belong to the caller.
  ///
  /// - Throws: `TokenizerError` naming the file, the member and the reason.
  package init(huggingFaceFile path: String) throws {
    self = try Tokenizer(
      huggingFaceJSON: try readFile(path, limit: Self.fileLimitBytes), file: path)
  }

  /// Parses the bytes of a `tokenizer.json`; `file` is the name that errors carry.
  package init(huggingFaceJSON bytes: [UInt8], file: String) throws {
    do {
      let parts = try HuggingFaceFile(bytes, file: file)
      let normalizer = try parts.member("normalizer").map { try Normalizer($0) }
      let preTokenizer = try parts.member("pre_tokenizer").map { try PreTokenizer($0) }
      let postProcessor = try parts.member("post_processor").map { try PostProcessor($0) }
      let decoder = try parts.member("decoder").map { try DecoderChain($0) }
      let (model, modelSize) = try parts.model()
      var added = AddedTokens()
      let tokens = try parts.addedTokens()
      try added.add(tokens, vocabulary: model.vocabulary, modelSize: modelSize)
      try added.prepare(normalizer)
      self.init(
        normalizer: normalizer, preTokenizer: preTokenizer, model: model, added: added,
        postProcessor: postProcessor ?? PostProcessor(), decoder: decoder ?? DecoderChain())
    } catch let error as TokenizerError {
      throw error.inFile(file)
    } catch let error as FormatError {
      throw TokenizerError(error)
    }
  }
}

/// Reads a file whole. Throws: `TokenizerError` when it cannot be read or is larger than `limit`
/// bytes.
func readFile(_ path: String, limit: Int) throws -> [UInt8] {
  do {
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    if let size = attributes[.size] as? NSNumber, size.intValue > limit {
      throw TokenizerError(.limitExceeded, file: path, "larger than \(limit) bytes")
    }
    return Array(try Data(contentsOf: URL(fileURLWithPath: path)))
  } catch let error as TokenizerError {
    throw error
  } catch {
    throw TokenizerError(.unreadable, file: path, "cannot be read")
  }
}

/// A `tokenizer.json` taken apart: small members as trees, the vocabulary and the merges as places
/// in the bytes.
private struct HuggingFaceFile {
  private var members = JSONMembers()
  private var modelMembers = JSONMembers()
  private var vocabulary: JSONReader?
  private var merges: JSONReader?

  init(_ bytes: [UInt8], file: String) throws {
    var reader = try JSONReader(bytes, file: file, rules: .lenient)
    try reader.readObject { reader, key in
      if key == "model", reader.peek() == UInt8(ascii: "{") {
        try readModel(&reader)
      } else {
        members[key] = try reader.readValue()
      }
    }
    try reader.finish()
  }

  private mutating func readModel(_ reader: inout JSONReader) throws {
    try reader.readObject { reader, key in
      switch key {
      case "vocab":
        vocabulary = reader
        try reader.skipValue()
      case "merges":
        merges = reader
        try reader.skipValue()
      default: modelMembers[key] = try reader.readValue()
      }
    }
  }

  /// A member of the document that is present and not null.
  func member(_ key: String) -> JSONValue? {
    members[key].flatMap { $0.isNull ? nil : $0 }
  }

  // MARK: added tokens

  func addedTokens() throws -> [AddedToken] {
    try (member("added_tokens")?.arrayValue ?? []).map { json in
      let flag = { (key: String, value: Bool) in json[key]?.boolValue ?? value }
      let isSpecial = flag("special", false)
      return AddedToken(
        content: try requiredBytes(json, "content"), isSingleWord: flag("single_word", false),
        stripsLeft: flag("lstrip", false), stripsRight: flag("rstrip", false),
        isNormalized: flag("normalized", !isSpecial), isSpecial: isSpecial)
    }
  }

  // MARK: models

  /// The model and the number of tokens that it counts, from which ids of added tokens go on.
  func model() throws -> (Tokenizer.Model, size: Int) {
    guard let vocabulary else {
      throw TokenizerError(.malformed, place: "model.vocab", "missing")
    }
    var reader = vocabulary
    let isList = reader.peek() == UInt8(ascii: "[")
    let type = modelMembers["type"]?.stringValue ?? (isList ? "Unigram" : "BPE")
    do {
      switch type {
      case "BPE": return try bytePairModel(vocabulary)
      case "Unigram": return try unigramModel(vocabulary)
      default: throw TokenizerError(.unsupported, place: "type", "model \(quoted(type))")
      }
    } catch let error as TokenizerError {
      throw error.inMember("model")
    } catch let error as FormatError {
      throw TokenizerError(error).inMember("model")
    }
  }

  private func bytePairModel(_ vocabulary: JSONReader) throws -> (Tokenizer.Model, size: Int) {
    if let dropout = modelMembers["dropout"]?.doubleValue, dropout != 0 {
      throw TokenizerError(.unsupported, place: "dropout", "must be null or 0")
    }
    var table = TokenTable(minimumCapacity: 1 << 16)
    var reader = vocabulary
    try reader.readObjectBytes { reader, token in
      guard let id = try reader.readNumber().intValue else { throw reader.error("not an id") }
      try table.insert(token, id: id)
    }
    let prefix = Array((modelMembers["continuing_subword_prefix"]?.stringValue ?? "").utf8)
    let merges = try self.merges.map { try mergeTable($0, table, prefix) }
    var model = BytePairModel(
      vocabulary: table, merges: merges ?? MergeTable(minimumCapacity: 0))
    model.continuingPrefix = prefix
    model.endOfWordSuffix = Array((modelMembers["end_of_word_suffix"]?.stringValue ?? "").utf8)
    model.byteFallback = modelMembers["byte_fallback"]?.boolValue ?? false
    model.fusesUnknown = modelMembers["fuse_unk"]?.boolValue ?? false
    model.ignoresMerges = modelMembers["ignore_merges"]?.boolValue ?? false
    if let unknown = modelMembers["unk_token"]?.stringValue {
      // The library only complains when an unknown character comes; without the token it is
      // dropped.
      model.unknownToken = table.id(of: unknown)
    }
    model.prepare()
    return (.bytePair(model), table.count)
  }

  private func mergeTable(
    _ position: JSONReader, _ vocabulary: TokenTable, _ prefix: [UInt8]
  ) throws -> MergeTable {
    var merges = MergeTable(minimumCapacity: vocabulary.count)
    var reader = position
    var rank: UInt32 = 0
    var left: [UInt8] = []
    var right: [UInt8] = []
    try reader.readArray { reader in
      left.removeAll(keepingCapacity: true)
      right.removeAll(keepingCapacity: true)
      if reader.peek() == UInt8(ascii: "[") {
        try Self.readPair(&reader, &left, &right)
      } else {
        try reader.readString(into: &left)
        if left.starts(with: Array("#version".utf8)) { return }
        try Self.splitPair(&left, &right, reader)
      }
      guard let leftID = vocabulary.id(of: left), let rightID = vocabulary.id(of: right),
        right.count >= prefix.count,
        let id = vocabulary.id(of: left + right.dropFirst(prefix.count))
      else {
        let pair = excerpt(String(decoding: left + [0x20] + right, as: UTF8.self))
        throw TokenizerError(
          .malformed, place: "merges[\(rank)]", "\"\(pair)\" is not in the vocabulary")
      }
      try merges.insert(leftID, rightID, MergeTable.Merge(rank: rank, id: id))
      rank += 1
    }
    return merges
  }

  private static func readPair(
    _ reader: inout JSONReader, _ left: inout [UInt8], _ right: inout [UInt8]
  ) throws {
    var count = 0
    try reader.readArray { reader in
      count += 1
      switch count {
      case 1: try reader.readString(into: &left)
      case 2: try reader.readString(into: &right)
      default: throw reader.error("a merge is not a pair")
      }
    }
    guard count == 2 else { throw reader.error("a merge is not a pair") }
  }

  private static func splitPair(
    _ left: inout [UInt8], _ right: inout [UInt8], _ reader: JSONReader
  ) throws {
    guard let blank = left.firstIndex(of: 0x20), !left[(blank + 1)...].contains(0x20) else {
      throw reader.error("a merge is not a pair")
    }
    right.append(contentsOf: left[(blank + 1)...])
    left.removeSubrange(blank...)
  }

  private func unigramModel(_ vocabulary: JSONReader) throws -> (Tokenizer.Model, size: Int) {
    var table = TokenTable(minimumCapacity: 1 << 16)
    var scores: [Double] = []
    var reader = vocabulary
    try reader.readArray { reader in
      var token: [UInt8] = []
      var count = 0
      try reader.readArray { reader in
        count += 1
        if count == 1 {
          try reader.readString(into: &token)
        } else {
          guard let score = try reader.readNumber().doubleValue else {
            throw reader.error("not a score")
          }
          scores.append(score)
        }
      }
      guard count == 2 else { throw reader.error("an entry is not a token and its score") }
      try table.insert(token, id: scores.count - 1)
    }
    let unknown = modelMembers["unk_id"]?.intValue
    if let unknown, unknown < 0 || unknown >= scores.count {
      throw TokenizerError(.malformed, place: "unk_id", "beyond the vocabulary")
    }
    let model = UnigramModel(
      vocabulary: table, scores: scores, unknownToken: unknown.map { UInt32($0) },
      byteFallback: modelMembers["byte_fallback"]?.boolValue ?? false)
    return (.unigram(model), scores.count)
  }
}
