import WireProtocol

/// What generation needs of a model. The executor of `Models` is one; tests bring their own.
package protocol LanguageModel: AnyObject {
  associatedtype Cache

  var vocabularyCount: Int { get }
  /// Positions that a sequence may have.
  var contextLength: Int { get }
  /// Tokens that end a sequence.
  var endOfSequence: Set<Int32> { get }

  func makeCache(_ type: CacheType) throws -> Cache

  /// A second cache with the same positions.
  func fork(_ cache: Cache) throws -> Cache

  /// Runs every chunk's tokens through the model, appends to the caches, and calls `body` with the
  /// logits [V] after the last token of each chunk that wants them, by the chunk's index; and with
  /// nil for every chunk in which a value was not finite, wanted or not.
  func forward(
    _ chunks: [ForwardChunk<Cache>],
    logits body: (_ chunk: Int, _ logits: UnsafeMutableBufferPointer<Float>?) throws -> Void
  ) throws
}

/// Some tokens of one sequence.
package struct ForwardChunk<Cache> {
  /// Holds the positions before these tokens; a class or a handle.
  package var cache: Cache
  package var tokens: ArraySlice<Int32>
  /// Whether the last token's logits are wanted: not for an inner chunk of a prompt.
  package var wantsLogits: Bool

  package init(cache: Cache, tokens: ArraySlice<Int32>, wantsLogits: Bool) {
    self.cache = cache
    self.tokens = tokens
    self.wantsLogits = wantsLogits
  }
}

/// Why a unit cannot be run, whoever runs it.
package enum ExecutionError: Error, Hashable, CustomStringConvertible {
  case promptEmpty(sequence: Int)
  case promptTooLong(sequence: Int, tokens: Int, context: Int)
  case tokenOutOfRange(sequence: Int, token: Int32, vocabulary: Int)
  case tooManyAlternatives(sequence: Int, wanted: Int, vocabulary: Int)
  case vocabularyMissing
  case vocabularyMismatch(count: Int, vocabulary: Int)
  case profileMismatch(String)
  case kindMismatch(String)
  case cacheMismatch
  case adapterMissing
  case sequenceTooLong(tokens: Int, context: Int)
  case partMissing(UnitPart, layers: Int)
  case chunkNameMalformed
  case learning(place: String, reason: String)
  /// It needs more memory than there is for it.
  case outOfMemory(String)
  case cancelled

  package var description: String {
    switch self {
    case .promptEmpty(let sequence): "sequence \(sequence): the prompt has no tokens"
    case .promptTooLong(let sequence, let tokens, let context):
      "sequence \(sequence): \(tokens) prompt tokens leave no room in a context of \(context)"
    case .tokenOutOfRange(let sequence, let token, let vocabulary):
      "sequence \(sequence): token \(token) is not in the vocabulary of \(vocabulary)"
    case .tooManyAlternatives(let sequence, let wanted, let vocabulary):
      "sequence \(sequence): \(wanted) alternatives wanted of a vocabulary of \(vocabulary)"
    case .vocabularyMissing: "the inputs have stop strings, but the unit names no vocabulary"
    case .vocabularyMismatch(let count, let vocabulary):
      "the vocabulary bytes are of \(count) tokens, the model's vocabulary has \(vocabulary)"
    case .profileMismatch(let profile): "the unit wants numerics profile \(profile)"
    case .kindMismatch(let kind): "units of kind \(kind) are not run here"
    case .cacheMismatch: "units that learn have a float32 cache"
    case .adapterMissing: "the unit names no adapter"
    case .sequenceTooLong(let tokens, let context):
      "a sequence of \(tokens) tokens exceeds the context of \(context)"
    case .partMissing(let part, let layers):
      "layers \(part.firstLayer) to \(part.endLayer) are no part of a model of \(layers)"
    case .chunkNameMalformed: "the manifest names a chunk by something that is no SHA-256"
    case .learning(let place, let reason): "\(place): \(reason)"
    case .outOfMemory(let detail): detail
    case .cancelled: "the unit was cancelled"
    }
  }
}
