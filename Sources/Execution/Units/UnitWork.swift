import Foundation
import WirePayloads
import WireProtocol

/// A unit with the bytes of its blobs, and how to hear of it while it runs.
package struct UnitWork {
  package var specification: UnitSpecification
  /// The bytes of the unit's inputs.
  package var inputs: Data
  /// The bytes of the model's `VocabularyBytes`, where the specification names one.
  package var vocabulary: Data?
  /// The bytes of the adapter, where the specification names one.
  package var adapter: Data?
  /// Threads of the processor to compute with; decides speed only.
  package var threads: Int
  /// What interrupted runs of this `generate` unit have finished; it is not computed again. What
  /// cannot be of this unit is.
  package var finishedBefore: [FinishedSequences] = []
  /// Told each sequence that ends, with its place among the unit's, on the computing thread.
  package var sequenceFinished: (Int, GenerateResult.Sequence) -> Void = { _, _ in }
  /// Told the tokens that each pass gave, on the computing thread.
  package var tokensGenerated: (Int) -> Void = { _ in }
  /// Told after each pass, on the computing thread, the floating-point operations done so far and
  /// the tokens that this run has put through the model.
  package var progress: (_ flops: Double, _ tokens: Int) -> Void = { _, _ in }
  /// Asked often; `ExecutionError.cancelled` is thrown soon after it turned true.
  package var isCancelled: @Sendable () -> Bool = { false }

  package init(
    _ specification: UnitSpecification, inputs: Data, vocabulary: Data? = nil,
    adapter: Data? = nil, threads: Int
  ) {
    self.specification = specification
    self.inputs = inputs
    self.vocabulary = vocabulary
    self.adapter = adapter
    self.threads = threads
  }

  /// For a unit whose tokens are known: tells of each pass, by the tokens that it ran.
  func progress(of flops: Double, tokens: Int) -> (_ ran: Int) -> Void {
    var done = 0
    return { count in
      done += count
      tokensGenerated(count)
      progress(flops * Double(done) / Double(max(1, tokens)), done)
    }
  }
}

/// What a unit's blobs hold, by its kind.
package enum UnitContent: Sendable {
  case generate(GenerateInputs, vocabulary: VocabularyBytes?, adapter: AdapterPayload?)
  case train(TrainInputs, AdapterPayload)
  case validate(LabelledSequences, AdapterPayload)
  case stageForward(StageActivations)

  /// - Throws: `ExecutionError` for another numerics profile and for a unit that learns from no
  ///   adapter; `FormatError` and `PayloadError` for bytes that are not what they should be.
  package init(_ work: UnitWork) throws {
    let specification = work.specification
    guard specification.profile == ProtocolVersion.numericsProfile else {
      throw ExecutionError.profileMismatch(specification.profile)
    }
    func adapter() throws -> AdapterPayload {
      guard let bytes = work.adapter else { throw ExecutionError.adapterMissing }
      return try AdapterPayload(decoding: bytes)
    }
    switch specification.kind {
    case .generate:
      self = .generate(
        try GenerateInputs(decoding: work.inputs),
        vocabulary: try work.vocabulary.map { try VocabularyBytes(decoding: $0) },
        adapter: try work.adapter.map { try AdapterPayload(decoding: $0) })
    case .train: self = .train(try TrainInputs(decoding: work.inputs), try adapter())
    case .validate: self = .validate(try LabelledSequences(decoding: work.inputs), try adapter())
    case .stageForward: self = .stageForward(try StageActivations(decoding: work.inputs))
    }
  }
}

/// What a unit gave.
package struct UnitOutcome: Hashable, Sendable {
  /// The result's canonical safetensors file.
  package var result: Data
  /// Tokens generated, learnt from, or run through a stage; for people.
  package var tokens: Int
  /// Floating-point operations of all sequences.
  package var flops: Double
  /// Sequences that an interrupted run had finished.
  package var resumedSequences: Int

  package init(result: Data, tokens: Int, flops: Double, resumedSequences: Int = 0) {
    self.result = result
    self.tokens = tokens
    self.flops = flops
    self.resumedSequences = resumedSequences
  }
}
