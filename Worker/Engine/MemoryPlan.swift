import Execution
import FineTuning
import Kernels
import Models
import WirePayloads

/// How much of a unit fits into memory together. Decides speed only, never bits.
///
/// Counts a cache as if it shared nothing: what sequences share of a common prefix is less than
/// that, and a prefix that is held for sequences to come counts as one of them.
enum MemoryPlan {
  /// At most this many sequences run together: more bring no speed.
  private static let mostSequences = 32

  /// How many sequences of a `generate` unit run together.
  ///
  /// - Throws: `UnitFailure.outOfMemory` when not even one sequence fits beside the weights.
  static func batchLimits(
    description: ModelDescription, weightBytes: Int, inputs: GenerateInputs, cache: CacheElement,
    limitBytes: Int
  ) throws -> BatchLimits {
    let longest = inputs.sequences.reduce(0) { longest, sequence in
      max(longest, sequence.promptTokens.count + sequence.maxTokens)
    }
    let positions = max(1, min(longest, description.contextLength))
    let cacheBytes = max(1, description.cacheBytes(tokens: positions, element: cache))
    let room = room(weightBytes, limitBytes)
    guard room >= cacheBytes else {
      throw UnitFailure.outOfMemory(
        "\(weightBytes) bytes of weights and \(cacheBytes) bytes of cache exceed the limit of "
          + "\(limitBytes)")
    }
    return BatchLimits(activeSequences: min(mostSequences, room / cacheBytes))
  }

  /// Checks that a `stage_forward` unit fits: the weights of its part, the caches of one pass, and
  /// its activations, which are there as they came, as values, and as they go.
  ///
  /// - Throws: `UnitFailure.outOfMemory`.
  static func checkStage(
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
    let outputBytes = part.part.hasHead ? 0 : inputs.tokenCount * part.description.hiddenSize * 4
    let activations = 2 * inputBytes + 2 * outputBytes
    guard room(part.weightBytes, limitBytes) >= caches + activations else {
      throw UnitFailure.outOfMemory(
        "\(part.weightBytes) bytes of weights, \(caches) bytes of cache and \(activations) bytes "
          + "of activations exceed the limit of \(limitBytes)")
    }
  }

  /// What a `train` or `validate` unit may keep of its activations, and how many rows share a pass.
  ///
  /// - Parameters:
  ///   - longest: tokens of the longest sequence.
  ///   - adapterBytes: of the adapter in float32.
  /// - Throws: `UnitFailure.outOfMemory` when not even one sequence fits beside the weights and their
  ///   transposes.
  static func trainingLimits(
    description: ModelDescription, weightBytes: Int, longest: Int, adapterBytes: Int,
    limitBytes: Int
  ) throws -> Trainer.Limits {
    // Transposes of quantised weights take a byte a weight and its scale, others what they took.
    let transposes = max(weightBytes, description.parameterCount * 17 / 16)
    // The adapter with its gradient, two moments and two layouts each.
    let fixed = weightBytes + transposes + 8 * adapterBytes
    let row = Trainer.rowBytes(description)
    let room = limitBytes - fixed - fixed / 20
    let least = max(1, longest) * row
    guard room >= least else {
      throw UnitFailure.outOfMemory(
        "\(fixed) bytes of weights, transposes and adapter and \(least) bytes of activations exceed "
          + "the limit of \(limitBytes)")
    }
    let rows = max(longest, min(1024, room / 2 / max(1, row)))
    return Trainer.Limits(rows: rows, activationBytes: max(0, room - rows * row) / 2)
  }

  /// Scratch and the program itself take about a twentieth of the weights.
  private static func room(_ weightBytes: Int, _ limitBytes: Int) -> Int {
    limitBytes - weightBytes - weightBytes / 20
  }
}
