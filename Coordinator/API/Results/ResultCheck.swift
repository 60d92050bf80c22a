import CoordinatorCore
import CoordinatorStore
import Foundation
import WirePayloads
import WireProtocol

/// What a result has to look like, by the kind and the inputs of its unit: sizes alone, so that
/// little is held while a result arrives.
package enum ResultCheck: Sendable {
  case generate([GenerateInputs.Outline])
  case train(
    steps: Int, sequences: Int, shapes: [AdapterPayload.Site: AdapterPayload.Shape])
  /// Of each sequence the labels that count.
  case validate(labels: [Int])

  /// - Parameter inputs: of the unit.
  /// - Throws: `FormatError` and `PayloadError` for an adapter that is not what the coordinator
  ///   wrote; what the blobs throw.
  package init(
    _ inputs: UnitInputs, of specification: UnitSpecification, blobs: any BlobStore
  ) async throws {
    switch inputs {
    case .generate(let inputs): self = .generate(inputs.outline)
    case .validate(let inputs): self = .validate(labels: inputs.countedLabels)
    case .train(let inputs):
      guard let adapter = specification.adapter, let bytes = try await blobs.size(of: adapter)
      else { throw StoreError(.corrupt, "The adapter of a train unit is missing.") }
      let shapes = try await AdapterPayload.shapes(bytes: bytes) { range in
        try await blobs.read(adapter, range: range)
      }
      self = .train(
        steps: inputs.steps.count, sequences: inputs.examples.sequences.count, shapes: shapes)
    }
  }

  /// Bytes of a result, at most.
  package var limitBytes: Int {
    switch self {
    case .generate(let outline): GenerateResult.limitBytes(for: outline)
    case .train(let steps, _, let shapes): TrainResult.limitBytes(steps: steps, shapes: shapes)
    case .validate(let labels): ValidateResult.limitBytes(sequences: labels.count)
    }
  }

  /// Checks that a result can be one of the unit.
  ///
  /// - Parameter vocabularySize: the model's; nil where tokens are known to be of it.
  /// - Throws: `FormatError` and `PayloadError`.
  package func result(
    checking data: Data, digest: Digest, vocabularySize: Int?
  ) throws -> NewResult {
    switch self {
    case .generate(let outline):
      return NewResult(
        digest: digest,
        result: try GenerateResult.check(data, for: outline, vocabularySize: vocabularySize))
    case .train(let steps, let sequences, let shapes):
      try TrainResult.check(data, steps: steps, shapes: shapes)
      return NewResult(digest: digest, sequences: Self.nothingGenerated(sequences))
    case .validate(let labels):
      _ = try ValidateResult(decoding: data, labels: labels)
      return NewResult(digest: digest, sequences: Self.nothingGenerated(labels.count))
    }
  }

  /// What a unit takes that generates nothing is known without.
  private static func nothingGenerated(_ sequences: Int) -> [SequenceSummary] {
    Array(repeating: SequenceSummary(tokens: 0, nonFinite: false), count: sequences)
  }
}
