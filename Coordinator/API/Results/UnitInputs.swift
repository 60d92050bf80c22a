import CoordinatorCore
import CoordinatorStore
import WirePayloads
import WireProtocol

/// What a unit was given, by its kind.
package enum UnitInputs: Sendable {
  case generate(GenerateInputs)
  case train(TrainInputs)
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
    case (.train, .some): self = .train(try TrainInputs(decoding: inputs))
    case (.train, nil), (.stageForward, _):
      throw StoreError(.corrupt, "No \(specification.kind.rawValue) unit like this is handed out.")
    }
  }
}
