import Kernels
import Models

/// The transposes of matrices that take the same input, one beside the other: [inputs, all
/// outputs]. Gradients of outputs times these are the gradient of the input.
///
/// Float weights keep every bit. Quantised ones, of which rows share scales and columns do not, are
/// rounded to Q8_0 along their outputs ("Training" in NUMERICS.md), and so are float ones beside
/// such; in float32 where the outputs are no whole blocks.
enum TransposedWeights {
  /// Weights that are held as floats at a time.
  private static let slabWeights = 1 << 24

  /// - Throws: `KernelError.outOfResources`.
  static func make(_ matrices: [PackedWeights]) throws -> PackedWeights {
    precondition(!matrices.isEmpty && matrices.allSatisfy { $0.inputs == matrices[0].inputs })
    let (inputs, outputs) = (matrices[0].inputs, matrices.reduce(0) { $0 + $1.outputs })
    let storage = storage(of: matrices, outputs: outputs)
    let builder = try PackedWeightsBuilder(
      type: storage == .q8_0 ? .q8_0 : .f32, outputs: inputs, inputs: outputs, storage: storage)
    let width = max(1, min(inputs, slabWeights / max(1, outputs)))
    var slab = [Float](repeating: 0, count: width * outputs)
    for first in stride(from: 0, to: inputs, by: width) {
      let columns = first..<min(inputs, first + width)
      fill(&slab, matrices, columns, outputs: outputs)
      let rows = slab[..<(columns.count * outputs)]
      if storage == .q8_0 {
        try BlockRounding.q8(rows).withUnsafeBytes { try builder.append($0) }
      } else {
        try rows.withUnsafeBytes { try builder.append($0) }
      }
    }
    return try PackedWeights(builder)
  }

  /// Bytes of what `make` gives.
  ///
  /// - Throws: `KernelError.invalidWeights` for impossible dimensions.
  static func byteCount(_ matrices: [PackedWeights]) throws -> Int {
    let outputs = matrices.reduce(0) { $0 + $1.outputs }
    return try PackedLayout(
      storage: storage(of: matrices, outputs: outputs), outputs: matrices[0].inputs,
      inputs: outputs
    ).byteCount
  }

  private static func storage(of matrices: [PackedWeights], outputs: Int) -> WeightType {
    let types = Set(matrices.map(\.type))
    if types.contains(where: \.isQuantised) {
      return outputs % WeightType.q8_0.blockSize == 0 ? .q8_0 : .f32
    }
    guard let type = types.first, types.count == 1, [.bf16, .f16, .f24].contains(type),
      outputs % type.blockSize == 0
    else { return .f32 }
    return type
  }

  /// slab[column][output], for some columns of all matrices.
  private static func fill(
    _ slab: inout [Float], _ matrices: [PackedWeights], _ columns: Range<Int>, outputs: Int
  ) {
    var row = [Float](repeating: 0, count: matrices[0].inputs)
    var output = 0
    for matrix in matrices {
      for own in 0..<matrix.outputs {
        row.withUnsafeMutableBufferPointer { matrix.copyRow(own, to: $0) }
        for (index, column) in columns.enumerated() { slab[index * outputs + output] = row[column] }
        output += 1
      }
    }
  }
}

/// Rounding to blocks of 8 bits, as exactly as a result needs it.
enum BlockRounding {
  /// Blocks of Q8_0: with t the largest magnitude of 32 values, d = f16(t / 127) and q the nearest
  /// integers, ties to even, of x * (1 / d), between -127 and 127; all 0 where d is.
  ///
  /// - Parameter values: whole blocks.
  static func q8(_ values: ArraySlice<Float>) -> [UInt8] {
    let size = WeightType.q8_0.blockSize
    precondition(values.count % size == 0)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(values.count / size * WeightType.q8_0.blockBytes)
    for start in stride(from: values.startIndex, to: values.endIndex, by: size) {
      let block = values[start..<start + size]
      let greatest = block.reduce(Float(0)) { max($0, $1.magnitude) }
      let scale = Float16(greatest / 127)
      withUnsafeBytes(of: scale.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
      let inverse = scale == 0 ? 0 : 1 / Float(scale)
      for value in block {
        let nearest = (value * inverse + 0x1.8p+23) - 0x1.8p+23
        // What is not finite in a file spoils the forward pass, which says so.
        let q = nearest.isFinite ? Int8(max(-127, min(127, nearest))) : 0
        bytes.append(UInt8(bitPattern: q))
      }
    }
    return bytes
  }
}
