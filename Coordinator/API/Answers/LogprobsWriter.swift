import WirePayloads

/// Writes the log-probabilities of a sequence's first tokens in OpenAI's two shapes.
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
    guard index < result.topTokens.count, index < result.topLogprobs.count else { return [] }
    return zip(result.topTokens[index], result.topLogprobs[index]).map { ($0, finite($1)) }
  }

  func chat() -> ChatLogprobs {
    ChatLogprobs(
      content: (0..<count).map { index in
        let token = token(result.tokens[index])
        return ChatLogprobs.Entry(
          token: token.text, logprob: finite(result.logprobs[index]),
          bytes: token.bytes.map(Int.init),
          topLogprobs: alternatives(index).map { alternative in
            let token = self.token(alternative.id)
            return ChatLogprobs.Alternative(
              token: token.text, logprob: alternative.logprob, bytes: token.bytes.map(Int.init))
          })
      })
  }

  func completion() -> CompletionLogprobs {
    var offset = 0
    var offsets: [Int] = []
    let texts = (0..<count).map { index in
      let text = token(result.tokens[index]).text
      offsets.append(offset)
      offset += text.unicodeScalars.count
      return text
    }
    return CompletionLogprobs(
      tokens: texts, tokenLogprobs: (0..<count).map { finite(result.logprobs[$0]) },
      topLogprobs: (0..<count).map { index in
        // Two tokens may have the same text; the likelier one stays.
        Dictionary(
          alternatives(index).map { (token($0.id).text, $0.logprob) },
          uniquingKeysWith: { first, _ in first })
      },
      textOffset: offsets)
  }
}
