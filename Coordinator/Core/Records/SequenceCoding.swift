import Foundation
import WirePayloads

/// A waiting request's sequences as bytes in the database: variable-length integers, and each
/// prompt once however many choices continue it. The store alone writes and reads it, until the
/// request is cut into a unit.
///
///     version 1 | count | for each sequence:
///     prompt (0: as before, else tokens + 1, then the tokens)
///     max_tokens | top_k | top_logprobs + 1 | seed (8 bytes)
///     temperature, top_p, min_p (4 bytes each)
///     stop strings: count, then length and bytes of each
package enum SequenceCoding {
  private static let version: UInt64 = 1

  /// The bytes of a request's sequences.
  package static func encode(_ sequences: [GenerateInputs.Sequence]) -> Data {
    var writer = Writer()
    writer.integer(version)
    writer.integer(UInt64(sequences.count))
    var previous: [Int32]?
    for sequence in sequences {
      if sequence.promptTokens == previous {
        writer.integer(0)
      } else {
        writer.integer(UInt64(sequence.promptTokens.count) + 1)
        for token in sequence.promptTokens { writer.integer(UInt64(UInt32(bitPattern: token))) }
        previous = sequence.promptTokens
      }
      writer.integer(UInt64(sequence.maxTokens))
      writer.integer(UInt64(sequence.topK))
      writer.integer(UInt64((sequence.topLogprobs ?? -1) + 1))
      writer.fixed(UInt64(bitPattern: sequence.seed))
      writer.fixed(sequence.temperature.bitPattern)
      writer.fixed(sequence.topP.bitPattern)
      writer.fixed(sequence.minP.bitPattern)
      writer.integer(UInt64(sequence.stopStrings.count))
      for stop in sequence.stopStrings {
        writer.integer(UInt64(stop.count))
        writer.bytes += stop
      }
    }
    return Data(writer.bytes)
  }

  /// - Throws: `StoreError.corrupt`.
  package static func decode(_ data: Data) throws -> [GenerateInputs.Sequence] {
    var reader = Reader(bytes: [UInt8](data))
    guard try reader.integer() == version else { throw Reader.damaged }
    let count = try reader.count(atLeastBytesEach: 24)
    var sequences: [GenerateInputs.Sequence] = []
    sequences.reserveCapacity(count)
    var prompt: [Int32] = []
    for _ in 0..<count {
      let marker = try reader.integer()
      if marker > 0 {
        guard marker - 1 <= UInt64(reader.left) else { throw Reader.damaged }
        prompt = try (0..<Int(marker - 1)).map { _ in
          Int32(bitPattern: UInt32(truncatingIfNeeded: try reader.integer()))
        }
      }
      var sequence = GenerateInputs.Sequence(promptTokens: prompt, maxTokens: try reader.int())
      sequence.topK = try reader.int()
      let alternatives = try reader.int()
      sequence.topLogprobs = alternatives == 0 ? nil : alternatives - 1
      sequence.seed = Int64(bitPattern: try reader.fixed(UInt64.self))
      sequence.temperature = Float(bitPattern: try reader.fixed(UInt32.self))
      sequence.topP = Float(bitPattern: try reader.fixed(UInt32.self))
      sequence.minP = Float(bitPattern: try reader.fixed(UInt32.self))
      let stops = try reader.count(atLeastBytesEach: 1)
      sequence.stopStrings = try (0..<stops).map { _ in try reader.array(try reader.int()) }
      sequences.append(sequence)
    }
    return sequences
  }
}

private struct Writer {
  var bytes: [UInt8] = []

  /// LEB128.
  mutating func integer(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  mutating func fixed<Value: FixedWidthInteger>(_ value: Value) {
    withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
  }
}

private struct Reader {
  let bytes: [UInt8]
  var position = 0

  static var damaged: StoreError { StoreError(.corrupt, "A stored request is damaged.") }

  var left: Int { bytes.count - position }

  mutating func byte() throws -> UInt8 {
    guard position < bytes.count else { throw Self.damaged }
    defer { position += 1 }
    return bytes[position]
  }

  mutating func integer() throws -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 64, by: 7) {
      let next = try byte()
      value |= UInt64(next & 0x7f) << shift
      if next & 0x80 == 0 { return value }
    }
    throw Self.damaged
  }

  mutating func int() throws -> Int {
    guard let value = Int(exactly: try integer()) else { throw Self.damaged }
    return value
  }

  /// A count whose items take at least so many bytes each.
  mutating func count(atLeastBytesEach size: Int) throws -> Int {
    let count = try int()
    guard count <= left / size else { throw Self.damaged }
    return count
  }

  mutating func array(_ count: Int) throws -> [UInt8] {
    guard count >= 0, count <= left else { throw Self.damaged }
    defer { position += count }
    return Array(bytes[position..<position + count])
  }

  mutating func fixed<Value: FixedWidthInteger>(_ type: Value.Type) throws -> Value {
    let raw = try array(MemoryLayout<Value>.size)
    return raw.reversed().reduce(0) { $0 << 8 | Value($1) }
  }
}
