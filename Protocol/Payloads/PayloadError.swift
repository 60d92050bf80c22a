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
