/// What SentencePiece does to a text before cutting it (google/sentencepiece, `normalizer.cc`): its
/// compiled rules, the longest first; then blanks, which become U+2581, are collapsed, dropped at
/// both ends, and one is put before the text, as the file says.
struct SentencePieceNormalizer: Sendable {
  /// U+2581.
  static let blank = Array("\u{2581}".utf8)

  private let rules: PrecompiledMap?
  private let addsPrefix: Bool
  private let removesExtraBlanks: Bool

  /// - Throws: `TokenizerError` for rules that are cut short.
  init(_ file: SentencePieceFile) throws {
    rules = try file.rules.isEmpty ? nil : PrecompiledMap(bytes: file.rules)
    (addsPrefix, removesExtraBlanks) = (file.addsPrefix, file.removesExtraBlanks)
  }

  func apply(_ bytes: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count + bytes.count / 2)
    var isAfterBlank = removesExtraBlanks
    var hasBegun = false
    var position = 0
    while position < bytes.count {
      let (part, length) = next(bytes, position)
      position += length
      if !hasBegun {
        if removesExtraBlanks, part.isEmpty || part == [0x20] { continue }
        hasBegun = true
        if addsPrefix { result += Self.blank }
      }
      var rest = part[...]
      while isAfterBlank, rest.first == 0x20 { rest = rest.dropFirst() }
      guard !rest.isEmpty else { continue }
      for byte in rest {
        if byte == 0x20 { result += Self.blank } else { result.append(byte) }
      }
      isAfterBlank = removesExtraBlanks && rest.last == 0x20
    }
    guard removesExtraBlanks else { return result }
    while result.suffix(3) == Self.blank[...] { result.removeLast(3) }
    return result
  }

  /// What the text goes on with, and how many bytes it takes.
  private func next(_ bytes: [UInt8], _ position: Int) -> (part: [UInt8], length: Int) {
    if let found = rules?.longestReplacement(in: bytes, at: position) { return found }
    let length = decodeScalar(bytes, at: position).length
    return (Array(bytes[position..<position + length]), length)
  }
}
