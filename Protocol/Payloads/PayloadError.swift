import Foundation
import ModelFormats

/// A payload that is a well-formed safetensors file, but not a valid one of its kind.
package struct PayloadError: Error, Hashable, CustomStringConvertible {
  /// Which payload, for example `generate inputs`.
  package let payload: String
  /// The tensor that is wrong.
  package let tensor: String
  package let reason: String

  package init(_ payload: String, tensor: String, reason: String) {
    self.payload = payload
    self.tensor = tensor
    self.reason = reason
  }

  package var description: String { "\(payload): tensor \(tensor): \(reason)" }
}

extension SafetensorsFile {
  /// Bytes of a payload's header, at most: what a few matrices of each of a thousand layers need. A
  /// header is read into many small pieces, unlike what follows it.
  static let payloadHeaderBytes = 4 << 20

  /// A payload that came from outside.
  ///
  /// - Parameter headerBytes: of its header, at most.
  /// - Throws: `FormatError`.
  init(payload data: Data, name: String, headerBytes: Int = payloadHeaderBytes) throws {
    var limits = Limits()
    limits.headerBytes = headerBytes
    try self.init(data: data, name: name, limits: limits)
  }

  /// Whether all elements of a tensor pass, of which none is copied.
  ///
  /// - Throws: `FormatError` with code `missing`, `badType` or `badLayout`.
  func all<T: BitwiseElement>(
    _ tensor: String, as type: T.Type, shape: [Int?]? = nil, _ passes: (T) -> Bool
  ) throws -> Bool {
    let record = try header.record(tensor, T.elementType, shape: shape)
    return storage.withUnsafeBytes(record.range) { bytes in
      let width = MemoryLayout<T>.stride
      return stride(from: 0, to: bytes.count / width * width, by: width).allSatisfy {
        passes(bytes.loadUnaligned(fromByteOffset: $0, as: T.self))
      }
    }
  }
}

/// Cuts a flat tensor into the rows that an offsets tensor (`rows + 1` rising values from 0 to the
/// count) describes.
struct RaggedOffsets {
  let ranges: [Range<Int>]

  /// - Throws: `PayloadError` when the offsets do not start at 0, fall, or do not end at `count`.
  init(_ offsets: [Int32], covering count: Int, payload: String, tensor: String) throws {
    guard offsets.first == 0, let last = offsets.last, Int(last) == count else {
      throw PayloadError(
        payload, tensor: tensor, reason: "offsets must run from 0 to the \(count) elements")
    }
    ranges = try zip(offsets, offsets.dropFirst()).map { start, end in
      guard start <= end else {
        throw PayloadError(payload, tensor: tensor, reason: "offsets fall from \(start) to \(end)")
      }
      return Int(start)..<Int(end)
    }
  }

  /// The tensors `tokens` and `offsets` of a file: sequences of at least one token each.
  ///
  /// - Parameter limit: sequences at most.
  /// - Throws: `FormatError` and `PayloadError`.
  static func sequences(
    of file: SafetensorsFile, payload: String, limit: Int
  ) throws -> (tokens: [Int32], ranges: [Range<Int>]) {
    func error(_ reason: String) -> PayloadError {
      PayloadError(payload, tensor: "offsets", reason: reason)
    }
    let tokens = try file.elements("tokens", as: Int32.self, shape: [nil])
    let offsets = try file.elements("offsets", as: Int32.self, shape: [nil])
    guard offsets.count > 1, offsets.count - 1 <= limit else {
      throw error("1 to \(limit) sequences, not \(offsets.count - 1)")
    }
    let ranges = try RaggedOffsets(
      offsets, covering: tokens.count, payload: payload, tensor: "offsets"
    ).ranges
    if let empty = ranges.firstIndex(where: \.isEmpty) {
      throw error("sequence \(empty) has no tokens")
    }
    return (tokens, ranges)
  }

  /// The offsets tensor of rows with these counts; nil where it would pass 2^31.
  static func encode(_ counts: some Sequence<Int>) -> [Int32]? {
    var offsets: [Int32] = [0]
    var total = 0
    for count in counts {
      total += count
      guard let offset = Int32(exactly: total) else { return nil }
      offsets.append(offset)
    }
    return offsets
  }
}
