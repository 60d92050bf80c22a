import Foundation
import ModelFormats

/// The inputs of a `generate` unit: S sequences to continue. A request with n choices is n
/// sequences.
///
/// One safetensors file, P tokens in all prompts, C stop strings in all:
///
///     prompt_tokens   I32 [P]     prompt_offsets  I32 [S+1]
///     max_tokens      I32 [S]     seed            I64 [S]
///     temperature     F32 [S]     top_p, min_p    F32 [S]
///     top_k           I32 [S]     0: no limit
///     top_logprobs    I32 [S]     -1: none, else 0 to 20 alternatives a token
///     stop_bytes      U8 [..]     stop_offsets    I32 [C+1]
///     stop_sequences  I32 [C]     the sequence that each stop string belongs to, not falling
package struct GenerateInputs: Equatable, Sendable {
  /// One prompt and how to continue it.
  package struct Sequence: Equatable, Sendable {
    /// At least one token.
    package var promptTokens: [Int32]
    /// 1 or more.
    package var maxTokens: Int
    /// 0 takes the most likely token; otherwise the logits' divisor.
    package var temperature: Float
    /// Above 0, up to 1.
    package var topP: Float
    /// 0 to 1, a share of the most likely token's probability.
    package var minP: Float
    /// 0: no limit.
    package var topK: Int
    /// Keys the random numbers of this sequence; see "Sampling" in NUMERICS.md.
    package var seed: Int64
    /// Alternatives to report for each token, 0 to 20; nil: none wanted.
    package var topLogprobs: Int?
    /// Not empty each; generation ends with the token that completes one.
    package var stopStrings: [[UInt8]]

    package init(
      promptTokens: [Int32], maxTokens: Int, temperature: Float = 0, topP: Float = 1,
      minP: Float = 0, topK: Int = 0, seed: Int64 = 0, topLogprobs: Int? = nil,
      stopStrings: [[UInt8]] = []
    ) {
      self.promptTokens = promptTokens
      self.maxTokens = maxTokens
      self.temperature = temperature
      self.topP = topP
      self.minP = minP
      self.topK = topK
      self.seed = seed
      self.topLogprobs = topLogprobs
      self.stopStrings = stopStrings
    }
  }

  /// What a reader accepts.
  package enum Limit {
    package static let sequences = 4096
    package static let maxTokens = 1 << 20
    package static let topLogprobs = 20
    package static let stopStringsPerSequence = 16
    package static let stopStringBytes = 1024
  }

  package var sequences: [Sequence]

  package init(sequences: [Sequence]) { self.sequences = sequences }

  /// What results depend on, sequence by sequence.
  package struct Outline: Hashable, Sendable {
    /// Tokens at most.
    package var maxTokens: Int
    /// Alternatives of each token.
    package var width: Int
  }

  /// What a result has to fit.
  package var outline: [Outline] {
    sequences.map { Outline(maxTokens: $0.maxTokens, width: $0.topLogprobs ?? 0) }
  }

  static let payload = "generate inputs"

  /// The canonical bytes.
  ///
  /// - Throws: `PayloadError` when a sequence breaks a rule above, so that what is written can be
  ///   read.
  package func encoded() throws -> Data {
    for (index, sequence) in sequences.enumerated() { try sequence.check(index) }
    guard
      let promptOffsets = RaggedOffsets.encode(sequences.lazy.map(\.promptTokens.count)),
      let stopOffsets = RaggedOffsets.encode(sequences.lazy.flatMap(\.stopStrings).map(\.count))
    else { throw Self.error("prompt_offsets", "2^31 elements or more") }
    var writer = SafetensorsWriter()
    try writer.add("prompt_tokens", sequences.flatMap(\.promptTokens))
    try writer.add("prompt_offsets", promptOffsets)
    try writer.add("max_tokens", sequences.map { Int32($0.maxTokens) })
    try writer.add("seed", sequences.map(\.seed))
    try writer.add("temperature", sequences.map(\.temperature))
    try writer.add("top_p", sequences.map(\.topP))
    try writer.add("min_p", sequences.map(\.minP))
    try writer.add("top_k", sequences.map { Int32($0.topK) })
    try writer.add("top_logprobs", sequences.map { Int32($0.topLogprobs ?? -1) })
    try writer.add("stop_bytes", sequences.flatMap(\.stopStrings).flatMap { $0 })
    try writer.add("stop_offsets", stopOffsets)
    try writer.add(
      "stop_sequences",
      sequences.enumerated().flatMap { index, sequence in
        sequence.stopStrings.map { _ in Int32(index) }
      })
    return writer.data()
  }

  /// Reads and checks inputs.
  ///
  /// - Throws: `FormatError` and `PayloadError`.
  package init(decoding data: Data) throws {
    let file = try SafetensorsFile(payload: data, name: Self.payload)
    let promptOffsets = try file.elements("prompt_offsets", as: Int32.self, shape: [nil])
    let count = promptOffsets.count - 1
    guard (1...Limit.sequences).contains(count) else {
      throw Self.error("prompt_offsets", "1 to \(Limit.sequences) sequences, not \(count)")
    }
    let promptTokens = try file.elements("prompt_tokens", as: Int32.self, shape: [nil])
    let prompts = try RaggedOffsets(
      promptOffsets, covering: promptTokens.count, payload: Self.payload, tensor: "prompt_offsets")
    let maxTokens = try file.elements("max_tokens", as: Int32.self, shape: [count])
    let seeds = try file.elements("seed", as: Int64.self, shape: [count])
    let temperatures = try file.elements("temperature", as: Float.self, shape: [count])
    let topPs = try file.elements("top_p", as: Float.self, shape: [count])
    let minPs = try file.elements("min_p", as: Float.self, shape: [count])
    let topKs = try file.elements("top_k", as: Int32.self, shape: [count])
    let topLogprobs = try file.elements("top_logprobs", as: Int32.self, shape: [count])
    let stops = try Self.stopStrings(file, sequences: count)
    sequences = try (0..<count).map { index in
      let sequence = Sequence(
        promptTokens: Array(promptTokens[prompts.ranges[index]]), maxTokens: Int(maxTokens[index]),
        temperature: temperatures[index], topP: topPs[index], minP: minPs[index],
        topK: Int(topKs[index]), seed: seeds[index],
        topLogprobs: topLogprobs[index] == -1 ? nil : Int(topLogprobs[index]),
        stopStrings: stops[index])
      try sequence.check(index)
      return sequence
    }
  }

  private static func stopStrings(
    _ file: SafetensorsFile, sequences: Int
  ) throws -> [[[UInt8]]] {
    let owners = try file.elements("stop_sequences", as: Int32.self, shape: [nil])
    guard owners.count <= sequences * Limit.stopStringsPerSequence else {
      throw error("stop_sequences", "\(owners.count) strings for \(sequences) sequences")
    }
    let offsets = try file.elements("stop_offsets", as: Int32.self, shape: [owners.count + 1])
    let bytes = try file.elements("stop_bytes", as: UInt8.self, shape: [nil])
    let strings = try RaggedOffsets(
      offsets, covering: bytes.count, payload: payload, tensor: "stop_offsets")
    var result = [[[UInt8]]](repeating: [], count: sequences)
    var previous: Int32 = 0
    for (owner, range) in zip(owners, strings.ranges) {
      guard owner >= previous, Int(owner) < sequences else {
        throw error("stop_sequences", "\(owner) is out of order or names no sequence")
      }
      previous = owner
      result[Int(owner)].append(Array(bytes[range]))
    }
    return result
  }

  static func error(_ tensor: String, _ reason: String) -> PayloadError {
    PayloadError(payload, tensor: tensor, reason: reason)
  }
}

