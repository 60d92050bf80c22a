import CKernels

/// What a machine is worth, measured rather than guessed.
package struct MachineSpeed: Sendable, Equatable, CustomStringConvertible {
  package let variant: KernelVariant
  package let threads: Int
  /// Multiplications and additions a second in a product of 8-bit weights with 32 rows.
  package let operationsPerSecond: Double

  /// As measured.
  package init(variant: KernelVariant, threads: Int, operationsPerSecond: Double) {
    self.variant = variant
    self.threads = threads
    self.operationsPerSecond = operationsPerSecond
  }

  /// "kernels avx512-vnni, 2 threads: 1,230 Gop/s", and in plain words what an old processor lacks.
  package var description: String {
    let tenths = Int((operationsPerSecond / 1e8).rounded())
    let figure = tenths < 100 ? "\(tenths / 10).\(tenths % 10)" : Self.grouped((tenths + 5) / 10)
    let measured =
      "kernels \(variant.rawValue), \(threads) thread\(threads == 1 ? "" : "s"): \(figure) Gop/s"
    return variant.lacksExtensions
      ? measured
        + "; this processor has no AVX2 with FMA and works several times slower than one that has"
      : measured
  }

  private static func grouped(_ number: Int) -> String {
    number < 1000
      ? "\(number)" : "\(grouped(number / 1000))," + String("\(1000 + number % 1000)".dropFirst())
  }

  /// Multiplies for a tenth of a second, after a first time that is not counted.
  /// - Throws: `KernelError.outOfResources`.
  package static func measure(_ compute: Compute) throws(KernelError) -> MachineSpeed {
    let (rows, size) = (32, 1024)
    let x = try Tensor(rows: rows, columns: size)
    for row in 0..<rows {
      for column in 0..<size { x[row][column] = Float((row * 31 + column * 17) % 64) - 31.5 }
    }
    let weights = try sampleWeights(size)
    let y = try Tensor(rows: rows, columns: size)
    try compute.matmul(x, weights, into: y)
    let clock = ContinuousClock()
    let start = clock.now
    var (runs, passed) = (0, Duration.zero)
    while passed < .milliseconds(100) {
      try compute.matmul(x, weights, into: y)
      runs += 1
      passed = clock.now - start
    }
    let operations = 2 * Double(rows * size * size) * Double(runs)
    return MachineSpeed(
      variant: compute.kernels.variant, threads: compute.pool.threads,
      operationsPerSecond: operations / (passed / .seconds(1)))
  }

  /// Q8_0 weights [size, size] of ordinary values.
  private static func sampleWeights(_ size: Int) throws(KernelError) -> PackedWeights {
    let rowBytes = try WeightType.q8_0.rowBytes(columns: size)
    let memory = try AlignedMemory(byteCount: size * rowBytes)
    let bytes = memory.base.bindMemory(to: UInt8.self, capacity: size * rowBytes)
    for at in 0..<size * rowBytes {
      let place = at % WeightType.q8_0.blockBytes
      // The scale is 2^-4 as f16.
      bytes[at] = place < 2 ? [0, 0x2c][place] : UInt8(truncatingIfNeeded: at * 37)
    }
    return try PackedWeights(
      type: .q8_0, outputs: size, inputs: size,
      rows: UnsafeRawBufferPointer(start: bytes, count: size * rowBytes))
  }
}
