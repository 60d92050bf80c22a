import Foundation

/// One step of a decoder, which works on tokens as they come.
///
/// Decoding a whole sequence and decoding it piece by piece are the same code, so their texts
/// cannot differ. Once a step has fused the tokens, what follows sees chunks of a single token; a
/// step that must see that token whole holds the chunks back until the end.
struct DecoderStage: Sendable {
  enum Kind: Sendable {
    /// Without a decoder the library joins tokens by blanks.
    case joinedByBlanks
    case replace(TextPattern, [UInt8])
    case byteFallback
    case fuse
    case strip(Unicode.Scalar, start: Int, stop: Int)
    case byteLevel
    case metaspace(Metaspace)
    case wordPiece(prefix: [UInt8], cleansUp: Bool)
    case suffix([UInt8])
  }

  let kind: Kind
  /// Whether the input is one token in chunks.
  let isFused: Bool
  private var isFirst = true
  private var held: [UInt8] = []
  private var heldToken: [UInt8]?
  private var assembler = UTF8Assembler()
  /// Scalars that may still be stripped at the start of a fused token.
  private var startBudget = 0

  init(_ kind: Kind, isFused: Bool) {
    self.kind = kind
    self.isFused = isFused
    if case .strip(_, let start, _) = kind { startBudget = start }
  }

  /// Whether the output is one token in chunks.
  var fuses: Bool {
    switch kind {
    case .fuse, .byteLevel, .joinedByBlanks: true
    default: isFused
    }
  }

  /// Whether a fused token must be complete before this step can work on it.
  private var needsWholeToken: Bool {
    switch kind {
    case .replace, .byteFallback, .byteLevel, .wordPiece, .suffix: isFused
    case .joinedByBlanks, .fuse, .strip, .metaspace: false
    }
  }

  /// Takes one token, or one chunk of the fused token; appends what is certain to `output`.
  mutating func push(_ token: [UInt8], into output: inout [[UInt8]]) throws {
    if needsWholeToken {
      held += token
    } else {
      try process(token, into: &output)
    }
    isFirst = false
  }

  mutating func finish(into output: inout [[UInt8]]) throws {
    if needsWholeToken {
      isFirst = true
      try process(held, into: &output)
      held = []
    }
    switch kind {
    case .byteFallback: flushByteTokens(into: &output)
    case .byteLevel: output.append(assembler.finish())
    case .strip where isFused: output.append(stripEnd(held))
    case .suffix(let suffix):
      if let heldToken { output.append(replacing(suffix, with: [], in: heldToken)) }
      heldToken = nil
    default: break
    }
  }

  private mutating func process(_ token: [UInt8], into output: inout [[UInt8]]) throws {
    switch kind {
    case .joinedByBlanks: output.append(isFirst || isFused ? token : [0x20] + token)
    case .replace(let pattern, let content):
      output.append(try pattern.replacing(in: token, with: content))
    case .byteFallback: pushByteToken(token, into: &output)
    case .fuse: output.append(token)
    case .strip:
      if isFused { output.append(stripChunk(token)) } else { output.append(stripToken(token)) }
    case .byteLevel: output.append(assembler.push(ByteAlphabet.decode(token) ?? token))
    case .metaspace(let metaspace):
      let drops = (isFirst || isFused) && metaspace.prepends != .never
      output.append(replacing(metaspace.replacement, with: drops ? [] : [0x20], in: token))
    case .wordPiece(let prefix, let cleansUp):
      output.append(wordPiece(token, prefix, cleansUp: cleansUp))
    case .suffix(let suffix):
      if let heldToken { output.append(replacing(suffix, with: [0x20], in: heldToken)) }
      heldToken = token
    }
  }

  // MARK: byte fallback

  /// A run of byte tokens is text if all of it is well-formed, else one U+FFFD for each byte; so a
  /// run is held until it ends.
  private mutating func pushByteToken(_ token: [UInt8], into output: inout [[UInt8]]) {
    if let byte = byteOfToken(token) {
      held.append(byte)
    } else {
      flushByteTokens(into: &output)
      output.append(token)
    }
  }

  private mutating func flushByteTokens(into output: inout [[UInt8]]) {
    guard !held.isEmpty else { return }
    if String(validating: held, as: UTF8.self) != nil {
      output.append(held)
    } else {
      for _ in held { output.append(Array("\u{FFFD}".utf8)) }
    }
    held = []
  }

  // MARK: strip

  private func stripToken(_ token: [UInt8]) -> [UInt8] {
    guard case .strip(let content, let start, let stop) = kind else { return token }
    let scalars = Array(String(decoding: token, as: UTF8.self).unicodeScalars)
    let first = scalars.prefix(start).prefix { $0 == content }.count
    let rest = scalars[first...]
    let last = rest.reversed().prefix(stop).prefix { $0 == content }.count
    return rest.dropLast(last).flatMap { Array($0.utf8) }
  }

  /// Strips the start of the fused token and holds back what may be stripped at its end.
  private mutating func stripChunk(_ chunk: [UInt8]) -> [UInt8] {
    guard case .strip(let content, _, let stop) = kind else { return chunk }
    let encoded = Array(content.utf8)
    var start = 0
    while startBudget > 0, start < chunk.count {
      guard chunk[start...].starts(with: encoded) else {
        startBudget = 0
        break
      }
      start += encoded.count
      startBudget -= 1
    }
    let text = held + chunk[start...]
    let keep = min(trailing(encoded, in: text), stop) * encoded.count
    held = Array(text.suffix(keep))
    return Array(text.dropLast(keep))
  }

  private func stripEnd(_ text: [UInt8]) -> [UInt8] {
    guard case .strip(let content, _, let stop) = kind else { return text }
    let encoded = Array(content.utf8)
    return Array(text.dropLast(min(trailing(encoded, in: text), stop) * encoded.count))
  }

  private func trailing(_ unit: [UInt8], in text: [UInt8]) -> Int {
    var count = 0
    while text.count >= (count + 1) * unit.count,
      text.dropLast(count * unit.count).suffix(unit.count).elementsEqual(unit)
    {
      count += 1
    }
    return count
  }

  // MARK: word pieces

  private func wordPiece(_ token: [UInt8], _ prefix: [UInt8], cleansUp: Bool) -> [UInt8] {
    var text = token
    if !isFirst {
      if token.starts(with: prefix) {
        text = Array(token.dropFirst(prefix.count))
      } else {
        text = [0x20] + token
      }
    }
    guard cleansUp else { return text }
    let rules = [
      (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"),
      (" 'm", "'m"), (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ]
    return rules.reduce(text) { replacing(Array($1.0.utf8), with: Array($1.1.utf8), in: $0) }
  }
}

/// The byte of a token named `<0xNN>`; nil for another one.
func byteOfToken(_ token: [UInt8]) -> UInt8? {
  guard token.count == 6, token.starts(with: Array("<0x".utf8)), token[5] == UInt8(ascii: ">")
  else { return nil }
  // Like Rust's from_str_radix, which takes a plus sign before a digit.
  return UInt8(String(decoding: token[3..<5], as: UTF8.self), radix: 16)
}
