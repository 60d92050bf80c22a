import Foundation
import ModelFormats

/// Float32 values that travel as bfloat16.
package enum BFloat16Coding {
  /// The nearest bfloat16 value, ties to even; an infinity or NaN is for the reader to refuse.
  package static func rounded(_ value: Float) -> Float {
    Float(bitPattern: UInt32(word(value)) << 16)
  }

  /// Whether every value is one that bfloat16 has.
  static func isExact(_ values: [Float]) -> Bool {
    values.allSatisfy { $0.bitPattern & 0xffff == 0 }
  }

  static func narrow(_ values: [Float]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(2 * values.count)
    for value in values {
      let word = word(value)
      bytes.append(UInt8(word & 0xff))
      bytes.append(UInt8(word >> 8))
    }
    return bytes
  }

  /// Whether none of a tensor's bytes make up an infinity or NaN.
  static func areFinite(_ bytes: UnsafeRawBufferPointer) -> Bool {
    stride(from: 0, to: bytes.count - 1, by: 2).allSatisfy { at in
      (UInt16(bytes[at]) | UInt16(bytes[at + 1]) << 8) & 0x7f80 != 0x7f80
    }
  }

  /// The values of a BF16 tensor.
  ///
  /// - Throws: `FormatError`.
  static func widen(_ file: SafetensorsFile, _ name: String) throws -> [Float] {
    try file.withBytes(of: name) { bytes in
      stride(from: 0, to: bytes.count - 1, by: 2).map { at in
        Float(bitPattern: UInt32(bytes[at]) << 16 | UInt32(bytes[at + 1]) << 24)
      }
    }
  }

  private static func word(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    guard value.isFinite else { return UInt16(bits >> 16) | (value.isNaN ? 0x40 : 0) }
    return UInt16((bits &+ 0x7fff &+ (bits >> 16 & 1)) >> 16)
  }
}
