import FineTuning
import Kernels
import Models
import WirePayloads

/// What a unit may hold in memory. Decides what is refused and how much runs together, never bits.
package enum MemoryAllowance: Sendable {
  /// Bytes of weights, caches and scratch together. What does not fit is refused.
  case limit(bytes: Int)
  /// Bytes to plan with. Nothing is refused: what does not fit runs with as little as it can.
  case target(bytes: Int)
  /// What this machine has left. Refused is what cannot run; units that learn are planned for
  /// sequences of `longest` tokens if theirs are shorter, so that what a later unit cannot have is
  /// refused at the first.
  case machine(LocalMemory, longest: Int = 0)

  /// Checks that weights fit.
  ///
  /// - Parameters:
  ///   - stored: bytes of the weights as they are stored.
  ///   - held: bytes of memory that they take.
  /// - Throws: `ExecutionError.outOfMemory`; `MemoryShortage`; what the closure throws.
  func checkWeights(stored: Int, held: () throws -> Int) throws {
    switch self {
    case .limit(let bytes):
      guard stored <= bytes else {
        throw ExecutionError.outOfMemory(
          "the model's \(stored) bytes exceed the limit of \(bytes)")
      }
    case .target: break
    case .machine(let memory, _): try memory.check(weightBytes: held())
    }
  }

  /// How many sequences of a `generate` unit run together.
  ///
  /// - Throws: `ExecutionError.outOfMemory`; `MemoryShortage`.
  func batchLimits(
    _ model: Model, inputs: GenerateInputs, cache: CacheElement
  ) throws -> BatchLimits {
    func planned(_ bytes: Int) throws -> BatchLimits {
      try MemoryPlan.batchLimits(
        description: model.description, weightBytes: model.weightBytes, inputs: inputs,
        cache: cache, limitBytes: bytes)
    }
    switch self {
    case .limit(let bytes): return try planned(bytes)
    case .target(let bytes): return (try? planned(bytes)) ?? BatchLimits(activeSequences: 1)
    case .machine(let memory, _):
      return try memory.batchLimits(model, inputs: inputs, cache: cache)
    }
  }

  /// What a unit that learns may keep of its activations, and how many rows share a pass.
  ///
  /// - Parameter longest: tokens of the unit's longest sequence.
  /// - Throws: `ExecutionError.outOfMemory`; `MemoryShortage`; `KernelError.invalidWeights` and
  ///   `FormatError` for a model that cannot be trained over.
  func trainingLimits(
    _ model: Model, _ adapter: Adapter, longest: Int, threads: Int
  ) throws -> Trainer.Limits {
    func planned(_ bytes: Int) throws -> Trainer.Limits {
      try MemoryPlan.trainingLimits(
        DenseModel(model), adapter, weightBytes: model.weightBytes, longest: longest,
        threads: threads, limitBytes: bytes)
    }
    switch self {
    case .limit(let bytes): return try planned(bytes)
    case .target(let bytes):
      let plan = try? planned(bytes)
      return Trainer.Limits(
        rows: plan?.rows ?? 1,
        activationBytes: min(plan?.activationBytes ?? 0, Trainer.Limits().activationBytes))
    case .machine(let memory, let others):
      return try memory.trainingLimits(
        model, adapter, longest: max(longest, others), threads: threads, wanted: Trainer.Limits())
    }
  }

  /// Checks that a `stage_forward` unit fits.
  ///
  /// - Parameter inputBytes: of its inputs, as they came.
  /// - Throws: `ExecutionError.outOfMemory`.
  func checkStage(
    _ part: Model, inputs: StageActivations, inputBytes: Int, cache: CacheElement
  ) throws {
    let limit: Int? =
      switch self {
      case .limit(let bytes): bytes
      case .target: nil
      case .machine(let memory, _): memory.availableBytes
      }
    guard let limit else { return }
    try MemoryPlan.checkStage(
      part, inputs: inputs, inputBytes: inputBytes, cache: cache, limitBytes: limit)
  }
}
