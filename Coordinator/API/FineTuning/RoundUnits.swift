import CoordinatorCore
import CoordinatorStore
import Execution
import Models
import WirePayloads
import WireProtocol

/// Makes the units of a job's rounds, and knows what they take.
struct RoundUnits {
  let rounds: FineTuningRounds
  let base: ModelRecord
  let description: ModelDescription
  let validation: LabelledSequences?
  let blobs: any BlobStore

  private var plan: FineTuningPlan { rounds.plan }

  /// A round from an adapter: what is learnt from it, and what measures it. After the last round
  /// nothing is learnt.
  ///
  /// - Parameter checkpoint: see `NewFineTuningRound`.
  func round(
    _ number: Int, adapter: AdapterPayload, checkpoint: (Digest) -> ModelRecord?
  ) async throws -> NewFineTuningRound {
    var units: [NewFineTuningUnit] = []
    if number < plan.rounds {
      for shard in 0..<plan.shards {
        guard let inputs = rounds.inputs(round: number, shard: shard) else { continue }
        units.append(
          unit(
            .train, shard, try await blobs.put(inputs.encoded()), inputs.examples, adapter,
            passes: 2))
      }
    }
    if let validation {
      for place in 0..<plan.validationUnits {
        let part = LabelledSequences(
          sequences: Array(validation.sequences[plan.validation(unit: place)]))
        units.append(
          unit(.validate, place, try await blobs.put(part.encoded()), part, adapter, passes: 1))
      }
    }
    let digest = try await blobs.put(adapter.encoded())
    return NewFineTuningRound(
      number: number, adapter: digest, units: units, checkpoint: checkpoint(digest))
  }

  /// - Parameter passes: forward alone, or with the gradient of the inputs, which takes as much.
  private func unit(
    _ kind: UnitKind, _ shard: Int, _ inputs: Digest, _ examples: LabelledSequences,
    _ adapter: AdapterPayload, passes: Double
  ) -> NewFineTuningUnit {
    NewFineTuningUnit(
      kind: kind, shard: shard, inputs: inputs, tokens: examples.sequences.map(\.tokens.count),
      flops: passes * flops(examples), memoryBytes: memoryBytes(adapter, examples))
  }

  func flops(_ examples: LabelledSequences) -> Double {
    let whole = ModelPart.whole(of: description)
    return examples.sequences.reduce(0) {
      $0 + description.flops(of: whole, tokens: $1.tokens.count)
    }
  }

  func memoryBytes(_ adapter: AdapterPayload, _ examples: LabelledSequences) -> Int {
    let longest = examples.sequences.reduce(0) { max($0, $1.tokens.count) }
    let parameters = (base.cost.bodyFlopsPerToken + base.cost.headFlopsPerToken) / 2
    let bits = Int(8 * Double(base.cost.weightBytes) / max(1, parameters))
    let adapter = (try? Adapter(adapter)) ?? Adapter(alpha: 1, pairs: [:])
    return UnitMemory.leastBytes(base.cost, .f32)
      + description.trainingBytes(of: adapter, weightBits: bits, longest: longest)
  }
}
