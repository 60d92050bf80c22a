import CoordinatorCore
import CoordinatorStore
import Execution
import Models
import WirePayloads

/// Tokens of examples, and how many of them are learnt: what an estimate needs, in a hundredth of
/// the memory.
struct ExampleSizes: Sendable {
  var tokens: [Int32] = []
  var labels: [Int32] = []

  init() {}

  init(_ examples: LabelledSequences) {
    tokens = examples.sequences.map { Int32(clamping: $0.tokens.count) }
    labels = examples.countedLabels.map { Int32(clamping: $0) }
  }

  var count: Int { tokens.count }
  var tokenCount: Int { tokens.reduce(0) { $0 + Int($1) } }
  var labelCount: Int { labels.reduce(0) { $0 + Int($1) } }
  var longest: Int { tokens.max().map { Int($0) } ?? 0 }

  mutating func append(_ other: ExampleSizes) {
    tokens += other.tokens
    labels += other.labels
  }

  /// The examples at these places, which rise, and the others.
  func split(_ places: [Int]) -> (chosen: ExampleSizes, rest: ExampleSizes) {
    let chosen = Set(places)
    var result = (chosen: ExampleSizes(), rest: ExampleSizes())
    for index in tokens.indices {
      let path =
        chosen.contains(index) ? \(chosen: ExampleSizes, rest: ExampleSizes).chosen : \.rest
      result[keyPath: path].tokens.append(tokens[index])
      result[keyPath: path].labels.append(labels[index])
    }
    return result
  }
}

/// What learning takes of a worker.
struct TrainingCost: Sendable {
  let base: ModelRecord
  let description: ModelDescription

  /// Floating-point operations of one pass over sequences of so many tokens.
  func flops(_ lengths: some Sequence<Int>) -> Double {
    let whole = ModelPart.whole(of: description)
    return lengths.reduce(0) { $0 + description.flops(of: whole, tokens: $1) }
  }

  /// Bytes of a worker's memory that a unit takes.
  ///
  /// - Parameters:
  ///   - parameters: of the adapter.
  ///   - longest: tokens of the longest sequence.
  func memoryBytes(parameters: Int, longest: Int) -> Int {
    let weights = (base.cost.bodyFlopsPerToken + base.cost.headFlopsPerToken) / 2
    let bits = Int(8 * Double(base.cost.weightBytes) / max(1, weights))
    return UnitMemory.leastBytes(base.cost, .f32)
      + description.trainingBytes(parameters: parameters, weightBits: bits, longest: longest)
  }
}

extension AdapterPayload {
  /// Numbers of all its matrices.
  var parameterCount: Int {
    pairs.values.reduce(0) { $0 + $1.rank * ($1.inputs + $1.outputs) }
  }
}
