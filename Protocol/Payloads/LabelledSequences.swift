import Foundation
import ModelFormats

/// Sequences with what each position should have foreseen: the inputs of a `validate` unit, and
/// part of those of a `train` unit.
///
///     tokens, labels  I32 [R]     a label is the token itself, or -100 where it does not count
///     offsets         I32 [S+1]   sequence s has the tokens from offset s to s+1; at least one
package struct LabelledSequences: Equatable, Sendable {
  /// Tokens and labels of one sequence, as many of both.
  package struct Sequence: Equatable, Sendable {
    package var tokens: [Int32]
    package var labels: [Int32]

    package init(tokens: [Int32], labels: [Int32]) { (self.tokens, self.labels) = (tokens, labels) }
  }

  /// What a reader accepts.
  package enum Limit {
    package static let sequences = 1 << 16
  }

  package var sequences: [Sequence]

  package init(sequences: [Sequence]) { self.sequences = sequences }

  private static let payload = "labelled sequences"

  /// The canonical bytes.
  ///
  /// - Throws: `PayloadError` for what cannot be read again.
  package func encoded() throws -> Data {
    var writer = SafetensorsWriter()
    try add(to: &writer)
    return writer.data()
  }

  func add(to writer: inout SafetensorsWriter) throws {
    guard
      (1...Limit.sequences).contains(sequences.count),
      sequences.allSatisfy({ !$0.tokens.isEmpty && $0.tokens.count == $0.labels.count }),
      let offsets = RaggedOffsets.encode(sequences.lazy.map(\.tokens.count))
    else {
      throw Self.error("offsets", "there is no sequence, or one without a label for each token")
    }
    try writer.add("tokens", sequences.flatMap(\.tokens))
    try writer.add("labels", sequences.flatMap(\.labels))
    try writer.add("offsets", offsets)
  }

  /// - Throws: `FormatError` and `PayloadError`; whether tokens are of a model is for that model to
  ///   say.
  package init(decoding data: Data) throws {
    try self.init(SafetensorsFile(payload: data, name: Self.payload))
  }

  init(_ file: SafetensorsFile) throws {
    let (tokens, ranges) = try RaggedOffsets.sequences(
      of: file, payload: Self.payload, limit: Limit.sequences)
    let labels = try file.elements("labels", as: Int32.self, shape: [tokens.count])
    sequences = ranges.map {
      Sequence(tokens: Array(tokens[$0]), labels: Array(labels[$0]))
    }
  }

  private static func error(_ tensor: String, _ reason: String) -> PayloadError {
    PayloadError(payload, tensor: tensor, reason: reason)
  }
}
