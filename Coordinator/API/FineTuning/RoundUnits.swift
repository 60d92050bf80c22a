import CoordinatorCore
import CoordinatorStore
import Execution
import Foundation
import Models
import WirePayloads
import WireProtocol

/// Makes the units of a job's rounds, and knows what they take.
struct RoundUnits {
  let rounds: FineTuningRounds
  let cost: TrainingCost
  let validation: LabelledSequences?
  let blobs: any BlobStore

  private var plan: FineTuningPlan { rounds.plan }

  /// A round from an adapter: what is learnt from it, and what measures it. After the last round
  /// nothing is learnt.
  ///
  /// - Parameters:
  ///   - store: what keeps a blob and gives its name; nil: the blob store.
  ///   - checkpoint: see `NewFineTuningRound`.
  func round(
    _ number: Int, adapter: AdapterPayload, store: ((Data) async throws -> Digest)? = nil,
    checkpoint: (Digest) -> ModelRecord?
  ) async throws -> NewFineTuningRound {
    var units: [NewFineTuningUnit] = []
    var blobBytes: [Digest: Int] = [:]
    func stored(_ data: Data) async throws -> Digest {
      let digest = if let store { try await store(data) } else { try await blobs.put(data) }
      blobBytes[digest] = data.count
      return digest
    }
    if number < plan.rounds {
      for shard in 0..<plan.shards {
        guard let inputs = rounds.inputs(round: number, shard: shard) else { continue }
        units.append(
          unit(
            .train, shard, try await stored(inputs.encoded()), inputs.examples, adapter,
            passes: 2))
      }
    }
    if let validation {
      for place in 0..<plan.validationUnits {
        let part = LabelledSequences(
          sequences: Array(validation.sequences[plan.validation(unit: place)]))
        units.append(
          unit(.validate, place, try await stored(part.encoded()), part, adapter, passes: 1))
      }
    }
    let digest = try await stored(adapter.encoded())
    return NewFineTuningRound(
      number: number, adapter: digest, units: units, checkpoint: checkpoint(digest),
      blobBytes: blobBytes)
  }

  /// - Parameter passes: forward alone, or with the gradient of the inputs, which takes as much.
  private func unit(
    _ kind: UnitKind, _ shard: Int, _ inputs: Digest, _ examples: LabelledSequences,
    _ adapter: AdapterPayload, passes: Double
  ) -> NewFineTuningUnit {
    let lengths = examples.sequences.map(\.tokens.count)
    return NewFineTuningUnit(
      kind: kind, shard: shard, inputs: inputs, tokens: lengths,
      flops: passes * cost.flops(lengths),
      memoryBytes: cost.memoryBytes(
        parameters: adapter.parameterCount, longest: lengths.max() ?? 0))
  }
}
