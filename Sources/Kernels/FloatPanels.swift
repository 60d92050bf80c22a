import CKernels

/// Float32 matrices that change, laid out for `Compute.matmul`: adapters, and activations that other
/// activations are multiplied with. One matrix at a time; memory never shrinks.
package final class FloatPanels {
  private var memory: AlignedMemory?

  package init() {}

  /// The matrix whose rows are columns of `x`: [columns, rows of x], of these rows and columns of it.
  ///
  /// - Throws: `KernelError.outOfResources`.
  package func columns(
    of x: Tensor, rows: Range<Int>, columns: Range<Int>, _ compute: Compute
  ) throws(KernelError) -> PackedWeights {
    precondition(rows.upperBound <= x.rows && columns.upperBound <= x.columns)
    let (source, target) = (Rows(x), try reserve(outputs: columns.count, inputs: rows.count))
    let panel = Int(CK_PANEL)
    let panels = (columns.count + panel - 1) / panel
    compute.overRows(panels, columns: panel * rows.count) { range in
      for index in range {
        let first = columns.lowerBound + index * panel
        let count = min(panel, columns.upperBound - first)
        var to = target.base + index * panel * rows.count
        for row in rows {
          to.update(from: source[row] + first, count: count)
          (to + count).update(repeating: 0, count: panel - count)
          to += panel
        }
      }
    }
    return try finish(outputs: columns.count, inputs: rows.count)
  }

  /// The matrix whose rows are rows of `x`: [rows, columns], of these rows and columns of it.
  ///
  /// - Throws: `KernelError.outOfResources`.
  package func rows(
    of x: Tensor, rows: Range<Int>, columns: Range<Int>, _ compute: Compute
  ) throws(KernelError) -> PackedWeights {
    precondition(rows.upperBound <= x.rows && columns.upperBound <= x.columns)
    let (source, target) = (Rows(x), try reserve(outputs: rows.count, inputs: columns.count))
    let panel = Int(CK_PANEL)
    compute.overRows((rows.count + panel - 1) / panel, columns: panel * columns.count) { range in
      for index in range {
        let to = target.base + index * panel * columns.count
        let first = rows.lowerBound + index * panel
        for lane in 0..<panel {
          let from = first + lane < rows.upperBound ? source[first + lane] + columns.lowerBound : nil
          for column in 0..<columns.count { to[column * panel + lane] = from?[column] ?? 0 }
        }
      }
    }
    return try finish(outputs: rows.count, inputs: columns.count)
  }

  /// All rows of `x`, as `rows(of:rows:columns:_:)`.
  package func rows(of x: Tensor, _ compute: Compute) throws(KernelError) -> PackedWeights {
    try rows(of: x, rows: 0..<x.rows, columns: 0..<x.columns, compute)
  }

  /// All columns of `x`, as `columns(of:rows:columns:_:)`.
  package func columns(of x: Tensor, _ compute: Compute) throws(KernelError) -> PackedWeights {
    try columns(of: x, rows: 0..<x.rows, columns: 0..<x.columns, compute)
  }

  private func reserve(outputs: Int, inputs: Int) throws(KernelError) -> Floats {
    let layout = try PackedLayout(storage: .f32, outputs: outputs, inputs: inputs)
    if memory.map({ $0.byteCount < layout.byteCount }) ?? true {
      memory = try AlignedMemory(byteCount: layout.byteCount)
    }
    guard let base = memory?.base else { preconditionFailure("memory was reserved") }
    return Floats(base: base.assumingMemoryBound(to: Float.self))
  }

  private func finish(outputs: Int, inputs: Int) throws(KernelError) -> PackedWeights {
    let layout = try PackedLayout(storage: .f32, outputs: outputs, inputs: inputs)
    guard let memory else { preconditionFailure("memory was reserved") }
    return try PackedWeights(
      type: .f32, outputs: outputs, inputs: inputs,
      packed: UnsafeRawBufferPointer(start: memory.base, count: layout.byteCount), owner: memory)
  }
}

/// The floats that several threads fill.
///
/// `@unchecked Sendable`: tasks write disjoint panels.
private struct Floats: @unchecked Sendable {
  let base: UnsafeMutablePointer<Float>
}
