import Kernels
import WirePayloads
import WireProtocol

/// Runs a unit: the one thing that worker, auditor and local command line all call.
package enum UnitExecutor {
  /// Runs a `generate` unit to its result.
  ///
  /// - Parameters:
  ///   - specification: its profile must be this build's.
  ///   - inputs: the decoded inputs that the specification names.
  ///   - vocabulary: what `specification.vocabulary` names.
  ///   - limits: how much runs together; decides speed and memory only.
  ///   - progress: called after each pass with the tokens that went through the model so far.
  ///   - isCancelled: asked before each pass.
  /// - Throws: `ExecutionError` (`cancelled` among them), and what the model throws.
  package static func run<Model: LanguageModel>(
    _ specification: UnitSpecification, inputs: GenerateInputs, vocabulary: VocabularyBytes?,
    model: Model, compute: Compute, limits: BatchLimits = BatchLimits(),
    progress: (_ processedTokens: Int) -> Void = { _ in },
    isCancelled: () -> Bool = { false }
  ) throws -> GenerateResult {
    guard specification.profile == ProtocolVersion.numericsProfile else {
      throw ExecutionError.profileMismatch(specification.profile)
    }
    var engine = try GenerationEngine(
      model: model, inputs: inputs, vocabulary: vocabulary, cacheType: specification.cache,
      compute: compute, limits: limits)
    while !engine.isFinished {
      if isCancelled() { throw ExecutionError.cancelled }
      _ = try engine.step()
      progress(engine.processedTokens)
    }
    return engine.result
  }
}
