/// How the elements of a stored tensor are encoded, little-endian.
///
/// Raw values are the names that safetensors and GGUF files use.
package enum ElementType: String, Sendable, Hashable, Codable, CaseIterable {
  case float64 = "F64"
  case float32 = "F32"
  case float16 = "F16"
  case bfloat16 = "BF16"
  /// One sign, four exponent (bias 7) and three mantissa bits, no infinities (OCP FP8 E4M3).
  case float8E4M3 = "F8_E4M3"
  case int64 = "I64"
  case int32 = "I32"
  case int16 = "I16"
  case int8 = "I8"
  case uint64 = "U64"
  case uint32 = "U32"
  case uint16 = "U16"
  case uint8 = "U8"
  /// One byte, 0 or 1.
  case bool = "BOOL"
  /// ggml's `block_q8_0`: 32 elements in 34 bytes, a float16 scale `d` and 32 int8 `q`; element =
  /// d*q.
  case q8_0 = "Q8_0"
  /// ggml's `block_q4_0`: 32 elements in 18 bytes, a float16 scale `d` and 16 bytes of nibbles;
  /// byte j holds element j in its low and j+16 in its high half; element = d*(nibble-8).
  case q4_0 = "Q4_0"
  /// ggml's `block_q4_1`: 32 elements in 20 bytes, a float16 scale `d`, a float16 minimum `m` and
  /// nibbles as in `q4_0`; element = d*nibble+m.
  case q4_1 = "Q4_1"
  /// The other quantised types of ggml that can be computed with, as `ggml-common.h` lays them out:
  /// blocks of 32 elements, then blocks of 256.
  case q5_0 = "Q5_0"
  case q5_1 = "Q5_1"
  case iq4NL = "IQ4_NL"
  case q2K = "Q2_K"
  case q3K = "Q3_K"
  case q4K = "Q4_K"
  case q5K = "Q5_K"
  case q6K = "Q6_K"

  /// Elements of the innermost dimension that are encoded together.
  package var elementsPerBlock: Int {
    switch self {
    case .q8_0, .q4_0, .q4_1, .q5_0, .q5_1, .iq4NL: 32
    case .q2K, .q3K, .q4K, .q5K, .q6K: 256
    default: 1
    }
  }

  /// Bytes of one block of `elementsPerBlock` elements.
  package var bytesPerBlock: Int {
    switch self {
    case .float64, .int64, .uint64: 8
    case .float32, .int32, .uint32: 4
    case .float16, .bfloat16, .int16, .uint16: 2
    case .float8E4M3, .int8, .uint8, .bool: 1
    case .q8_0: 34
    case .q4_0: 18
    case .q4_1: 20
    case .q5_0: 22
    case .q5_1: 24
    case .iq4NL: 18
    case .q2K: 84
    case .q3K: 110
    case .q4K: 144
    case .q5K: 176
    case .q6K: 210
    }
  }

  /// True for the types that a safetensors file can hold.
  package var isSafetensorsType: Bool { elementsPerBlock == 1 }

  /// Elements of a tensor of `shape` (outermost dimension first, 1 for a scalar); nil when a
  /// dimension is negative or the product does not fit.
  package static func elementCount(shape: [Int]) -> Int? {
    // A zero must not hide an overflow of the others, so that the verdict does not depend on their
    // order.
    var product = 1
    for dimension in shape where dimension != 0 {
      guard dimension > 0 else { return nil }
      let (next, overflow) = product.multipliedReportingOverflow(by: dimension)
      guard !overflow else { return nil }
      product = next
    }
    return shape.contains(0) ? 0 : product
  }

  /// Bytes of a tensor of `shape` (outermost dimension first); nil when the product overflows, a
  /// dimension is negative, or the innermost dimension is not a multiple of `elementsPerBlock`.
  package func byteCount(shape: [Int]) -> Int? {
    guard let elements = Self.elementCount(shape: shape) else { return nil }
    guard (shape.last ?? 1) % elementsPerBlock == 0 else { return nil }
    let (bytes, overflow) = (elements / elementsPerBlock).multipliedReportingOverflow(
      by: bytesPerBlock)
    return overflow ? nil : bytes
  }
}
