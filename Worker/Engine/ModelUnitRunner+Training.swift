import Execution
import FineTuning
import Kernels
import Models
import WirePayloads
import WireProtocol

/// Units that learn.
extension ModelUnitRunner {
  func train(_ task: UnitTask) throws -> UnitOutcome {
    let inputs = try TrainInputs(decoding: task.inputs)
    let (executor, model) = try executor(task, sequences: inputs.examples)
    let flops = Self.flops(inputs.examples, model, passes: 2)
    let tokens = inputs.examples.tokenCount
    let result = try executor.train(
      inputs, progress: task.progress(of: flops, tokens: tokens), isCancelled: task.isCancelled)
    return UnitOutcome(result: try result.encoded(), tokens: tokens, flops: flops)
  }

  func validate(_ task: UnitTask) throws -> UnitOutcome {
    let inputs = try LabelledSequences(decoding: task.inputs)
    let (executor, model) = try executor(task, sequences: inputs)
    let flops = Self.flops(inputs, model, passes: 1)
    let tokens = inputs.tokenCount
    let result = try executor.validate(
      inputs, progress: task.progress(of: flops, tokens: tokens), isCancelled: task.isCancelled)
    return UnitOutcome(result: try result.encoded(), tokens: tokens, flops: flops)
  }

  private func executor(
    _ task: UnitTask, sequences: LabelledSequences
  ) throws -> (TrainingExecutor, Model) {
    guard let bytes = task.adapter else {
      throw UnitFailure.invalid("the unit names no adapter")
    }
    let adapter = try AdapterPayload(decoding: bytes)
    let model = try model(of: task)
    let longest = sequences.sequences.reduce(0) { max($0, $1.tokens.count) }
    guard longest <= model.description.contextLength else {
      throw UnitFailure.invalid(
        "a sequence of \(longest) tokens exceeds the context of \(model.description.contextLength)")
    }
    let limits = try MemoryPlan.trainingLimits(
      DenseModel(model), Adapter(adapter), weightBytes: model.weightBytes, longest: longest,
      threads: task.threads, limitBytes: task.memoryLimitBytes)
    let executor = try TrainingExecutor(
      task.specification, model: try frozenModel(of: task), adapter: adapter,
      compute: try compute(task), limits: limits)
    return (executor, model)
  }

  /// Operations of all sequences: a forward pass, and as much again for a gradient of the inputs.
  private static func flops(
    _ examples: LabelledSequences, _ model: Model, passes: Double
  ) -> Double {
    examples.sequences.reduce(0) { sum, sequence in
      sum + passes * model.description.flops(of: model.part, tokens: sequence.tokens.count)
    }
  }
}
