import Kernels
import WirePayloads
import WireProtocol

/// Runs `generate` units on any language model.
package enum UnitExecutor {
  /// Runs a `generate` unit to its result.
  ///
  /// - Parameters:
  ///   - specification: its profile must be this build's.
  ///   - inputs: the decoded inputs that the specification names.
  ///   - vocabulary: what `specification.vocabulary` names.
  ///   - limits: how much runs together; decides speed and memory only.
  ///   - finished: what sequences became in an interrupted run of this very unit, by index; only
  ///     the others are computed. Since nothing depends on who else runs, the result has the same
  ///     bits.
  ///   - progress: called after each pass with the tokens that went through the model so far.
  ///   - isCancelled: asked before each pass.
  ///   - sequenceFinished: called with each sequence that ends, once it is all that it will be.
  ///   - tokensGenerated: called after each pass with the tokens that it gave.
  /// - Throws: `ExecutionError` (`cancelled` among them), and what the model throws.
  package static func run<Model: LanguageModel>(
    _ specification: UnitSpecification, inputs: GenerateInputs, vocabulary: VocabularyBytes?,
    model: Model, compute: Compute, limits: BatchLimits = BatchLimits(),
    finished: [Int: GenerateResult.Sequence] = [:],
    progress: (_ processedTokens: Int) -> Void = { _ in },
    isCancelled: () -> Bool = { false },
    sequenceFinished: (_ index: Int, GenerateResult.Sequence) -> Void = { _, _ in },
    tokensGenerated: (_ count: Int) -> Void = { _ in }
  ) throws -> GenerateResult {
    guard specification.profile == ProtocolVersion.numericsProfile else {
      throw ExecutionError.profileMismatch(specification.profile)
    }
    guard specification.kind == .generate else {
      throw ExecutionError.kindMismatch(specification.kind.rawValue)
    }
    let missing = inputs.sequences.indices.filter { finished[$0] == nil }
    let rest = GenerateInputs(sequences: missing.map { inputs.sequences[$0] })
    var engine = try GenerationEngine(
      model: model, inputs: rest, vocabulary: vocabulary, cacheType: specification.cache,
      compute: compute, limits: limits)
    while !engine.isFinished {
      if isCancelled() { throw ExecutionError.cancelled }
      let events = try engine.step()
      tokensGenerated(events.count)
      for event in events where event.finish != nil {
        sequenceFinished(missing[event.sequence], engine.output(of: event.sequence))
      }
      progress(engine.processedTokens)
    }
    var sequences = engine.result.sequences[...]
    return GenerateResult(
      sequences: inputs.sequences.indices.map { finished[$0] ?? sequences.removeFirst() })
  }
}