extension GenerateInputs.Sequence {
  /// Throws `PayloadError` unless every field is within what its comment says.
  fileprivate func check(_ index: Int) throws {
    func require(_ condition: Bool, _ tensor: String, _ reason: String) throws {
      guard condition else {
        throw GenerateInputs.error(tensor, "sequence \(index): \(reason)")
      }
    }
    typealias Limit = GenerateInputs.Limit
    try require(!promptTokens.isEmpty, "prompt_offsets", "the prompt is empty")
    try require(
      (1...Limit.maxTokens).contains(maxTokens), "max_tokens", "1 to \(Limit.maxTokens)")
    try require(temperature.isFinite && temperature >= 0, "temperature", "finite, 0 or more")
    try require(topP > 0 && topP <= 1, "top_p", "above 0, at most 1")
    try require(minP >= 0 && minP <= 1, "min_p", "0 to 1")
    try require(topK >= 0 && topK <= Int(Int32.max), "top_k", "0 or more")
    if let topLogprobs {
      try require(
        (0...Limit.topLogprobs).contains(topLogprobs), "top_logprobs", "-1 to \(Limit.topLogprobs)")
    }
    try require(
      stopStrings.count <= Limit.stopStringsPerSequence
        && stopStrings.allSatisfy { (1...Limit.stopStringBytes).contains($0.count) },
      "stop_offsets",
      "up to \(Limit.stopStringsPerSequence) strings of 1 to \(Limit.stopStringBytes) bytes")
  }
}
