import Execution
import FineTuning
import Foundation
import Kernels
import Models
import TestSupport
import Testing
import WirePayloads
import WireProtocol

/// Units that learn: the same bytes on every machine, and a run of rounds that gets somewhere.
@Suite struct TrainingUnitTests {
  static func frozen() throws -> FrozenModel {
    try FrozenModel(Model(path: StageTests.models.appending(path: "smollm2").path))
  }

  static func specification(_ kind: UnitKind, _ cache: CacheType = .f32) -> UnitSpecification {
    let placeholder = BlobDigest.sha256(Data())
    return UnitSpecification(
      kind: kind, model: placeholder, inputs: placeholder, cache: cache, adapter: placeholder)
  }

  /// Sequences of a simple rule, so that there is something to learn.
  static func examples(_ count: Int, seed: UInt64) -> LabelledSequences {
    var random = SeededRandom(seed: seed)
    return LabelledSequences(
      sequences: (0..<count).map { _ in
        let start = Int32.random(in: 3..<150, using: &random)
        let tokens = (0..<Int.random(in: 4..<20, using: &random)).map { start + 3 * Int32($0) }
        return .init(tokens: tokens, labels: tokens)
      })
  }

  static func inputs(_ examples: LabelledSequences, perStep: Int, rate: Double = 0.02)
    -> TrainInputs
  {
    let steps = stride(from: 0, to: examples.sequences.count, by: perStep).map {
      $0..<min(examples.sequences.count, $0 + perStep)
    }
    return TrainInputs(
      examples: examples, steps: steps, learningRates: steps.map { _ in rate }, beta1: 0.9,
      beta2: 0.99, epsilon: 1e-8, weightDecay: 0, maximumNorm: 1)
  }

  static func executor(
    _ frozen: FrozenModel, _ adapter: Adapter, _ compute: Compute, _ kind: UnitKind = .train,
    _ limits: Trainer.Limits = .init()
  ) throws -> TrainingExecutor {
    try TrainingExecutor(
      specification(kind), model: frozen, adapter: AdapterPayload(adapter), compute: compute,
      limits: limits)
  }

  @Test func everyMachineGivesTheSameBytes() throws {
    let frozen = try Self.frozen()
    let adapter = Adapter.initial(for: frozen.dense.description, rank: 4, alpha: 8, seed: 5)
    let inputs = Self.inputs(Self.examples(9, seed: 1), perStep: 3)
    func run(_ variant: KernelVariant, _ threads: Int, _ limits: Trainer.Limits) throws -> [Data] {
      let compute = try Compute(kernels: KernelSet(variant), threads: threads)
      return [
        try Self.executor(frozen, adapter, compute, .train, limits).train(inputs).encoded(),
        try Self.executor(frozen, adapter, compute, .validate, limits)
          .validate(inputs.examples).encoded(),
      ]
    }
    let truth = try run(.scalarSoftware, 1, .init())
    for variant in KernelSet.available where variant != .scalarSoftware {
      #expect(try run(variant, 3, .init(rows: 30, activationBytes: 0)) == truth, "\(variant)")
    }
    // Both say what they were asked.
    let result = try TrainResult(decoding: truth[0], for: inputs, from: AdapterPayload(adapter))
    #expect(
      result.losses.count == 3 && result.changes.values.contains { $0.a.contains { $0 != 0 } })
    let losses = try ValidateResult(decoding: truth[1], for: inputs.examples)
    #expect((losses.meanLoss ?? 0) > 1)
  }

  /// Three shards a round; in the second round one of them is lost. What they learn together is
  /// better than what they began with, on examples that none has seen, and repeats to the bit.
  @Test func roundsOfShardsLearn() throws {
    let frozen = try Self.frozen()
    let compute = try Compute(kernels: .best(environment: [:]), threads: 2)
    let heldOut = Self.examples(12, seed: 99)
    func loss(_ adapter: Adapter) throws -> Double {
      try Self.executor(frozen, adapter, compute, .validate).validate(heldOut).meanLoss ?? 0
    }
    func run() throws -> (before: Double, OuterOptimiser) {
      var outer = OuterOptimiser(
        Adapter.initial(for: frozen.dense.description, rank: 4, alpha: 8, seed: 5))
      let before = try loss(outer.adapter)
      for round in 0..<4 {
        var changes: [OuterOptimiser.Change] = []
        for shard in 0..<3 where !(round == 1 && shard == 2) {
          let inputs = Self.inputs(
            Self.examples(24, seed: UInt64(10 * round + shard + 1)), perStep: 4)
          let bytes = try Self.executor(frozen, outer.adapter, compute).train(inputs).encoded()
          let result = try TrainResult(
            decoding: bytes, for: inputs, from: AdapterPayload(outer.adapter))
          let pairs = try Adapter(
            AdapterPayload(alpha: 8, isRankStabilised: false, pairs: result.changes)
          ).pairs
          let weight = inputs.examples.sequences.reduce(0) { $0 + $1.labels.count - 1 }
          changes.append(.init(pairs: pairs, weight: weight))
        }
        outer.step(changes, OuterOptimiser.Settings(learningRate: 0.7, momentum: 0.6))
      }
      return (before, outer)
    }
    let (before, outer) = try run()
    let after = try loss(outer.adapter)
    print("held-out loss \(before) to \(after)")
    #expect(after < 0.75 * before)
    #expect(try run().1 == outer)
  }

  @Test func unitsThatMakeNoSenseAreRefused() throws {
    let frozen = try Self.frozen()
    let adapter = Adapter.initial(for: frozen.dense.description, rank: 2, alpha: 8, seed: 5)
    let compute = try Compute(kernels: .best(environment: [:]), threads: 1)
    #expect(throws: ExecutionError.cacheMismatch) {
      try TrainingExecutor(
        Self.specification(.train, .f16), model: frozen, adapter: AdapterPayload(adapter),
        compute: compute)
    }
    var strange = AdapterPayload(adapter)
    strange.pairs[.init(layer: 0, kind: "lm_head")] = strange.pairs.values.first
    #expect(throws: PayloadError.self) {
      try TrainingExecutor(
        Self.specification(.train), model: frozen, adapter: strange, compute: compute)
    }
    let executor = try Self.executor(frozen, adapter, compute)
    let outside = LabelledSequences(sequences: [.init(tokens: [5, 1 << 20], labels: [5, 5])])
    #expect(
      throws: ExecutionError.learning(
        place: "step 0", reason: "\(TrainingError.outOfVocabulary(sequence: 0))")
    ) { try executor.train(Self.inputs(outside, perStep: 1)) }
    #expect(throws: ExecutionError.cancelled) {
      try executor.train(
        Self.inputs(Self.examples(2, seed: 3), perStep: 1), isCancelled: { true })
    }
    let silent = LabelledSequences(sequences: [.init(tokens: [5, 6], labels: [5, -100])])
    #expect(try executor.validate(silent) == ValidateResult(lossSums: [0], labels: [0]))
  }
}
