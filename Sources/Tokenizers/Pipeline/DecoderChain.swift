import ModelFormats

/// The decoder of a tokenizer: tokens in, text out.
struct DecoderChain: Sendable {
  private(set) var stages: [DecoderStage]

  /// Without a decoder in the file, tokens are joined by blanks.
  init() { stages = [DecoderStage(.joinedByBlanks, isFused: false)] }

  init(_ kinds: [DecoderStage.Kind]) {
    stages = []
    for kind in kinds {
      stages.append(DecoderStage(kind, isFused: stages.last?.fuses ?? false))
    }
  }

  /// - Parameter json: the `decoder` member of a tokenizer file.
  /// - Throws: `TokenizerError` for a kind or a setting that is unknown.
  init(_ json: JSONValue) throws { self.init(try Self.kinds(json)) }

  private static func kinds(_ json: JSONValue) throws -> [DecoderStage.Kind] {
    let type = json["type"]?.stringValue ?? ""
    switch type {
    case "Sequence": return try (json["decoders"]?.arrayValue ?? []).flatMap { try kinds($0) }
    case "ByteLevel": return [.byteLevel]
    case "ByteFallback": return [.byteFallback]
    case "Fuse": return [.fuse]
    case "Replace":
      return [.replace(try TextPattern(json["pattern"]), try requiredBytes(json, "content"))]
    case "Strip":
      let content = String(decoding: try requiredBytes(json, "content"), as: UTF8.self)
      guard let scalar = content.unicodeScalars.first, content.unicodeScalars.count == 1 else {
        throw TokenizerError(.malformed, place: "content", "not one character")
      }
      let start = min(max(json["start"]?.intValue ?? 0, 0), 1 << 20)
      let stop = min(max(json["stop"]?.intValue ?? 0, 0), 1 << 20)
      return [.strip(scalar, start: start, stop: stop)]
    case "Metaspace": return [.metaspace(try Metaspace(json))]
    case "WordPiece":
      return [
        .wordPiece(
          prefix: Array((json["prefix"]?.stringValue ?? "##").utf8),
          cleansUp: json["cleanup"]?.boolValue ?? true)
      ]
    case "BPEDecoder": return [.suffix(Array((json["suffix"]?.stringValue ?? "</w>").utf8))]
    default: throw TokenizerError(.unsupported, place: "decoder", "type \(quoted(type))")
    }
  }

  /// Takes one token and gives the text that is certain by now.
  mutating func push(_ token: [UInt8]) throws -> [UInt8] {
    if stages.count == 1 {
      // The byte-level decoder stands alone in most files.
      var output: [[UInt8]] = []
      try stages[0].push(token, into: &output)
      return output.count == 1 ? output[0] : output.joinedBytes
    }
    return try run([token], from: 0).joinedBytes
  }

  /// The rest of the text.
  mutating func finish() throws -> [UInt8] {
    var text: [UInt8] = []
    for index in stages.indices {
      var output: [[UInt8]] = []
      try stages[index].finish(into: &output)
      text += try run(output, from: index + 1).joinedBytes
    }
    return text
  }

  private mutating func run(_ tokens: [[UInt8]], from first: Int) throws -> [[UInt8]] {
    var current = tokens
    for index in stages.indices.dropFirst(first) {
      var output: [[UInt8]] = []
      for token in current { try stages[index].push(token, into: &output) }
      current = output
    }
    return current
  }

  /// Whether a token is one byte of a run that is text only as a whole.
  func isFallbackByte(_ token: [UInt8]) -> Bool {
    guard byteOfToken(token) != nil else { return false }
    return stages.contains { if case .byteFallback = $0.kind { true } else { false } }
  }

  /// The bytes that a token contributes in the middle of a text.
  func rawBytes(of token: [UInt8]) throws -> [UInt8] {
    var bytes = token
    for stage in stages {
      switch stage.kind {
      case .replace(let pattern, let content):
        bytes = try pattern.replacing(in: bytes, with: content)
      case .byteFallback: if let byte = byteOfToken(bytes) { return [byte] }
      case .byteLevel: bytes = ByteAlphabet.decode(bytes) ?? bytes
      case .metaspace(let metaspace):
        bytes = replacing(metaspace.replacement, with: [0x20], in: bytes)
      case .wordPiece(let prefix, _):
        bytes = bytes.starts(with: prefix) ? Array(bytes.dropFirst(prefix.count)) : [0x20] + bytes
      case .suffix(let suffix): bytes = replacing(suffix, with: [0x20], in: bytes)
      case .joinedByBlanks: bytes = [0x20] + bytes
      case .fuse, .strip: break
      }
    }
    return bytes
  }
}

extension [[UInt8]] {
  fileprivate var joinedBytes: [UInt8] { [UInt8](joined()) }
}
