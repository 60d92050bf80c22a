import Foundation
import ModelFormats

/// The bytes that each token contributes to a text, so that a worker finds stop strings without a
/// tokenizer.
///
/// A safetensors file: `token_bytes` U8 [..] and `token_offsets` I32 [V+1].
package struct VocabularyBytes: Equatable, Sendable {
  private static let payload = "vocabulary bytes"
  private let bytes: [UInt8]
  private let ranges: [Range<Int>]

  /// - Parameter tokens: the bytes of tokens 0, 1, …; none for a token that shows nothing.
  package init(tokens: [[UInt8]]) {
    bytes = tokens.flatMap { $0 }
    var start = 0
    ranges = tokens.map { token in
      defer { start += token.count }
      return start..<start + token.count
    }
  }

  package var count: Int { ranges.count }

  /// The bytes of `token`; none for an id outside the vocabulary.
  package subscript(token: Int32) -> ArraySlice<UInt8> {
    guard let index = Int(exactly: token), ranges.indices.contains(index) else { return [] }
    return bytes[ranges[index]]
  }

  /// - Throws: `PayloadError` for a vocabulary of 2 GiB or more.
  package func encoded() throws -> Data {
    guard let offsets = RaggedOffsets.encode(ranges.map(\.count)) else {
      throw PayloadError(Self.payload, tensor: "token_bytes", reason: "2 GiB or more")
    }
    var writer = SafetensorsWriter()
    try writer.add("token_bytes", bytes)
    try writer.add("token_offsets", offsets)
    return writer.data()
  }

  /// - Throws: `FormatError` and `PayloadError`.
  package init(decoding data: Data) throws {
    let file = try SafetensorsFile(payload: data, name: Self.payload)
    bytes = try file.elements("token_bytes", as: UInt8.self, shape: [nil])
    let offsets = try file.elements("token_offsets", as: Int32.self, shape: [nil])
    ranges = try RaggedOffsets(
      offsets, covering: bytes.count, payload: Self.payload, tensor: "token_offsets"
    ).ranges
  }
}
