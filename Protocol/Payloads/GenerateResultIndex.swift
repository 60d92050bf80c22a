import Foundation
import ModelFormats

/// Where each sequence of a `GenerateResult` is in its bytes, so that one can be read without the
/// others. Whatever can be wrong with the bytes but the values of tokens and log-probabilities is
/// checked.
package struct GenerateResultIndex: Sendable {
  private let tokens: [Range<Int>]
  private let finishes: [GenerateResult.Finish]
  private let widths: [Int]
  /// Where the alternatives of each sequence begin.
  private let starts: [Int]
  /// Where the tensors begin in the file.
  private let places: Places

  private struct Places {
    var tokens: Int
    var logprobs: Int
    var topTokens: Int
    var topLogprobs: Int
  }

  /// Tensors that are read beforehand, by their header.
  private static func records(
    _ header: SafetensorsHeader, count: Int
  ) throws -> (offsets: TensorRecord, finish: TensorRecord) {
    (
      try header.record("offsets", .int32, shape: [count + 1]),
      try header.record("finish", .uint8, shape: [count])
    )
  }

  init(_ file: SafetensorsFile, for outline: [GenerateInputs.Outline]) throws {
    let records = try Self.records(file.header, count: outline.count)
    try self.init(
      file.header, offsets: file.storage.withUnsafeBytes(records.offsets.range, Int32.elements),
      finish: file.storage.withUnsafeBytes(records.finish.range, UInt8.elements), outline)
  }

  /// Reads what it needs of a file of `bytes` bytes.
  ///
  /// - Parameter read: gives the bytes of a range of the file.
  /// - Throws: `FormatError`, `PayloadError`, and what `read` throws.
  package init(
    bytes: Int, for outline: [GenerateInputs.Outline], read: (Range<Int>) async throws -> Data
  ) async throws {
    var limits = SafetensorsFile.Limits()
    limits.headerBytes = GenerateResult.headerBytes
    let start = try await read(0..<min(bytes, SafetensorsHeader.lengthBytes))
    let length = try SafetensorsHeader.byteCount(
      start, fileBytes: bytes, file: GenerateResult.payload, limits: limits)
    let header = try SafetensorsHeader(
      try await read(0..<length), fileBytes: bytes, file: GenerateResult.payload, limits: limits)
    let records = try Self.records(header, count: outline.count)
    try self.init(
      header, offsets: (try await read(records.offsets.range)).withUnsafeBytes(Int32.elements),
      finish: (try await read(records.finish.range)).withUnsafeBytes(UInt8.elements), outline)
  }

  private init(
    _ header: SafetensorsHeader, offsets: [Int32], finish: [UInt8],
    _ outline: [GenerateInputs.Outline]
  ) throws {
    func error(_ tensor: String, _ reason: String) -> PayloadError {
      GenerateResult.error(tensor, reason)
    }
    guard header.tensors.count == 6 else {
      throw error("tokens", "\(header.tensors.count) tensors, not 6")
    }
    let tokens = try header.record("tokens", .int32, shape: [nil])
    let ranges = try RaggedOffsets(
      offsets, covering: tokens.shape[0], payload: GenerateResult.payload, tensor: "offsets"
    ).ranges
    var finishes: [GenerateResult.Finish] = []
    var starts: [Int] = []
    var alternatives = 0
    for (index, sequence) in outline.enumerated() {
      guard let value = GenerateResult.Finish(rawValue: finish[index]) else {
        throw error("finish", "sequence \(index): unknown value \(finish[index])")
      }
      let count = ranges[index].count
      guard count <= sequence.maxTokens, count > 0 || value == .nonFinite else {
        throw error("offsets", "sequence \(index) cannot have \(count) tokens")
      }
      finishes.append(value)
      starts.append(alternatives)
      alternatives += count * sequence.width
    }
    let logprobs = try header.record("logprobs", .float32, shape: tokens.shape)
    let topTokens = try header.record("top_tokens", .int32, shape: [alternatives])
    let topLogprobs = try header.record("top_logprobs", .float32, shape: [alternatives])
    (self.tokens, self.finishes, self.starts) = (ranges, finishes, starts)
    widths = outline.map(\.width)
    places = Places(
      tokens: tokens.range.lowerBound, logprobs: logprobs.range.lowerBound,
      topTokens: topTokens.range.lowerBound, topLogprobs: topLogprobs.range.lowerBound)
  }

  /// Sequences of the result.
  package var count: Int { tokens.count }
  /// Tokens that a sequence has.
  package func tokenCount(of sequence: Int) -> Int { tokens[sequence].count }
  /// Why a sequence ended.
  package func finish(of sequence: Int) -> GenerateResult.Finish { finishes[sequence] }

  /// Reads one sequence of the result.
  ///
  /// - Parameter read: gives the bytes of a range of the file.
  /// - Throws: what `read` throws.
  package func sequence(
    _ sequence: Int, read: (Range<Int>) async throws -> Data
  ) async rethrows -> GenerateResult.Sequence {
    let parts = parts(of: sequence)
    return make(
      sequence, tokens: try await read(parts.tokens), logprobs: try await read(parts.logprobs),
      topTokens: try await read(parts.topTokens), topLogprobs: try await read(parts.topLogprobs))
  }

  /// The same of a file that is in memory.
  func sequence(_ sequence: Int, in storage: ByteStorage) -> GenerateResult.Sequence {
    let parts = parts(of: sequence)
    func read(_ range: Range<Int>) -> Data { storage.withUnsafeBytes(range) { Data($0) } }
    return make(
      sequence, tokens: read(parts.tokens), logprobs: read(parts.logprobs),
      topTokens: read(parts.topTokens), topLogprobs: read(parts.topLogprobs))
  }

  private func make(
    _ sequence: Int, tokens: Data, logprobs: Data, topTokens: Data, topLogprobs: Data
  ) -> GenerateResult.Sequence {
    GenerateResult.Sequence(
      tokens: tokens.withUnsafeBytes(Int32.elements), finish: finishes[sequence],
      logprobs: logprobs.withUnsafeBytes(Float.elements),
      topTokens: topTokens.withUnsafeBytes(Int32.elements),
      topLogprobs: topLogprobs.withUnsafeBytes(Float.elements))
  }

  /// Where the parts of a sequence are in the file. Every element has four bytes.
  private func parts(
    of sequence: Int
  ) -> (tokens: Range<Int>, logprobs: Range<Int>, topTokens: Range<Int>, topLogprobs: Range<Int>) {
    func range(_ place: Int, _ first: Int, _ count: Int) -> Range<Int> {
      place + 4 * first..<place + 4 * (first + count)
    }
    let own = tokens[sequence]
    let (start, count) = (starts[sequence], own.count * widths[sequence])
    return (
      range(places.tokens, own.lowerBound, own.count),
      range(places.logprobs, own.lowerBound, own.count),
      range(places.topTokens, start, count), range(places.topLogprobs, start, count)
    )
  }
}
