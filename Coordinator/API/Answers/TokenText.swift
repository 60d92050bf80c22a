import Tokenizers
import WirePayloads

/// What a tokenizer must tell to write answers.
package protocol TokenDecoder: Sendable {
  /// The text of tokens, without special ones.
  func text(of tokens: [Int32]) throws -> String
  /// The bytes that a token contributes; its spelling for a special one.
  func bytes(of token: Int32) -> [UInt8]
  /// Whether a token shows nothing in a text.
  func isSpecial(_ token: Int32) -> Bool
  /// Whether a token is one byte of a run that is text only as a whole: each token of another run
  /// is written as U+FFFD.
  func isFallbackByte(_ token: Int32) -> Bool
}

extension Tokenizer: TokenDecoder {
  package func text(of tokens: [Int32]) throws -> String {
    try decode(tokens, skipSpecialTokens: true)
  }

  package func bytes(of token: Int32) -> [UInt8] { tokenBytes(token) }
}

/// One generated sequence as its reader sees it: cut before a stop string, without the token that
/// ended it.
struct AnswerText {
  let text: String
  /// How many of the sequence's tokens the text is made of.
  let tokenCount: Int
  /// Spaces at the start of the tokens' bytes that the decoder left out of the text.
  let droppedSpaces: Int

  init(
    _ sequence: GenerateResult.Sequence, stopStrings: [[UInt8]], decoder: some TokenDecoder
  ) throws {
    var tokens = sequence.tokens
    if sequence.finish == .endOfSequence { tokens.removeLast() }
    var text = try decoder.text(of: tokens)
    droppedSpaces = max(
      0, Self.leadingSpaces(of: tokens, decoder) - text.utf8.prefix { $0 == 0x20 }.count)
    if sequence.finish == .stopString {
      // Generation matched the bytes of the tokens; a decoder may drop some of them (a leading
      // space), so both are searched.
      let raw = tokens.map { decoder.isSpecial($0) ? [] : decoder.bytes(of: $0) }
      if let cut = Self.firstStop(in: raw.flatMap { $0 }, stopStrings) {
        var start = 0
        tokens = Array(
          zip(tokens, raw).prefix { pair in
            defer { start += pair.1.count }
            return start < cut
          }.map(\.0))
      }
      let bytes = Array(text.utf8)
      if let cut = Self.firstStop(in: bytes, stopStrings) {
        text = String(decoding: bytes[..<cut], as: UTF8.self)
      }
    }
    self.text = text
    tokenCount = tokens.count
  }

  private static func leadingSpaces(of tokens: [Int32], _ decoder: some TokenDecoder) -> Int {
    var count = 0
    for token in tokens where !decoder.isSpecial(token) {
      let bytes = decoder.bytes(of: token)
      let spaces = bytes.prefix { $0 == 0x20 }.count
      count += spaces
      if spaces < bytes.count { break }
    }
    return count
  }

  /// Where the stop string that ended the generation begins; the earliest where one token completed
  /// several.
  private static func firstStop(in bytes: [UInt8], _ stopStrings: [[UInt8]]) -> Int? {
    stopStrings.compactMap { stop -> Int? in
      guard !stop.isEmpty, bytes.count >= stop.count else { return nil }
      return (0...(bytes.count - stop.count)).first { start in
        bytes[start] == stop[0] && bytes[start..<start + stop.count].elementsEqual(stop)
      }
    }.min()
  }
}
