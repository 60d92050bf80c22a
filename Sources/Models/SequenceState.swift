import Kernels

/// A sequence that is being computed: its key/value cache, the states of layers of linear
/// attention, and how many tokens they hold. Owned by one executor at a time.
package final class SequenceState {
  /// Keys and values of the tokens so far.
  package let cache: KeyValueCache
  /// Tokens whose keys and values are cached; the next token's position.
  package private(set) var length = 0
  private let shapes: [LinearAttentionShape]
  /// Of each of `shapes`; shared with forks until one of them goes on. Empty before the first step.
  private var states: [RecurrentState] = []
  /// A step that failed has left states behind that are neither before nor after it.
  private var isDamaged = false

  /// A sequence without tokens.
  ///
  /// - Parameters:
  ///   - plan: of the model's part.
  ///   - element: how keys and values are stored.
  package init(_ plan: StatePlan, element: CacheElement) {
    cache = KeyValueCache(layers: plan.cacheLayers, element: element)
    shapes = plan.recurrent
  }

  private init(_ other: SequenceState) {
    cache = other.cache.fork()
    (length, shapes, states) = (other.length, other.shapes, other.states)
    isDamaged = other.isDamaged
  }

  /// A second sequence with the same tokens; memory is shared until one of them grows.
  package func fork() -> SequenceState { SequenceState(self) }

  /// Forgets the tokens from position `length` on. States of linear attention cannot go back: where
  /// there are such, `length` is 0 or what it was.
  package func truncate(to length: Int) {
    precondition(length >= 0 && length <= self.length)
    guard length < self.length else { return }
    precondition(shapes.isEmpty || length == 0)
    cache.truncate(to: length)
    states = []
    self.length = length
  }

  /// Makes the next `count` positions writable.
  ///
  /// - Throws: `ForwardError.damagedSequence`; `KernelError.outOfResources`.
  func prepare(_ count: Int) throws {
    guard !isDamaged else { throw ForwardError.damagedSequence }
    try cache.prepare(length..<length + count)
    if states.isEmpty { states = try shapes.map { try RecurrentState($0) } }
    for index in states.indices where !isKnownUniquelyReferenced(&states[index]) {
      states[index] = try RecurrentState(copying: states[index])
    }
  }

  /// Says that states are about to change; `advance` says that all have.
  func begin() { isDamaged = !shapes.isEmpty }

  func advance(by tokens: Int) {
    length += tokens
    isDamaged = false
  }

  /// The state of layer `index` of linear attention, to be changed.
  func recurrent(_ index: Int) -> RecurrentState { states[index] }
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
  /// A step of the sequence failed before, and it cannot go on.
  case damagedSequence
  /// What comes from the part before does not fit the chunks or this part.
  case wrongActivations(reason: String)
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
    case .damagedSequence: "an earlier step of the sequence failed"
    case .wrongActivations(let reason): reason
    }
  }
}
