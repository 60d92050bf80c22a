import Execution
import Kernels
import Models
import WirePayloads

/// How many sequences of a unit fit into memory together. Decides speed only, never bits.
///
/// Counts a cache as if it shared nothing: what sequences share of a common prefix is less than
/// that, and a prefix that is held for sequences to come counts as one of them.
struct MemoryPlan {
  let batchLimits: BatchLimits

  /// At most this many sequences run together: more bring no speed.
  private static let mostSequences = 32

  /// - Throws: `UnitFailure.outOfMemory` when not even one sequence fits beside the weights.
  init(
    description: ModelDescription, weightBytes: Int, inputs: GenerateInputs, cache: CacheElement,
    limitBytes: Int
  ) throws {
    let longest = inputs.sequences.reduce(0) { longest, sequence in
      max(longest, sequence.promptTokens.count + sequence.maxTokens)
    }
    let positions = max(1, min(longest, description.contextLength))
    let cacheBytes = max(1, description.cacheBytes(tokens: positions, element: cache))
    // Scratch and the program itself take about a twentieth of the weights.
    let room = limitBytes - weightBytes - weightBytes / 20
    guard room >= cacheBytes else {
      throw UnitFailure.outOfMemory(
        "\(weightBytes) bytes of weights and \(cacheBytes) bytes of cache exceed the limit of "
          + "\(limitBytes)")
    }
    batchLimits = BatchLimits(activeSequences: min(Self.mostSequences, room / cacheBytes))
  }
}
