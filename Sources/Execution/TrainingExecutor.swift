import FineTuning
import Kernels
import Models
import WirePayloads
import WireProtocol

/// Runs `train` and `validate` units.
package struct TrainingExecutor {
  private let model: FrozenModel
  private let adapter: Adapter
  private let trainer: Trainer

  /// - Parameters:
  ///   - adapter: the decoded one that the specification names.
  ///   - compute: no executor may use it meanwhile.
  ///   - limits: decide speed and memory only.
  /// - Throws: `ExecutionError` for another numerics profile; `PayloadError` and `FormatError` for
  ///   an adapter of another model; `KernelError.outOfResources`.
  package init(
    _ specification: UnitSpecification, model: FrozenModel, adapter: AdapterPayload,
    compute: Compute, limits: Trainer.Limits = .init()
  ) throws {
    guard specification.profile == ProtocolVersion.numericsProfile else {
      throw ExecutionError.profileMismatch(specification.profile)
    }
    guard specification.cache == .f32 else { throw ExecutionError.cacheMismatch }
    self.model = model
    self.adapter = try Adapter(adapter)
    trainer = try Trainer(model, self.adapter, compute: compute, limits: limits)
  }

  /// Takes the unit's steps.
  ///
  /// - Parameters:
  ///   - progress: called after each step with the tokens that it learnt.
  ///   - isCancelled: asked before each step.
  /// - Throws: `ExecutionError` (`cancelled` among them), naming the step that cannot be taken;
  ///   `KernelError.outOfResources`.
  package func train(
    _ inputs: TrainInputs, progress: (_ tokens: Int) -> Void = { _ in },
    isCancelled: () -> Bool = { false }
  ) throws -> TrainResult {
    var (losses, norms): ([Double], [Double]) = ([], [])
    for (number, step) in inputs.steps.enumerated() {
      if isCancelled() { throw ExecutionError.cancelled }
      let batch = Self.batch(inputs.examples.sequences[step])
      let settings = OptimiserSettings(
        learningRate: inputs.learningRates[number], beta1: inputs.beta1, beta2: inputs.beta2,
        epsilon: inputs.epsilon, weightDecay: inputs.weightDecay, maximumNorm: inputs.maximumNorm)
      let outcome = try Self.naming("step \(number)") { try trainer.step(batch, settings) }
      try Self.require(PlausibleLoss.contains(outcome.loss), "step \(number)")
      losses.append(outcome.loss)
      norms.append(outcome.gradientNorm)
      progress(batch.tokenCount)
    }
    let changes = try changes()
    return TrainResult(changes: changes, losses: losses, norms: norms)
  }

  /// What the steps changed: the difference rounds to float32, then to bfloat16.
  private func changes() throws -> [AdapterPayload.Site: AdapterPayload.Pair] {
    let after = AdapterPayload(trainer.adapter)
    let before = AdapterPayload(adapter)
    return try after.pairs.reduce(into: [:]) { changes, entry in
      guard var pair = before.pairs[entry.key] else { return }
      func change(_ after: [Float], _ before: [Float]) throws -> [Float] {
        try zip(after, before).map { after, before in
          let rounded = BFloat16Coding.rounded(after - before)
          guard rounded.isFinite else {
            throw ExecutionError.learning(
              place: "the last step", reason: "\(TrainingError.notFinite)")
          }
          return rounded
        }
      }
      pair.a = try change(entry.value.a, pair.a)
      pair.b = try change(entry.value.b, pair.b)
      changes[entry.key] = pair
    }
  }

  /// Measures the losses of the unit's sequences, each for itself.
  ///
  /// - Throws: as `train`; a sequence without labels has the loss 0.
  package func validate(
    _ inputs: LabelledSequences, progress: (_ tokens: Int) -> Void = { _ in },
    isCancelled: () -> Bool = { false }
  ) throws -> ValidateResult {
    var (sums, labels): ([Double], [Int]) = ([], [])
    for (index, sequence) in inputs.sequences.enumerated() {
      if isCancelled() { throw ExecutionError.cancelled }
      let batch = Self.batch([sequence][...])
      let isEmpty = batch.labelCount == 0
      let loss = try Self.naming("example \(index)") {
        isEmpty ? (sum: 0, labels: 0) : try trainer.loss(of: batch)
      }
      try Self.require(
        isEmpty || PlausibleLoss.contains(loss.sum / Double(loss.labels)), "example \(index)")
      sums.append(loss.sum)
      labels.append(loss.labels)
      progress(batch.tokenCount)
    }
    return ValidateResult(lossSums: sums, labels: labels)
  }

  /// Throws unless a loss is one that a coordinator takes.
  private static func require(_ isPlausible: Bool, _ place: String) throws {
    guard isPlausible else {
      throw ExecutionError.learning(place: place, reason: PlausibleLoss.rule)
    }
  }

  /// Says where in the unit something cannot be learnt.
  private static func naming<Value>(_ place: String, _ body: () throws -> Value) throws -> Value {
    do {
      return try body()
    } catch let error as TrainingError {
      throw ExecutionError.learning(place: place, reason: "\(error)")
    }
  }

  private static func batch(_ sequences: ArraySlice<LabelledSequences.Sequence>) -> TrainingBatch {
    TrainingBatch(sequences: sequences.map { .init(tokens: $0.tokens, labels: $0.labels) })
  }
}
