import Foundation
import ModelFormats
import Tokenizers
import WirePayloads

/// Writes the log-probabilities of a sequence's first tokens in OpenAI's two shapes, some tokens at
/// a time: as one value they would take a hundred times their size while they are encoded.
struct LogprobsWriter<Decoder: TokenDecoder> {
  private let result: GenerateResult.Sequence
  private let count: Int
  private let decoder: Decoder

  init(_ result: GenerateResult.Sequence, count: Int, decoder: Decoder) {
    self.result = result
    self.count = min(count, result.tokens.count, result.logprobs.count)
    self.decoder = decoder
  }

  /// JSON has no infinity; OpenAI writes this for an impossible token.
  private static var impossible: Double { -9999 }

  private func finite(_ logprob: Float) -> Double {
    logprob.isFinite ? Double(logprob) : Self.impossible
  }

  private func token(_ id: Int32) -> (text: String, bytes: [UInt8]) {
    let bytes = decoder.bytes(of: id)
    return (String(decoding: bytes, as: UTF8.self), bytes)
  }

  /// The alternatives of a token, likeliest first.
  private func alternatives(_ index: Int) -> [(id: Int32, logprob: Double)] {
    let range = result.alternatives(of: index)
    return zip(result.topTokens[range], result.topLogprobs[range]).map { ($0, finite($1)) }
  }

  private static var tokensAtOnce: Int { 64 }

  /// `logprobs` of a chat choice: an entry for each token.
  func writeChat(_ emit: (Data) async throws -> Void) async throws {
    try await emit(Data("{\"content\":".utf8))
    try await writeList(emit) { index in
      let token = token(result.tokens[index])
      return ChatLogprobsEntry(
        token: token.text, logprob: finite(result.logprobs[index]),
        bytes: token.bytes.map(Int.init),
        topLogprobs: alternatives(index).map { alternative in
          let token = self.token(alternative.id)
          return ChatLogprobsEntry.Alternative(
            token: token.text, logprob: alternative.logprob, bytes: token.bytes.map(Int.init))
        })
    }
    try await emit(Data(",\"refusal\":null}".utf8))
  }

  /// `logprobs` of a completion choice: parallel lists. `text_offset` is how many characters
  /// (Unicode scalars) of the answer stand before each token; `top_logprobs` has the likeliest
  /// tokens and the one that was chosen; a token that is no whole text is spelled by its bytes.
  ///
  /// - Parameter answer: what the tokens became.
  func writeCompletion(of answer: AnswerText, _ emit: (Data) async throws -> Void) async throws {
    let offsets = offsets(in: answer)
    try await emit(Data("{\"text_offset\":".utf8))
    try await writeList(emit) { offsets[$0] }
    try await emit(Data(",\"token_logprobs\":".utf8))
    try await writeList(emit) { finite(result.logprobs[$0]) }
    try await emit(Data(",\"tokens\":".utf8))
    try await writeList(emit) { spelled(result.tokens[$0]) }
    try await emit(Data(",\"top_logprobs\":".utf8))
    try await writeList(emit) { index -> ExactDictionary<Double> in
      var shown = alternatives(index)
      let chosen = result.tokens[index]
      if !shown.contains(where: { $0.id == chosen }) {
        shown.append((chosen, finite(result.logprobs[index])))
      }
      // Two tokens may have the same bytes; the likelier one stays.
      return ExactDictionary(
        shown.map { (spelled($0.id), $0.logprob) }, uniquingKeysWith: { first, _ in first })
    }
    try await emit(Data("}".utf8))
  }

  /// A list with one element for each token.
  private func writeList(
    _ emit: (Data) async throws -> Void, _ element: (Int) -> some Encodable
  ) async throws {
    try await emit(Data("[".utf8))
    for start in stride(from: 0, to: count, by: Self.tokensAtOnce) {
      let elements = (start..<min(count, start + Self.tokensAtOnce)).map(element)
      let list = try ExactJSON.encode(elements)
      // Without its brackets.
      try await emit((start > 0 ? Data(",".utf8) : Data()) + list.dropFirst().dropLast())
    }
    try await emit(Data("]".utf8))
  }

  /// A token's text; where its bytes are none, `bytes:` and the bytes, those beyond ASCII as
  /// `\xNN`, as OpenAI spells them.
  private func spelled(_ id: Int32) -> String {
    let bytes = decoder.bytes(of: id)
    if let text = String(validating: bytes, as: UTF8.self) { return text }
    return bytes.reduce(into: "bytes:") { text, byte in
      if (0x20..<0x7F).contains(byte), byte != UInt8(ascii: "\\") {
        text.unicodeScalars.append(Unicode.Scalar(byte))
      } else {
        text += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
      }
    }
  }

  /// How many characters of the answer are complete before each token.
  private func offsets(in answer: AnswerText) -> [Int] {
    var assembler = UTF8Assembler()
    var written = 0
    var offsets: [Int] = []
    while offsets.count < count {
      // Tokens behind the text's end belong to a run as well: the decoder saw them.
      let run = fallbackRun(from: offsets.count)
      let isText = run.isEmpty || isText(run)
      for index in run.isEmpty ? offsets.count..<offsets.count + 1 : run {
        offsets.append(written)
        let id = result.tokens[index]
        if decoder.isSpecial(id) { continue }
        written +=
          isText
          ? String(decoding: assembler.push(decoder.bytes(of: id)), as: UTF8.self).unicodeScalars
            .count
          : 1
      }
    }
    let length = answer.text.unicodeScalars.count
    return offsets.prefix(count).map { min(length, max(0, $0 - answer.droppedSpaces)) }
  }

  /// The tokens from `start` that are single bytes one after the other; special ones, of which the
  /// decoder knows nothing, do not part them.
  private func fallbackRun(from start: Int) -> Range<Int> {
    guard decoder.isFallbackByte(result.tokens[start]) else { return start..<start }
    let end = result.tokens[start...].firstIndex {
      !decoder.isFallbackByte($0) && !decoder.isSpecial($0)
    }
    return start..<(end ?? result.tokens.endIndex)
  }

  /// Whether the bytes of a run are whole characters.
  private func isText(_ run: Range<Int>) -> Bool {
    let bytes = result.tokens[run].filter { !decoder.isSpecial($0) }.flatMap {
      decoder.bytes(of: $0)
    }
    return String(validating: bytes, as: UTF8.self) != nil
  }
}
