import Foundation
import ModelFormats

/// The result of a `stage_forward` unit whose part has the head: how likely the model finds the
/// sequences' own tokens, and what it finds likeliest at each.
///
/// One safetensors file, S sequences of R tokens in all:
///
///     logprobs            F32 [R-S]   of each token but the first, after those before it
///     likeliest           I32 [R]     the likeliest token after each; the lower id of equals
///     likeliest_logprobs  F32 [R]     its log-probability
///     first_non_finite    I32 [S]     the position from which logits are not finite, else -1; what
///                                     follows from that position or a later one is 0
package struct StageScores: Equatable, Sendable {
  /// Of one sequence.
  package struct Sequence: Equatable, Sendable {
    /// One less than tokens.
    package var logprobs: [Float]
    /// One for each token.
    package var likeliest: [Int32]
    package var likeliestLogprobs: [Float]
    /// Nil where everything is finite.
    package var firstNonFinite: Int?

    /// Scores of a sequence of so many tokens, to be filled in.
    package init(tokens: Int) {
      logprobs = Array(repeating: 0, count: max(0, tokens - 1))
      likeliest = Array(repeating: 0, count: tokens)
      likeliestLogprobs = Array(repeating: 0, count: tokens)
    }
  }

  package var sequences: [Sequence]

  package init(sequences: [Sequence]) { self.sequences = sequences }

  private static let payload = "stage scores"

  /// The canonical bytes, whose digest is compared between replicas.
  ///
  /// - Throws: `PayloadError` when there are 2^31 tokens or more.
  package func encoded() throws -> Data {
    var writer = SafetensorsWriter()
    try writer.add("logprobs", sequences.flatMap(\.logprobs))
    try writer.add("likeliest", sequences.flatMap(\.likeliest))
    try writer.add("likeliest_logprobs", sequences.flatMap(\.likeliestLogprobs))
    try writer.add(
      "first_non_finite",
      sequences.map { sequence in
        guard let position = sequence.firstNonFinite else { return Int32(-1) }
        guard let value = Int32(exactly: position) else {
          throw PayloadError(
            Self.payload, tensor: "first_non_finite", reason: "2^31 tokens or more")
        }
        return value
      })
    return writer.data()
  }

  /// Reads a result and checks that it can be one of `inputs`.
  ///
  /// - Throws: `FormatError` and `PayloadError`.
  package init(decoding data: Data, for inputs: StageActivations) throws {
    let file = try SafetensorsFile(payload: data, name: Self.payload, headerBytes: 4096)
    guard file.tensors.count == 4 else {
      throw PayloadError(
        Self.payload, tensor: "logprobs", reason: "\(file.tensors.count) tensors, not 4")
    }
    let (rows, count) = (inputs.tokenCount, inputs.sequences.count)
    let nonFinite = try file.elements("first_non_finite", as: Int32.self, shape: [count])
    for (tokens, position) in zip(inputs.sequences, nonFinite) {
      guard position >= -1, Int(position) < tokens.count else {
        throw PayloadError(
          Self.payload, tensor: "first_non_finite",
          reason: "\(position) is no position of \(tokens.count)")
      }
    }
    guard try file.all("likeliest", as: Int32.self, shape: [rows], { $0 >= 0 }) else {
      throw PayloadError(Self.payload, tensor: "likeliest", reason: "a token below 0")
    }
    var logprobs = try file.elements("logprobs", as: Float.self, shape: [rows - count])[...]
    var likeliest = try file.elements("likeliest", as: Int32.self, shape: [rows])[...]
    var likeliestLogprobs = try file.elements(
      "likeliest_logprobs", as: Float.self, shape: [rows])[...]
    sequences = zip(inputs.sequences, nonFinite).map { tokens, position in
      var sequence = Sequence(tokens: 0)
      sequence.logprobs = Array(logprobs.prefix(tokens.count - 1))
      sequence.likeliest = Array(likeliest.prefix(tokens.count))
      sequence.likeliestLogprobs = Array(likeliestLogprobs.prefix(tokens.count))
      sequence.firstNonFinite = position < 0 ? nil : Int(position)
      logprobs = logprobs.dropFirst(tokens.count - 1)
      likeliest = likeliest.dropFirst(tokens.count)
      likeliestLogprobs = likeliestLogprobs.dropFirst(tokens.count)
      return sequence
    }
  }
}
