import Foundation
import ModelFormats

/// The result of a `generate` unit: what each sequence of its inputs became.
///
/// One safetensors file, G tokens generated in all, W_s the alternatives that sequence s asked for
/// (0 where it asked for none), A the sum of G_s x W_s:
///
///     tokens      I32 [G]   offsets      I32 [S+1]   finish  U8 [S]
///     logprobs    F32 [G]   top_tokens   I32 [A]     top_logprobs  F32 [A]
///
/// A generated end-of-sequence token is part of `tokens`. Log-probabilities are those of the
/// unscaled logits.
package struct GenerateResult: Equatable, Sendable {
  /// Why a sequence ended.
  package enum Finish: UInt8, Sendable, CaseIterable {
    /// The model gave one of its end-of-sequence tokens.
    case endOfSequence = 0
    /// `maxTokens` were generated, or the context is full.
    case length = 1
    /// The last token completed a stop string.
    case stopString = 2
    /// A logit was not finite: the request fails, and `tokens` holds what came before.
    case nonFinite = 3
  }

  /// What one sequence became.
  package struct Sequence: Equatable, Sendable {
    package var tokens: [Int32]
    package var finish: Finish
    /// One for each token.
    package var logprobs: [Float]
    /// For each token the likeliest tokens, falling; empty rows where none were asked for.
    package var topTokens: [[Int32]]
    package var topLogprobs: [[Float]]

    package init(
      tokens: [Int32] = [], finish: Finish, logprobs: [Float] = [], topTokens: [[Int32]] = [],
      topLogprobs: [[Float]] = []
    ) {
      self.tokens = tokens
      self.finish = finish
      self.logprobs = logprobs
      self.topTokens = topTokens
      self.topLogprobs = topLogprobs
    }
  }

  package var sequences: [Sequence]

  package init(sequences: [Sequence]) { self.sequences = sequences }

  private static let payload = "generate result"

  /// The most bytes that a result of `inputs` can have, uncompressed; a larger upload need not be
  /// read.
  package static func limitBytes(for inputs: GenerateInputs) -> Int {
    let perSequence = inputs.sequences.reduce(0) { total, sequence in
      total + 16 + sequence.maxTokens * (8 + 8 * (sequence.topLogprobs ?? 0))
    }
    return perSequence + 4096
  }

  /// The canonical bytes, whose digest is compared between replicas.
  ///
  /// - Throws: `PayloadError` when there are 2^31 tokens or more.
  package func encoded() throws -> Data {
    guard let offsets = RaggedOffsets.encode(sequences.lazy.map(\.tokens.count)) else {
      throw Self.error("offsets", "2^31 tokens or more")
    }
    var writer = SafetensorsWriter()
    try writer.add("tokens", sequences.flatMap(\.tokens))
    try writer.add("offsets", offsets)
    try writer.add("finish", sequences.map(\.finish.rawValue))
    try writer.add("logprobs", sequences.flatMap(\.logprobs))
    try writer.add("top_tokens", sequences.flatMap { $0.topTokens.flatMap { $0 } })
    try writer.add("top_logprobs", sequences.flatMap { $0.topLogprobs.flatMap { $0 } })
    return writer.data()
  }

  /// Reads a result and checks that it can be one of `inputs`.
  ///
  /// - Throws: `FormatError` and `PayloadError`.
  package init(decoding data: Data, for inputs: GenerateInputs) throws {
    let file = try SafetensorsFile(data: data, name: Self.payload)
    let count = inputs.sequences.count
    let tokens = try file.elements("tokens", as: Int32.self, shape: [nil])
    let offsets = try RaggedOffsets(
      try file.elements("offsets", as: Int32.self, shape: [count + 1]), covering: tokens.count,
      payload: Self.payload, tensor: "offsets")
    let finishes = try file.elements("finish", as: UInt8.self, shape: [count])
    let logprobs = try file.elements("logprobs", as: Float.self, shape: [tokens.count])
    let widths = inputs.sequences.map { $0.topLogprobs ?? 0 }
    let alternatives = zip(offsets.ranges, widths).reduce(0) { $0 + $1.0.count * $1.1 }
    let topTokens = try file.elements("top_tokens", as: Int32.self, shape: [alternatives])
    let topLogprobs = try file.elements("top_logprobs", as: Float.self, shape: [alternatives])
    var next = 0
    sequences = try (0..<count).map { index in
      let range = offsets.ranges[index]
      let width = widths[index]
      guard let finish = Finish(rawValue: finishes[index]) else {
        throw Self.error("finish", "sequence \(index): unknown value \(finishes[index])")
      }
      guard range.count <= inputs.sequences[index].maxTokens, !range.isEmpty || finish == .nonFinite
      else { throw Self.error("offsets", "sequence \(index) cannot have \(range.count) tokens") }
      let rows = range.indices.map { step in
        next + (step - range.lowerBound) * width..<next + (step - range.lowerBound + 1) * width
      }
      next += range.count * width
      return Sequence(
        tokens: Array(tokens[range]), finish: finish, logprobs: Array(logprobs[range]),
        topTokens: rows.map { Array(topTokens[$0]) },
        topLogprobs: rows.map { Array(topLogprobs[$0]) })
    }
  }

  private static func error(_ tensor: String, _ reason: String) -> PayloadError {
    PayloadError(payload, tensor: tensor, reason: reason)
  }
}
