import WirePayloads

/// A fixed `generate` unit: the same for everybody who has the same model. It takes every path
/// whose bits could differ between machines.
enum ProofUnit {
  /// Sequences of one token and of several blocks of the cache, greedy and drawn, with a common
  /// beginning and without, with alternatives and without.
  ///
  /// - Parameters:
  ///   - vocabulary: tokens of the model.
  ///   - context: the longest prompt and its continuation together stay within it.
  static func inputs(vocabulary: Int, context: Int) -> GenerateInputs {
    let shared = tokens(70, salt: 0, vocabulary)
    let sequences: [GenerateInputs.Sequence] = [
      .init(promptTokens: tokens(1, salt: 1, vocabulary), maxTokens: 12, topLogprobs: 2),
      .init(promptTokens: tokens(131, salt: 2, vocabulary), maxTokens: 6),
      .init(promptTokens: tokens(64, salt: 3, vocabulary), maxTokens: 9, topLogprobs: 5),
      .init(promptTokens: shared, maxTokens: 4),
      .init(
        promptTokens: shared + tokens(5, salt: 4, vocabulary), maxTokens: 8, temperature: 1, seed: 1
      ),
      .init(
        promptTokens: shared + tokens(2, salt: 5, vocabulary), maxTokens: 8, temperature: 0.8,
        topP: 0.9, seed: 2, topLogprobs: 1),
      .init(
        promptTokens: tokens(17, salt: 6, vocabulary), maxTokens: 8, temperature: 1.5, topP: 0.95,
        topK: 40, seed: -3),
      .init(
        promptTokens: tokens(3, salt: 7, vocabulary), maxTokens: 16, temperature: 0.7, minP: 0.05,
        seed: 4, topLogprobs: 0),
    ]
    return GenerateInputs(
      sequences: sequences.map { sequence in
        var cut = sequence
        cut.promptTokens = Array(sequence.promptTokens.prefix(max(1, context - sequence.maxTokens)))
        cut.topLogprobs = sequence.topLogprobs.map { min($0, vocabulary) }
        return cut
      })
  }

  /// Tokens that follow no pattern; what they say does not matter.
  private static func tokens(_ count: Int, salt: Int, _ vocabulary: Int) -> [Int32] {
    (0..<count).map { Int32(($0 * 7919 + $0 * $0 * 31 + salt * 104729 + 17) % vocabulary) }
  }
}
