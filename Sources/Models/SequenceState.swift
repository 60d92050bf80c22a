import Kernels

/// A sequence that is being computed: its key/value cache and how many tokens it holds. Owned by
/// one executor at a time.
package final class SequenceState {
  /// Keys and values of the tokens so far.
  package let cache: KeyValueCache
  /// Tokens whose keys and values are cached; the next token's position.
  package private(set) var length = 0

  /// - Parameter cache: an empty cache of the model's layers.
  package init(cache: KeyValueCache) {
    self.cache = cache
  }

  /// A second sequence with the same tokens; memory is shared until one of them grows.
  package func fork() -> SequenceState {
    let copy = SequenceState(cache: cache.fork())
    copy.length = length
    return copy
  }

  /// Forgets the tokens from position `length` on.
  package func truncate(to length: Int) {
    precondition(length >= 0 && length <= self.length)
    cache.truncate(to: length)
    self.length = length
  }

  func advance(by tokens: Int) {
    length += tokens
  }
}

/// Consecutive tokens of one sequence that are computed in one step: a piece of a prompt or one
/// generated token.
package struct SequenceChunk {
  /// The positions whose logits are wanted.
  package enum Wanted: Sendable {
    case none, last, all
  }

  /// The sequence that grows.
  package let sequence: SequenceState
  /// At least one; their positions follow the sequence's tokens so far.
  package let tokens: [Int32]
  /// Which of the chunk's positions give logits.
  package let wanted: Wanted

  /// See the properties.
  package init(_ sequence: SequenceState, tokens: [Int32], wanted: Wanted) {
    self.sequence = sequence
    self.tokens = tokens
    self.wanted = wanted
  }
}

/// Why a step was refused; nothing was computed and no sequence has changed.
package enum ForwardError: Error, Hashable, Sendable {
  /// A token id is not in the vocabulary. `chunk` and `index` count from 0.
  case tokenOutOfRange(chunk: Int, index: Int, token: Int32, vocabularySize: Int)
  /// A chunk would make its sequence longer than the model's context.
  case contextExceeded(chunk: Int, length: Int, limit: Int)
  /// A chunk without tokens.
  case emptyChunk(chunk: Int)
}

extension ForwardError: CustomStringConvertible {
  /// The reason, for people.
  package var description: String {
    switch self {
    case .tokenOutOfRange(_, let index, let token, let vocabularySize):
      "token \(token) at index \(index) is not in the vocabulary of \(vocabularySize)"
    case .contextExceeded(_, let length, let limit):
      "\(length) tokens exceed the context of \(limit)"
    case .emptyChunk(let chunk): "chunk \(chunk) has no tokens"
    }
  }
}
