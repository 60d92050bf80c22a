/// An element type by its number in GGUF files (`enum ggml_type` of ggml.h), with the sizes of
/// `ggml-common.h`.
///
/// Types that cannot be computed with are known by name and size too, so that a file which uses
/// them is checked whole and refused with their name.
package struct GGMLType: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  /// The number in the file.
  package let rawValue: UInt32

  /// The type of that number, known or not.
  package init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  private struct Layout {
    let name: String
    let elementsPerBlock: Int
    let bytesPerBlock: Int
    var elementType: ElementType?
  }

  private var layout: Layout? { Self.layouts[rawValue] }

  /// False for a number whose layout is not known.
  package var isKnown: Bool { layout != nil }

  /// ggml's name, or the number of an unknown type.
  package var description: String { layout?.name ?? "type \(rawValue)" }

  /// The type as this project computes with it; nil when it cannot.
  package var elementType: ElementType? { layout?.elementType }

  /// Bytes of a tensor of `shape` (outermost dimension first); nil for an unknown type, when the
  /// product overflows, or when the innermost dimension is not a multiple of the type's block.
  package func byteCount(shape: [Int]) -> Int? {
    guard let layout, let elements = ElementType.elementCount(shape: shape),
      (shape.last ?? 1) % layout.elementsPerBlock == 0
    else { return nil }
    let (bytes, overflow) = (elements / layout.elementsPerBlock).multipliedReportingOverflow(
      by: layout.bytesPerBlock)
    return overflow ? nil : bytes
  }

  private static let layouts: [UInt32: Layout] = [
    0: Layout(name: "F32", elementsPerBlock: 1, bytesPerBlock: 4, elementType: .float32),
    1: Layout(name: "F16", elementsPerBlock: 1, bytesPerBlock: 2, elementType: .float16),
    2: Layout(name: "Q4_0", elementsPerBlock: 32, bytesPerBlock: 18, elementType: .q4_0),
    3: Layout(name: "Q4_1", elementsPerBlock: 32, bytesPerBlock: 20, elementType: .q4_1),
    6: Layout(name: "Q5_0", elementsPerBlock: 32, bytesPerBlock: 22, elementType: .q5_0),
    7: Layout(name: "Q5_1", elementsPerBlock: 32, bytesPerBlock: 24, elementType: .q5_1),
    8: Layout(name: "Q8_0", elementsPerBlock: 32, bytesPerBlock: 34, elementType: .q8_0),
    9: Layout(name: "Q8_1", elementsPerBlock: 32, bytesPerBlock: 36),
    10: Layout(name: "Q2_K", elementsPerBlock: 256, bytesPerBlock: 84, elementType: .q2K),
    11: Layout(name: "Q3_K", elementsPerBlock: 256, bytesPerBlock: 110, elementType: .q3K),
    12: Layout(name: "Q4_K", elementsPerBlock: 256, bytesPerBlock: 144, elementType: .q4K),
    13: Layout(name: "Q5_K", elementsPerBlock: 256, bytesPerBlock: 176, elementType: .q5K),
    14: Layout(name: "Q6_K", elementsPerBlock: 256, bytesPerBlock: 210, elementType: .q6K),
    15: Layout(name: "Q8_K", elementsPerBlock: 256, bytesPerBlock: 292),
    16: Layout(name: "IQ2_XXS", elementsPerBlock: 256, bytesPerBlock: 66),
    17: Layout(name: "IQ2_XS", elementsPerBlock: 256, bytesPerBlock: 74),
    18: Layout(name: "IQ3_XXS", elementsPerBlock: 256, bytesPerBlock: 98),
    19: Layout(name: "IQ1_S", elementsPerBlock: 256, bytesPerBlock: 50),
    20: Layout(name: "IQ4_NL", elementsPerBlock: 32, bytesPerBlock: 18, elementType: .iq4NL),
    21: Layout(name: "IQ3_S", elementsPerBlock: 256, bytesPerBlock: 110),
    22: Layout(name: "IQ2_S", elementsPerBlock: 256, bytesPerBlock: 82),
    23: Layout(name: "IQ4_XS", elementsPerBlock: 256, bytesPerBlock: 136),
    24: Layout(name: "I8", elementsPerBlock: 1, bytesPerBlock: 1, elementType: .int8),
    25: Layout(name: "I16", elementsPerBlock: 1, bytesPerBlock: 2, elementType: .int16),
    26: Layout(name: "I32", elementsPerBlock: 1, bytesPerBlock: 4, elementType: .int32),
    27: Layout(name: "I64", elementsPerBlock: 1, bytesPerBlock: 8, elementType: .int64),
    28: Layout(name: "F64", elementsPerBlock: 1, bytesPerBlock: 8, elementType: .float64),
    29: Layout(name: "IQ1_M", elementsPerBlock: 256, bytesPerBlock: 56),
    30: Layout(name: "BF16", elementsPerBlock: 1, bytesPerBlock: 2, elementType: .bfloat16),
    34: Layout(name: "TQ1_0", elementsPerBlock: 256, bytesPerBlock: 54),
    35: Layout(name: "TQ2_0", elementsPerBlock: 256, bytesPerBlock: 66),
    39: Layout(name: "MXFP4", elementsPerBlock: 32, bytesPerBlock: 17),
  ]
}
