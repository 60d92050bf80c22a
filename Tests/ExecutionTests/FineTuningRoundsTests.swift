import Execution
import FineTuning
import Foundation
import Kernels
import Models
import TestSupport
import Testing
import WirePayloads
import WireProtocol

/// What a fine-tuning job does between its units.
@Suite struct FineTuningRoundsTests {
  private static func rounds(examples: Int = 21) throws -> FineTuningRounds {
    let training = TrainingUnitTests.examples(examples, seed: 4)
    let digest = BlobDigest.sha256(try training.encoded())
    let plan = FineTuningPlan(
      model: digest, training: digest, validation: nil, trainingExamples: examples,
      validationExamples: 0, seed: 6, rank: 4, alpha: 8, isRankStabilised: false,
      targets: ["q_proj", "down_proj"], epochs: 2, batchSize: 4, localSteps: 2, shards: 3,
      learningRate: 0.02, outerLearningRate: 0.7, outerMomentum: 0.6, patience: nil)
    return try FineTuningRounds(plan, training: training)
  }

  @Test func everyExampleIsLearntOnceAnEpoch() throws {
    let rounds = try Self.rounds()
    let plan = rounds.plan
    var learnt: [LabelledSequences.Sequence] = []
    for round in 0..<plan.rounds {
      for shard in 0..<plan.shards {
        guard let inputs = rounds.inputs(round: round, shard: shard) else { continue }
        #expect(inputs.steps.allSatisfy { $0.count <= 4 })
        learnt += inputs.examples.sequences
        // What a worker reads is what was meant.
        #expect(try TrainInputs(decoding: inputs.encoded()) == inputs)
      }
    }
    let all = TrainingUnitTests.examples(21, seed: 4).sequences
    for epoch in 0..<2 {
      let own = Array(learnt[epoch * 21..<(epoch + 1) * 21])
      #expect(own != all && own.count == 21)
      #expect(
        all.allSatisfy { sequence in own.count { $0 == sequence } == all.count { $0 == sequence } })
    }
    #expect(Array(learnt[..<21]) != Array(learnt[21...]))
  }

  @Test func joiningIsTheSameForWhoeverJoins() throws {
    let frozen = try TrainingUnitTests.frozen()
    let rounds = try Self.rounds()
    let first = try FineTuningRounds.initialAdapter(rounds.plan, frozen.dense.description)
    #expect(Set(first.pairs.keys.map(\.kind)) == ["q_proj", "down_proj"])
    #expect(try AdapterPayload(decoding: first.encoded()) == first)
    let compute = try Compute(kernels: .best(environment: [:]), threads: 2)
    let shards = try (0..<3).compactMap { shard -> FineTuningRounds.Joined? in
      guard let inputs = rounds.inputs(round: 0, shard: shard) else { return nil }
      let executor = try TrainingUnitTests.executor(frozen, Adapter(first), compute)
      return .init(inputs: inputs, result: try executor.train(inputs))
    }
    #expect(shards.count == 3)
    let next = try rounds.join(first, velocity: nil, shards)
    #expect(try rounds.join(first, velocity: nil, shards) == next)
    #expect(next.adapter != first && next.adapter == next.adapter.rounded)
    // A shard less is another adapter, and still a good one.
    let without = try rounds.join(first, velocity: nil, Array(shards.dropLast()))
    #expect(without.adapter != next.adapter)
    // The direction goes on.
    let on = try rounds.join(next.adapter, velocity: next.velocity, shards)
    #expect(on.adapter != (try rounds.join(next.adapter, velocity: nil, shards)).adapter)
  }

  @Test func whatGrowsBeyondAllBoundsIsRefused() throws {
    let frozen = try TrainingUnitTests.frozen()
    let rounds = try Self.rounds()
    let adapter = try FineTuningRounds.initialAdapter(rounds.plan, frozen.dense.description)
    let inputs = try #require(rounds.inputs(round: 0, shard: 0))
    let changes = adapter.pairs.mapValues { pair in
      var pair = pair
      pair.b = pair.b.map { _ in 3e38 }
      return pair
    }
    let result = TrainResult(changes: changes, losses: [1, 1], norms: [1, 1])
    #expect(throws: ExecutionError.self) {
      var (adapter, velocity) = (adapter, AdapterPayload?.none)
      for _ in 0..<4 {
        (adapter, velocity) = try rounds.join(
          adapter, velocity: velocity, [.init(inputs: inputs, result: result)])
      }
    }
  }

  @Test func otherExamplesAreNoneOfThePlans() throws {
    let plan = try Self.rounds().plan
    #expect(throws: PayloadError.self) {
      try FineTuningRounds(plan, training: TrainingUnitTests.examples(20, seed: 4))
    }
  }
}
