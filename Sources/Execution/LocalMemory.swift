import FineTuning
import Kernels
import Models
import WirePayloads

/// The memory that a command on this machine alone may take, beside whatever else runs there.
/// Decides how much runs together and what is refused before it starts, never bits.
///
/// Weights in a mapped file need not stay in memory: room is planned beside them where there is
/// some, but for their size alone nothing is refused.
package struct LocalMemory: Hashable, Sendable {
  /// Bytes that were available before weights were loaded; nil: the system does not say, and
  /// nothing is limited.
  package let availableBytes: Int?

  package init(availableBytes: Int?) { self.availableBytes = availableBytes }

  /// How many sequences run together.
  ///
  /// - Parameter advice: what would need less, such as "choose a smaller --max-tokens".
  /// - Throws: `MemoryShortage` where the longest sequence alone does not fit.
  package func batchLimits(
    _ model: Model, inputs: GenerateInputs, cache: CacheElement, advice: String? = nil
  ) throws -> BatchLimits {
    try check(
      model, sequences: 1, tokens: MemoryPlan.longest(inputs), cache: cache, advice: advice)
    return try plan(model) { weightBytes, limitBytes in
      try MemoryPlan.batchLimits(
        description: model.description, weightBytes: weightBytes, inputs: inputs, cache: cache,
        limitBytes: limitBytes)
    } ?? BatchLimits()
  }

  /// Checks that sequences fit together.
  ///
  /// - Parameters:
  ///   - tokens: of each.
  ///   - logitRows: rows whose logits are in memory at one time.
  ///   - advice: as of `batchLimits`.
  /// - Throws: `MemoryShortage`.
  package func check(
    _ model: Model, sequences: Int, tokens: Int, logitRows: Int = 0, cache: CacheElement,
    advice: String? = nil
  ) throws {
    let caches = MemoryPlan.leastBytes(
      model.description, weightBytes: heldBytes(model), sequences: sequences, tokens: tokens,
      cache: cache)
    try check(caches + 4 * logitRows * model.description.vocabularySize, advice)
  }

  /// Checks that weights fit which are to be loaded into memory.
  ///
  /// - Throws: `MemoryShortage`.
  package func check(weightBytes: Int) throws { try check(weightBytes, nil) }

  /// What may be kept of activations and how many rows share a pass: no more than `wanted`.
  ///
  /// - Parameters:
  ///   - longest: tokens of the longest sequence.
  ///   - advice: as of `batchLimits`.
  /// - Throws: `MemoryShortage` where the longest sequence alone does not fit;
  ///   `KernelError.invalidWeights` for impossible dimensions; `FormatError` for a model that
  ///   cannot be trained over.
  package func trainingLimits(
    _ model: Model, _ adapter: Adapter, longest: Int, threads: Int, wanted: Trainer.Limits,
    advice: String? = nil
  ) throws -> Trainer.Limits {
    let dense = try DenseModel(model)
    try check(
      MemoryPlan.leastTrainingBytes(
        dense, adapter, weightBytes: heldBytes(model), longest: longest, threads: threads), advice)
    let planned = try plan(model) { weightBytes, limitBytes in
      try MemoryPlan.trainingLimits(
        dense, adapter, weightBytes: weightBytes, longest: longest, threads: threads,
        limitBytes: limitBytes)
    }
    guard let planned else { return wanted }
    return Trainer.Limits(
      rows: min(wanted.rows, planned.rows),
      activationBytes: min(wanted.activationBytes, planned.activationBytes))
  }

  private func check(_ neededBytes: Int, _ advice: String?) throws {
    guard let availableBytes, neededBytes > availableBytes else { return }
    throw MemoryShortage(
      neededBytes: neededBytes, availableBytes: availableBytes, advice: advice)
  }

  /// Weights that cannot be dropped from memory.
  private func heldBytes(_ model: Model) -> Int { model.isMapped ? 0 : model.weightBytes }

  private func plan<Plan>(
    _ model: Model, _ make: (_ weightBytes: Int, _ limitBytes: Int) throws -> Plan
  ) throws -> Plan? {
    guard let availableBytes else { return nil }
    if model.isMapped, let plan = try? make(model.weightBytes, availableBytes) { return plan }
    return try make(heldBytes(model), availableBytes)
  }
}

/// A command needs more memory than there is: the kernel would end it without a word.
package struct MemoryShortage: Error, Hashable, CustomStringConvertible {
  /// At least this many.
  package let neededBytes: Int
  package let availableBytes: Int
  /// What would need less.
  package let advice: String?

  package var description: String {
    let numbers =
      "this needs \(Self.megabytes(neededBytes, .up)) of memory or more, and "
      + "\(Self.megabytes(availableBytes, .down)) are available here"
    return advice.map { "\(numbers): \($0)" } ?? numbers
  }

  /// Rounded so that what is too much also looks like it.
  private static func megabytes(_ bytes: Int, _ rule: FloatingPointRoundingRule) -> String {
    "\(Int((Double(bytes) / 1e6).rounded(rule))) MB"
  }
}
