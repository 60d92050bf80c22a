import FineTuning
import Foundation
import Kernels
import Models
import Synchronization
import WirePayloads
import WireProtocol

/// A model whose weights are packed for the kernels of this machine's processor.
final class CPUModel: LoadedModel {
  private let model: Model
  private let kernels: KernelSet
  private let gate: ComputeGate
  /// What adapters are trained over; made for the first unit that trains or validates one.
  private let frozen = Mutex<FrozenModel?>(nil)

  /// - Parameter gate: is asked before each job of a unit's threads.
  init(_ model: Model, kernels: KernelSet, gate: ComputeGate) {
    self.model = model
    self.kernels = kernels
    self.gate = gate
  }

  func run(
    _ work: UnitWork, _ content: UnitContent, within memory: MemoryAllowance
  ) throws -> UnitOutcome {
    switch content {
    case .generate(let inputs, let vocabulary, let adapter):
      releaseTransposes()
      return try generate(work, inputs, vocabulary, adapter, memory)
    case .stageForward(let inputs):
      releaseTransposes()
      return try runStage(work, inputs, memory)
    case .train(let inputs, let adapter):
      let executor = try learner(work, inputs.examples, adapter, memory)
      return try outcome(inputs.examples, passes: 2, work) { progress in
        try executor.train(inputs, progress: progress, isCancelled: work.isCancelled).encoded()
      }
    case .validate(let inputs, let adapter):
      let executor = try learner(work, inputs, adapter, memory)
      return try outcome(inputs, passes: 1, work) { progress in
        try executor.validate(inputs, progress: progress, isCancelled: work.isCancelled).encoded()
      }
    }
  }

  /// Transposes are of no use to units that do not learn, whose plans do not count them.
  private func releaseTransposes() { frozen.withLock { $0 = nil } }

  private func compute(_ work: UnitWork) throws -> Compute {
    let pool = try ThreadPool(threads: max(1, work.threads)) {
      [gate, isCancelled = work.isCancelled] threads in
      gate.pass(threads: threads, isCancelled: isCancelled)
    }
    return Compute(kernels: kernels, pool: pool)
  }

  // MARK: Units that learn

  private func learner(
    _ work: UnitWork, _ examples: LabelledSequences, _ payload: AdapterPayload,
    _ memory: MemoryAllowance
  ) throws -> TrainingExecutor {
    let longest = examples.sequences.reduce(0) { max($0, $1.tokens.count) }
    guard longest <= model.description.contextLength else {
      throw ExecutionError.sequenceTooLong(
        tokens: longest, context: model.description.contextLength)
    }
    // The limits first: transposes take as much memory as weights.
    let limits = try memory.trainingLimits(
      model, Adapter(payload), longest: longest, threads: work.threads)
    return try TrainingExecutor(
      work.specification, model: frozenModel(), adapter: payload, compute: compute(work),
      limits: limits)
  }

  /// The model with its transposes, made unless the last unit had them.
  private func frozenModel() throws -> FrozenModel {
    if let kept = frozen.withLock({ $0 }) { return kept }
    let made = try FrozenModel(model)
    frozen.withLock { $0 = made }
    return made
  }

  /// Operations of all sequences: a forward pass, and as much again for a gradient of the inputs.
  private func outcome(
    _ examples: LabelledSequences, passes: Double, _ work: UnitWork,
    _ body: (_ progress: (Int) -> Void) throws -> Data
  ) throws -> UnitOutcome {
    let flops = examples.sequences.reduce(0.0) { sum, sequence in
      sum + passes * model.description.flops(of: model.part, tokens: sequence.tokens.count)
    }
    let tokens = examples.tokenCount
    let result = try body(work.progress(of: flops, tokens: tokens))
    return UnitOutcome(result: result, tokens: tokens, flops: flops)
  }

  // MARK: Stages

  private func runStage(
    _ work: UnitWork, _ inputs: StageActivations, _ memory: MemoryAllowance
  ) throws -> UnitOutcome {
    let cache = work.specification.cache
    try memory.checkStage(
      model, inputs: inputs, inputBytes: work.inputs.count, cache: CacheElement(cache))
    let flops = inputs.sequences.reduce(0.0) { sum, tokens in
      sum + model.description.flops(of: model.part, tokens: tokens.count)
    }
    let stage = try StageExecutor(model, inputs: inputs, cache: cache, compute: compute(work))
    let result = try stage.run(
      progress: work.progress(of: flops, tokens: inputs.tokenCount), isCancelled: work.isCancelled)
    let encoded =
      switch result {
      case .activations(let activations): try activations.encoded()
      case .scores(let scores): try scores.encoded()
      }
    return UnitOutcome(result: encoded, tokens: inputs.tokenCount, flops: flops)
  }

  // MARK: Generation

  private func generate(
    _ work: UnitWork, _ inputs: GenerateInputs, _ vocabulary: VocabularyBytes?,
    _ adapter: AdapterPayload?, _ memory: MemoryAllowance
  ) throws -> UnitOutcome {
    let model = try adapter.map { try self.model.adapted(by: Adapter($0)) } ?? self.model
    let limits = try memory.batchLimits(
      model, inputs: inputs, cache: CacheElement(work.specification.cache))
    let compute = try self.compute(work)
    let flopsPerToken = self.flopsPerToken(inputs)
    let finished = Self.finished(work, inputs)
    let before = finished.reduce(0.0) { sum, entry in
      sum + self.flops(inputs.sequences[entry.key], entry.value)
    }
    let result = try UnitExecutor.run(
      work.specification, inputs: inputs, vocabulary: vocabulary,
      model: ExecutorModel(model, compute: compute), compute: compute, limits: limits,
      finished: finished,
      progress: { work.progress(before + Double($0) * flopsPerToken, $0) },
      isCancelled: work.isCancelled, sequenceFinished: work.sequenceFinished,
      tokensGenerated: work.tokensGenerated)
    let flops = zip(inputs.sequences, result.sequences).reduce(0.0) { sum, pair in
      sum + self.flops(pair.0, pair.1)
    }
    return UnitOutcome(
      result: try result.encoded(),
      tokens: result.sequences.reduce(0) { $0 + $1.tokens.count }, flops: flops,
      resumedSequences: finished.count)
  }

  /// What is kept of interrupted runs.
  private static func finished(
    _ work: UnitWork, _ inputs: GenerateInputs
  ) -> [Int: GenerateResult.Sequence] {
    work.finishedBefore.reduce(into: [:]) { all, part in
      guard let sequences = try? part.decoded(for: inputs) else { return }
      all.merge(sequences) { first, _ in first }
    }
  }

  private func flops(
    _ asked: GenerateInputs.Sequence, _ given: GenerateResult.Sequence
  ) -> Double {
    model.description.flops(
      promptTokens: asked.promptTokens.count, generatedTokens: given.tokens.count)
  }

  /// What a token costs at the inputs' mean length, for progress only.
  private func flopsPerToken(_ inputs: GenerateInputs) -> Double {
    let description = model.description
    let total = inputs.sequences.reduce(0) { $0 + $1.promptTokens.count + $1.maxTokens }
    let mean = max(1, min(description.contextLength, total / max(1, inputs.sequences.count)))
    return description.flops(promptTokens: mean, generatedTokens: 1) / Double(mean)
  }
}
