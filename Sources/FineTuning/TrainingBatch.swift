/// Sequences to learn from, with what each position should have foreseen.
package struct TrainingBatch: Sendable, Equatable {
  /// Tokens, and for each whether it is one that the model is to foresee.
  package struct Sequence: Sendable, Equatable {
    package var tokens: [Int32]
    /// One for each token: itself where it counts, else `ignored`. The first never counts, since
    /// nothing comes before it.
    package var labels: [Int32]

    package init(tokens: [Int32], labels: [Int32]) {
      (self.tokens, self.labels) = (tokens, labels)
    }
  }

  /// The label of tokens that are not to be foreseen, as in PyTorch.
  package static let ignored: Int32 = -100

  package var sequences: [Sequence]

  package init(sequences: [Sequence]) { self.sequences = sequences }

  /// Tokens that count.
  package var labelCount: Int {
    sequences.reduce(0) { $0 + $1.labels.dropFirst().count { $0 != Self.ignored } }
  }

  package var tokenCount: Int { sequences.reduce(0) { $0 + $1.tokens.count } }

  /// - Throws: `TrainingError` for the first thing that a model of this vocabulary and context
  ///   cannot learn from.
  func check(vocabulary: Int, context: Int) throws {
    for (index, sequence) in sequences.enumerated() {
      guard !sequence.tokens.isEmpty, sequence.tokens.count == sequence.labels.count else {
        throw TrainingError.labels(sequence: index)
      }
      guard sequence.tokens.count <= context else {
        throw TrainingError.tooLong(
          sequence: index, tokens: sequence.tokens.count, context: context)
      }
      let isToken = { (token: Int32) in token >= 0 && Int(token) < vocabulary }
      guard sequence.tokens.allSatisfy(isToken),
        zip(sequence.tokens, sequence.labels).allSatisfy({ $1 == Self.ignored || $1 == $0 })
      else { throw TrainingError.outOfVocabulary(sequence: index) }
    }
    guard labelCount > 0 else { throw TrainingError.nothingToLearn }
  }
}

/// Why a step is not taken. The adapter is what it was.
package enum TrainingError: Error, Hashable, Sendable, CustomStringConvertible {
  case labels(sequence: Int)
  case tooLong(sequence: Int, tokens: Int, context: Int)
  case outOfVocabulary(sequence: Int)
  case nothingToLearn
  case notFinite

  package var description: String {
    switch self {
    case .labels(let sequence): "sequence \(sequence) has no tokens, or not a label for each"
    case .tooLong(let sequence, let tokens, let context):
      "sequence \(sequence): \(tokens) tokens exceed the context of \(context)"
    case .outOfVocabulary(let sequence):
      "sequence \(sequence): a token is not in the vocabulary, or a label is not its token"
    case .nothingToLearn: "no token of the batch is to be foreseen"
    case .notFinite: "a loss, gradient or parameter is not finite: a learning rate may be too high"
    }
  }
}
