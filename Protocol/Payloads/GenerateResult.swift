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
    /// Token after token the likeliest tokens, falling: as many for each, none where none were
    /// asked for.
    package var topTokens: [Int32]
    package var topLogprobs: [Float]

    package init(
      tokens: [Int32] = [], finish: Finish, logprobs: [Float] = [], topTokens: [Int32] = [],
      topLogprobs: [Float] = []
    ) {
      self.tokens = tokens
      self.finish = finish
      self.logprobs = logprobs
      self.topTokens = topTokens
      self.topLogprobs = topLogprobs
    }

    /// Where the alternatives of token `index` are in `topTokens` and `topLogprobs`.
    package func alternatives(of index: Int) -> Range<Int> {
      let width = tokens.isEmpty ? 0 : topTokens.count / tokens.count
      return index * width..<(index + 1) * width
    }
  }

  package var sequences: [Sequence]

  package init(sequences: [Sequence]) { self.sequences = sequences }

  static let payload = "generate result"
  /// Bytes of the header, at most; a result's own has half a kilobyte.
  package static let headerBytes = 4096

  /// The most bytes that a result can have, uncompressed; a larger upload need not be read.
  package static func limitBytes(for outline: [GenerateInputs.Outline]) -> Int {
    let perSequence = outline.reduce(0) { total, sequence in
      total + 16 + sequence.maxTokens * (8 + 8 * sequence.width)
    }
    return perSequence + headerBytes
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
    try writer.add("top_tokens", sequences.flatMap(\.topTokens))
    try writer.add("top_logprobs", sequences.flatMap(\.topLogprobs))
    return writer.data()
  }

  /// Reads a result and checks that it can be one of `inputs`.
  ///
  /// - Throws: `FormatError` and `PayloadError`.
  package init(decoding data: Data, for inputs: GenerateInputs) throws {
    let file = try Self.file(data)
    let index = try GenerateResultIndex(file, for: inputs.outline)
    sequences = (0..<index.count).map { index.sequence($0, in: file.storage) }
  }

  /// Checks that a result can be one of inputs with this outline, without building anything of it.
  ///
  /// - Parameter vocabularySize: tokens are below it; nil where nobody knows.
  /// - Throws: `FormatError` and `PayloadError`.
  package static func check(
    _ data: Data, for outline: [GenerateInputs.Outline], vocabularySize: Int?
  ) throws -> GenerateResultIndex {
    let file = try file(data)
    let index = try GenerateResultIndex(file, for: outline)
    let limit = vocabularySize.map { Int32(clamping: $0) } ?? .max
    for name in ["tokens", "top_tokens"] {
      guard try file.all(name, as: Int32.self, { $0 >= 0 && $0 < limit }) else {
        throw error(name, "a token is not in the model's vocabulary")
      }
    }
    return index
  }

  private static func file(_ data: Data) throws -> SafetensorsFile {
    try SafetensorsFile(payload: data, name: payload, headerBytes: headerBytes)
  }

  static func error(_ tensor: String, _ reason: String) -> PayloadError {
    PayloadError(payload, tensor: tensor, reason: reason)
  }
}
