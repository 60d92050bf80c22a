import CKernels

/// What a variant's instructions reach at most on this machine, and how fast memory reads: the
/// yardsticks of benchmarks.
package struct MachinePeak: Sendable {
  /// Float32 operations a second, a fused multiply-add counting as two; nil where the probe does
  /// not know the variant's instructions.
  package let floatOperations: Double?
  /// Operations a second of 8-bit integer dot products, counted alike.
  package let byteOperations: Double?
  /// Bytes a second of all threads reading memory in turn, from a buffer larger than the caches.
  package let bytesRead: Double

  private static let bufferBytes = 256 << 20

  /// Measures with all threads of `compute`; each figure is the best of many short runs, since
  /// other programs only ever take away.
  ///
  /// - Throws: `KernelError.outOfResources`.
  package init(_ compute: Compute) throws(KernelError) {
    let probe = ck_probe_of(compute.kernels.variant.code)
    floatOperations = Self.operations(probe.multiply_floats, probe.float_operations, compute.pool)
    byteOperations = Self.operations(probe.multiply_bytes, probe.byte_operations, compute.pool)
    bytesRead = try Self.reading(compute.pool)
  }

  private typealias Multiply = @convention(c) (Int) -> Void

  private static func operations(
    _ multiply: Multiply?, _ perRound: Int, _ pool: ThreadPool
  ) -> Double? {
    guard let multiply else { return nil }
    let rounds = 100_000
    let seconds = best(of: 1000) { pool.run(tasks: pool.threads) { _, _ in multiply(rounds) } }
    return Double(perRound * rounds * pool.threads) / seconds
  }

  private static func reading(_ pool: ThreadPool) throws(KernelError) -> Double {
    let memory = try AlignedMemory(byteCount: bufferBytes)
    // Pages that were never written are all the same one.
    memory.base.initializeMemory(as: UInt8.self, repeating: 1, count: bufferBytes)
    let words = SharedBuffer(base: memory.base)
    let seconds = best(of: 10) {
      pool.run(tasks: bufferBytes >> 20) { task, _ in words.read(megabyte: task) }
    }
    return Double(bufferBytes) / seconds
  }

  /// Seconds of the fastest run after a warm-up.
  private static func best(of runs: Int, _ body: () -> Void) -> Double {
    body()
    let fastest = (0..<runs).map { _ in ContinuousClock().measure(body) }.min() ?? .zero
    let (seconds, attoseconds) = fastest.components
    return max(Double(seconds) + Double(attoseconds) * 1e-18, 1e-9)
  }
}

/// `@unchecked Sendable`: threads only read.
private struct SharedBuffer: @unchecked Sendable {
  let base: UnsafeMutableRawPointer

  func read(megabyte: Int) {
    let words = (base + (megabyte << 20)).assumingMemoryBound(to: UInt64.self)
    _ = ck_probe_read(words, 1 << 17)
  }
}
