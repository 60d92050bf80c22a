import CKernels

/// The operations on activations: one kernel variant, one thread pool, and scratch that is reused
/// from call to call. Owned by one executor at a time. Shape mistakes are our own bugs and trap;
/// bytes from files never reach it unchecked.
///
/// Every output is bit-identical whatever the variant, the threads and the rows that share a call.
package final class Compute {
  package let kernels: KernelSet
  package let pool: ThreadPool
  let scratch = Scratch()

  package init(kernels: KernelSet, pool: ThreadPool) {
    self.kernels = kernels
    self.pool = pool
  }

  /// - Throws: `KernelError` if the variant is unavailable or no threads are to be had.
  package convenience init(kernels: KernelSet, threads: Int) throws(KernelError) {
    self.init(kernels: kernels, pool: try ThreadPool(threads: threads))
  }

  var table: ck_table { kernels.table.pointee }

  /// Rows below which threads would cost more than they bring, for operations of a few nanoseconds
  /// per value.
  static let smallValues = 1 << 14

  /// Runs `body` over chunks of rows, on one thread when there is little to do.
  func overRows(_ rows: Int, columns: Int, _ body: @Sendable (Range<Int>) -> Void) {
    guard rows > 1, rows * columns > Self.smallValues else {
      return pool.run(tasks: 1) { _, _ in body(0..<rows) }
    }
    let chunk = max(1, (rows + pool.threads * 4 - 1) / (pool.threads * 4))
    pool.run(tasks: (rows + chunk - 1) / chunk) { task, _ in
      body(task * chunk..<min(rows, (task + 1) * chunk))
    }
  }
}

/// The first row of a matrix and the distance of its rows, for use on several threads.
///
/// `@unchecked Sendable`: tasks write disjoint rows or columns, and the pool returns only when all
/// have ended.
struct Rows: @unchecked Sendable {
  let base: UnsafeMutablePointer<Float>
  let stride: Int

  init(_ tensor: Tensor) {
    base = tensor.base
    stride = tensor.stride
  }

  subscript(row: Int) -> UnsafeMutablePointer<Float> { base + row * stride }
}

/// Memory that operations reuse: quantised activations, attention partials.
final class Scratch {
  private var quantised: AlignedMemory?
  private var meta: AlignedMemory?
  private var attention: AlignedMemory?
  private var prepared: Tensor?
  var attentionTasks: [AttentionTask] = []

  func quantised(bytes: Int) throws(KernelError) -> UnsafeMutablePointer<Int8> {
    try Self.grow(&quantised, bytes).bindMemory(to: Int8.self, capacity: bytes)
  }

  func meta(count: Int) throws(KernelError) -> UnsafeMutablePointer<ck_qmeta> {
    try Self.grow(&meta, count * MemoryLayout<ck_qmeta>.stride)
      .bindMemory(to: ck_qmeta.self, capacity: count)
  }

  func attention(floats: Int) throws(KernelError) -> UnsafeMutablePointer<Float> {
    try Self.grow(&attention, floats * 4).bindMemory(to: Float.self, capacity: floats)
  }

  /// A tensor for prepared rows.
  func prepared(columns: Int) throws(KernelError) -> Tensor {
    if let prepared, prepared.columns == columns { return prepared }
    let tensor = try Tensor(rows: 0, columns: columns)
    prepared = tensor
    return tensor
  }

  private static func grow(
    _ memory: inout AlignedMemory?, _ bytes: Int
  ) throws(KernelError) -> UnsafeMutableRawPointer {
    if let memory, memory.byteCount >= bytes { return memory.base }
    let larger = try AlignedMemory(byteCount: bytes + bytes / 4)
    memory = larger
    return larger.base
  }
}
