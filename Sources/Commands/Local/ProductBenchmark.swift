import Kernels

/// Matrix products of known shape, timed.
struct ProductBenchmark {
  let compute: Compute
  let type: WeightType
  /// N and K of the weights.
  let outputs: Int
  let inputs: Int
  /// Equal matrices that products take in turn.
  private let weights: [PackedWeights]

  /// Bytes of all weights, about: in a model every layer has weights of its own, which no cache
  /// holds until they are used again.
  private static let spreadBytes = 128 << 20

  /// Packs weights whose bytes are any of 0x20 to 0x2f: small positive numbers in every format.
  ///
  /// - Throws: `KernelError.invalidWeights` if the format cannot have `inputs`.
  init(_ type: WeightType, outputs: Int, inputs: Int, compute: Compute) throws {
    (self.type, self.outputs, self.inputs, self.compute) = (type, outputs, inputs, compute)
    let count = try type.rowBytes(columns: inputs) * outputs
    var state: UInt32 = 1
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { bytes, initialized in
      for index in 0..<count {
        state = state &* 1_664_525 &+ 1_013_904_223
        bytes[index] = 0x20 | UInt8(state >> 28)
      }
      initialized = count
    }
    let blocks = { (count: Int) in (count - 1) / BlockScales.blockSize + 1 }
    let scales =
      type == .f8E4M3
      ? try BlockScales(
        outputs: outputs, inputs: inputs,
        values: Array(repeating: 1, count: blocks(outputs) * blocks(inputs)))
      : nil
    weights = try bytes.withUnsafeBytes { bytes in
      try (0...Self.spreadBytes / bytes.count).map { _ in
        try PackedWeights(
          type: type, outputs: outputs, inputs: inputs, rows: bytes, scales: scales)
      }
    }
  }

  /// Operations a second, a multiply-add counting as two, of `rows` rows of activations; the
  /// weights were packed before, as in inference.
  ///
  /// - Parameter seconds: how long to go on, at least; one product is made in any case.
  func operations(rows: Int, seconds: Double) throws -> Double {
    let x = try Tensor(
      (0..<rows).map { row in
        (0..<inputs).map { Float(($0 * 7919 + row * 104729) % 2003) / 1001 - 1 }
      })
    let y = try Tensor(rows: rows, columns: outputs)
    let clock = ContinuousClock()
    let start = clock.now
    var count = 0
    repeat {
      try compute.matmul(x, weights[count % weights.count], into: y)
      count += 1
    } while (clock.now - start).inSeconds < seconds
    return Double(2 * rows * outputs * inputs) * Double(count)
      / max((clock.now - start).inSeconds, 1e-9)
  }
}
