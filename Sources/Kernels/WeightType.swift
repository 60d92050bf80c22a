import CKernels

/// How a weight matrix is stored.
package enum WeightType: String, CaseIterable, Sendable {
  case f32, f16, bf16
  /// Float32 without its last eight bits, which are zero, in blocks of 4. Not a type of files:
  /// float32 weights that need no more bits are held so.
  case f24
  /// OCP FP8 E4M3 with a float32 scale for each 128 x 128 weights.
  case f8E4M3 = "f8_e4m3"
  /// GGUF blocks of 32 weights, with a scale and, in those that end in 1, a minimum.
  case q8_0, q4_0, q4_1, q5_0, q5_1, iq4NL = "iq4_nl"
  /// GGUF blocks of 256 weights, with scales of scales.
  case q2K = "q2_k"
  case q3K = "q3_k"
  case q4K = "q4_k"
  case q5K = "q5_k"
  case q6K = "q6_k"

  /// Weights that are encoded together; the input dimension K is a multiple of it.
  package var blockSize: Int { ck_sizes_of(format).block }

  /// Bytes of one block in the file (of one weight for the float formats).
  package var blockBytes: Int { ck_sizes_of(format).file_bytes }

  /// Where a block holds its f16 scale and minimum (`ggml-common.h`).
  package var scaleOffsets: [Int] {
    switch self {
    case .f32, .f16, .bf16, .f24, .f8E4M3: []
    case .q8_0, .q4_0, .q5_0, .iq4NL: [0]
    case .q4_1, .q5_1, .q4K, .q5K: [0, 2]
    case .q2K: [80, 82]
    case .q3K: [108]
    case .q6K: [208]
    }
  }

  /// True if activations are quantised for products with such weights.
  package var isQuantised: Bool { format.rawValue >= CK_Q8_0.rawValue }

  /// The type whose panels hold such weights: another one where it represents every value exactly.
  package var storage: WeightType {
    let format = ck_panel_format(format)
    return Self.allCases.first { $0.format == format } ?? self
  }

  /// Finds the narrowest type that holds every one of some float32 weights to the bit.
  package struct Exactness {
    private let candidates: [WeightType]
    private var formats = UInt32.max

    /// - Parameter columns: of the weights' rows.
    package init(columns: Int) {
      candidates = [.bf16, .f16, .f24].filter { columns % $0.blockSize == 0 }
    }

    /// Looks at more weights.
    package mutating func add(_ weights: UnsafeRawBufferPointer) {
      guard let bytes = weights.baseAddress else { return }
      formats &= ck_exact_formats(bytes, weights.count / 4)
    }

    /// True when nothing but float32 is left.
    package var isDecided: Bool { narrowest == .f32 }

    /// For the weights so far.
    package var narrowest: WeightType {
      candidates.first { formats >> $0.format.rawValue & 1 == 1 } ?? .f32
    }
  }

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

  /// One row of a file as float32, bit for bit what the format defines.
  ///
  /// - Parameter row: `rowBytes(columns: values.count)` bytes. The scales of FP8 are not applied.
  package func dequantise(
    _ row: UnsafeRawBufferPointer, into values: UnsafeMutableBufferPointer<Float>
  ) throws(KernelError) {
    guard try rowBytes(columns: values.count) == row.count else {
      throw KernelError(
        code: .invalidWeights,
        message: "\(row.count) bytes for \(values.count) \(rawValue) weights")
    }
    guard let from = row.baseAddress, let to = values.baseAddress else { return }
    ck_dequantise_row(format, from, values.count, to)
  }

  var format: ck_format {
    switch self {
    case .f32: CK_F32
    case .f16: CK_F16
    case .bf16: CK_BF16
    case .f24: CK_F24
    case .f8E4M3: CK_F8_E4M3
    case .q8_0: CK_Q8_0
    case .q4_0: CK_Q4_0
    case .q4_1: CK_Q4_1
    case .q5_0: CK_Q5_0
    case .q5_1: CK_Q5_1
    case .iq4NL: CK_IQ4_NL
    case .q2K: CK_Q2_K
    case .q3K: CK_Q3_K
    case .q4K: CK_Q4_K
    case .q5K: CK_Q5_K
    case .q6K: CK_Q6_K
    }
  }
}

/// The scales of FP8 weights [outputs, inputs]: one for each 128 x 128 of them.
package struct BlockScales: Sendable {
  /// Weights of a block in either direction.
  package static let blockSize = Int(CK_F8_BLOCK)

  let outputs: Int
  let inputs: Int
  /// Blocks across the inputs.
  package let columns: Int
  /// [outputs / 128, inputs / 128], both rounded up.
  package let values: [Float]
  /// Rows after which blocks begin anew.
  private let period: Int

  /// Rows of blocks of `outputs` rows that begin anew after each `period`.
  package static func blockRows(outputs: Int, period: Int) -> Int {
    let rest = outputs % period
    return outputs / period * ((period - 1) / blockSize + 1)
      + (rest == 0 ? 0 : (rest - 1) / blockSize + 1)
  }

  /// - Parameter period: rows after which blocks begin anew, as in a matrix that was cut by rows
  ///   before it was scaled; nil: they do not.
  /// - Throws: `KernelError.invalidWeights` if `values` is not one for each block.
  package init(
    outputs: Int, inputs: Int, values: [Float], period: Int? = nil
  ) throws(KernelError) {
    let size = Self.blockSize
    let period = period ?? outputs
    guard outputs > 0, inputs > 0, period > 0,
      case let (rows, columns) = (
        Self.blockRows(outputs: outputs, period: period), (inputs - 1) / size + 1
      ),
      case let (count, overflow) = rows.multipliedReportingOverflow(by: columns),
      !overflow, count == values.count
    else {
      throw KernelError(
        code: .invalidWeights,
        message: "\(values.count) scales for \(outputs) x \(inputs) weights in blocks of \(size)")
    }
    (self.outputs, self.inputs, self.columns) = (outputs, inputs, columns)
    self.values = values
    self.period = period
  }

  /// Multiplies the values of row `output`.
  /// - Throws: `KernelError.invalidWeights` if there is no such row.
  package func apply(toRow output: Int, _ row: inout [Float]) throws(KernelError) {
    guard output >= 0, output < outputs, row.count == inputs else {
      throw KernelError(code: .invalidWeights, message: "block scales of another matrix")
    }
    let scales = self.row(output)
    for input in row.indices { row[input] *= scales[scales.startIndex + input / Self.blockSize] }
  }

  /// The scales of the blocks of row `output`, `columns` of them.
  func row(_ output: Int) -> ArraySlice<Float> {
    let block =
      output / period * Self.blockRows(outputs: period, period: period)
      + output % period / Self.blockSize
    let first = block * columns
    return values[first..<first + columns]
  }
}
