import FineTuning
import Kernels
import Models
import WirePayloads

/// How much of a unit fits into memory together. Decides speed only, never bits.
///
/// Counts a cache as if it shared nothing: what sequences share of a common prefix is less than
/// that, and a prefix that is held for sequences to come counts as one of them.
package enum MemoryPlan {
  /// For the program itself and for what passes need beside the weights' twentieth. A little less
  /// than the coordinator counts (`UnitMemory`), whose caches are not rounded to blocks: what it
  /// gives fits.
  private static let reservedBytes = 48 << 20
  /// At most this many sequences run together: more bring no speed.
  private static let mostSequences = 32

  /// How many sequences of a `generate` unit run together, each grown to its full length.
  ///
  /// - Throws: `ExecutionError.outOfMemory` when not even one sequence fits beside the weights.
  package static func batchLimits(
    description: ModelDescription, weightBytes: Int, inputs: GenerateInputs, cache: CacheElement,
    limitBytes: Int
  ) throws -> BatchLimits {
    let outputs = inputs.sequences.reduce(0) { sum, sequence in
      sum + outputBytes(sequence, contextLength: description.contextLength)
    }
    let cacheBytes = cacheBytes(description, tokens: longest(inputs), cache)
    let room = room(weightBytes, limitBytes)
    guard room >= cacheBytes else {
      throw ExecutionError.outOfMemory(
        "\(weightBytes) bytes of weights and \(cacheBytes) bytes of cache exceed the limit of "
          + "\(limitBytes)")
    }
    // What sequences give is most often less than they may: for it alone no unit is refused.
    return BatchLimits(activeSequences: min(mostSequences, (room - outputs) / cacheBytes))
  }

  /// Tokens of the longest sequence, grown to its full length.
  static func longest(_ inputs: GenerateInputs) -> Int {
    inputs.sequences.reduce(0) { max($0, $1.promptTokens.count + $1.maxTokens) }
  }

  /// Bytes of memory without which sequences cannot run together: of the weights, of what passes
  /// take, and of caches.
  ///
  /// - Parameter tokens: of each sequence, as far as the model's context goes.
  static func leastBytes(
    _ description: ModelDescription, weightBytes: Int, sequences: Int, tokens: Int,
    cache: CacheElement
  ) -> Int {
    taken(weightBytes) + sequences * cacheBytes(description, tokens: tokens, cache)
  }

  private static func cacheBytes(
    _ description: ModelDescription, tokens: Int, _ cache: CacheElement
  ) -> Int {
    let positions = max(1, min(tokens, description.contextLength))
    return max(1, description.cacheBytes(tokens: positions, element: cache))
  }

  /// What a sequence may give at most: it is there in arrays that grow by doubling, and as a file.
  private static func outputBytes(
    _ sequence: GenerateInputs.Sequence, contextLength: Int
  ) -> Int {
    let tokens = max(0, min(sequence.maxTokens, contextLength - sequence.promptTokens.count))
    return 3 * tokens * 8 * (1 + (sequence.topLogprobs ?? 0))
  }

  /// Checks that a `stage_forward` unit fits: the weights of its part, the caches of one pass, and
  /// its activations, which are there as they came, as values, and as they go.
  ///
  /// - Throws: `ExecutionError.outOfMemory`.
  package static func checkStage(
    _ part: Model, inputs: StageActivations, inputBytes: Int, cache: CacheElement, limitBytes: Int
  ) throws {
    let rows = StageExecutor.rowLimit(of: part.part, part.description)
    let lengths = inputs.sequences.map(\.count)
    let caches = StageExecutor.passes(lengths, rows: rows).reduce(0) { most, pass in
      let bytes = pass.pieces.reduce(0) {
        $0 + part.statePlan.byteCount(tokens: $1.positions.upperBound, element: cache)
      }
      return max(most, bytes)
    }
    // What goes on: the stream, inputs of single layers, keys and values that later parts read. It
    // is there as values, as a tensor's bytes and as a file's.
    var columns = part.description.hiddenSize
    if let perLayer = part.description.embedding.perLayer {
      columns += perLayer.size * part.description.layers.count
    }
    for layer in part.statePlan.exported {
      guard case .attention(let attention) = part.description.layers[layer].mixer else { continue }
      columns += attention.keyValueHeads * (attention.keyDimension + attention.valueDimension)
    }
    let outputBytes = part.part.hasHead ? 0 : inputs.tokenCount * columns * 4
    let activations = 2 * inputBytes + 4 * outputBytes
    guard room(part.weightBytes, limitBytes) >= caches + activations else {
      throw ExecutionError.outOfMemory(
        "\(part.weightBytes) bytes of weights, \(caches) bytes of cache and \(activations) bytes "
          + "of activations exceed the limit of \(limitBytes)")
    }
  }

  /// What a `train` or `validate` unit may keep of its activations, and how many rows share a pass.
  ///
  /// - Parameter longest: tokens of the longest sequence.
  /// - Throws: `ExecutionError.outOfMemory` when not even one sequence fits beside the weights and
  ///   their transposes; `KernelError.invalidWeights` for impossible dimensions.
  package static func trainingLimits(
    _ model: DenseModel, _ adapter: Adapter, weightBytes: Int, longest: Int, threads: Int,
    limitBytes: Int
  ) throws -> Trainer.Limits {
    let fixed = try Trainer.fixedBytes(model, adapter, longest: longest, threads: threads)
    let row = Trainer.rowBytes(model, adapter)
    let room = room(weightBytes, limitBytes) - fixed
    let least = max(1, longest) * row
    guard room >= least else {
      throw ExecutionError.outOfMemory(
        "\(weightBytes) bytes of weights, \(fixed) of their transposes and the adapter, and "
          + "\(least) of activations exceed the limit of \(limitBytes)")
    }
    let rows = max(longest, min(1024, room / 2 / max(1, row)))
    return Trainer.Limits(rows: rows, activationBytes: max(0, room - rows * row))
  }

  /// Bytes of memory without which nothing can be learnt: of the weights and their transposes, of
  /// the adapter, and of the longest sequence alone, all of whose layers are computed twice.
  ///
  /// - Throws: `KernelError.invalidWeights` for impossible dimensions.
  static func leastTrainingBytes(
    _ model: DenseModel, _ adapter: Adapter, weightBytes: Int, longest: Int, threads: Int
  ) throws -> Int {
    try taken(weightBytes)
      + Trainer.fixedBytes(model, adapter, longest: longest, threads: threads)
      + max(1, longest) * Trainer.rowBytes(model, adapter)
  }

  private static func room(_ weightBytes: Int, _ limitBytes: Int) -> Int {
    limitBytes - taken(weightBytes)
  }

  /// Scratch takes about a twentieth of the weights.
  private static func taken(_ weightBytes: Int) -> Int {
    weightBytes + weightBytes / 20 + reservedBytes
  }
}
