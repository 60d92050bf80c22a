import CoordinatorStore
import Foundation
import WirePayloads
import WireProtocol

/// What a result has to look like, by the kind and the inputs of its unit.
package enum ResultCheck: Sendable {
  case generate(GenerateInputs)
  case train(TrainInputs, from: AdapterPayload)
  case validate(LabelledSequences)

  /// Reads what the unit was given.
  ///
  /// - Throws: `FormatError` and `PayloadError` for blobs that are not what the coordinator wrote;
  ///   `StoreError.corrupt` for a kind that it never hands out; what the blobs throw.
  package init(_ specification: UnitSpecification, blobs: any BlobStore) async throws {
    let inputs = try await blobs.read(specification.inputs)
    switch (specification.kind, specification.adapter) {
    case (.generate, _): self = .generate(try GenerateInputs(decoding: inputs))
    case (.validate, _): self = .validate(try LabelledSequences(decoding: inputs))
    case (.train, let adapter?):
      self = .train(
        try TrainInputs(decoding: inputs),
        from: try AdapterPayload(decoding: try await blobs.read(adapter)))
    case (.train, nil), (.stageForward, _):
      throw StoreError(.corrupt, "No \(specification.kind.rawValue) unit like this is handed out.")
    }
  }

  /// Bytes of a result, at most.
  package var limitBytes: Int {
    switch self {
    case .generate(let inputs): GenerateResult.limitBytes(for: inputs)
    case .train(let inputs, let adapter): TrainResult.limitBytes(for: inputs, from: adapter)
    case .validate(let inputs): ValidateResult.limitBytes(for: inputs)
    }
  }

  /// Checks that a result can be one of the unit.
  ///
  /// - Throws: `FormatError` and `PayloadError`.
  package func result(decoding data: Data, digest: Digest) throws -> NewResult {
    switch self {
    case .generate(let inputs):
      return NewResult(digest: digest, result: try GenerateResult(decoding: data, for: inputs))
    case .train(let inputs, let adapter):
      _ = try TrainResult(decoding: data, for: inputs, from: adapter)
      return NewResult(digest: digest, sequences: inputs.examples.summaries)
    case .validate(let inputs):
      _ = try ValidateResult(decoding: data, for: inputs)
      return NewResult(digest: digest, sequences: inputs.summaries)
    }
  }
}

extension LabelledSequences {
  /// Nothing is generated; what the unit takes is known without.
  fileprivate var summaries: [SequenceSummary] {
    sequences.map { _ in SequenceSummary(tokens: 0, nonFinite: false) }
  }
}
