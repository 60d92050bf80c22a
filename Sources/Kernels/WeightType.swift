import CKernels

/// How a weight matrix is stored, in the file and in its panels.
package enum WeightType: String, CaseIterable, Sendable {
  case f32, f16, bf16
  /// GGUF blocks of 32 weights: 8 bits and a scale; 4 bits and a scale; 4 bits, a scale and a
  /// minimum.
  case q8_0, q4_0, q4_1

  /// Weights that share a scale; the input dimension K is a multiple of it.
  package var blockSize: Int {
    switch self {
    case .f32, .f16, .bf16: 1
    case .q8_0, .q4_0, .q4_1: Int(CK_QBLOCK)
    }
  }

  /// Bytes of one block in the file (of one weight for the float formats).
  package var blockBytes: Int {
    switch self {
    case .f32: 4
    case .f16, .bf16: 2
    case .q8_0: 34
    case .q4_0: 18
    case .q4_1: 20
    }
  }

  package var isQuantised: Bool { blockSize > 1 }

  /// Bytes of a row of `columns` weights in the file.
  /// - Throws: `KernelError.invalidWeights` if `columns` is no multiple of the block or the size
  ///   overflows.
  package func rowBytes(columns: Int) throws(KernelError) -> Int {
    guard columns >= 0, columns % blockSize == 0 else {
      throw KernelError(
        code: .invalidWeights,
        message: "\(rawValue) rows hold a multiple of \(blockSize) weights, not \(columns)")
    }
    let (bytes, overflow) = (columns / blockSize).multipliedReportingOverflow(by: blockBytes)
    guard !overflow else {
      throw KernelError(code: .invalidWeights, message: "a row of \(columns) weights is absurd")
    }
    return bytes
  }

  var format: ck_format {
    switch self {
    case .f32: CK_F32
    case .f16: CK_F16
    case .bf16: CK_BF16
    case .q8_0: CK_Q8_0
    case .q4_0: CK_Q4_0
    case .q4_1: CK_Q4_1
    }
  }

  /// Bytes of 16 outputs by one block in a panel, without scales and minima.
  var panelBlockBytes: Int {
    switch self {
    case .f32: 64
    case .f16, .bf16: 32
    case .q8_0: 512
    case .q4_0, .q4_1: 256
    }
  }
}
