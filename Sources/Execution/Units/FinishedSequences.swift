import Foundation
import WirePayloads

/// Sequences of a unit that ended before the unit did, as they are kept on disk: their places among
/// the unit's sequences, and a `GenerateResult` of these sequences alone.
package struct FinishedSequences: Hashable, Sendable {
  /// Places among the unit's sequences, in the order of `result`.
  package var indices: [Int]
  /// The bytes of the `GenerateResult`.
  package var result: Data

  package init(indices: [Int], result: Data) {
    self.indices = indices
    self.result = result
  }

  /// - Throws: `PayloadError` when there are 2^31 tokens or more.
  package init(_ sequences: [Int: GenerateResult.Sequence]) throws {
    let ordered = sequences.sorted { $0.key < $1.key }
    indices = ordered.map(\.key)
    result = try GenerateResult(sequences: ordered.map(\.value)).encoded()
  }

  /// The sequences by their places, checked against what the unit asks for.
  ///
  /// - Throws: `FormatError` and `PayloadError` for bytes that can be no result of these sequences.
  package func decoded(for inputs: GenerateInputs) throws -> [Int: GenerateResult.Sequence] {
    guard Set(indices).count == indices.count, indices.allSatisfy(inputs.sequences.indices.contains)
    else {
      throw PayloadError(
        "finished sequences", tensor: "indices", reason: "are no places in the unit")
    }
    let asked = GenerateInputs(sequences: indices.map { inputs.sequences[$0] })
    let decoded = try GenerateResult(decoding: result, for: asked)
    return Dictionary(uniqueKeysWithValues: zip(indices, decoded.sequences))
  }
}
