import CKernels

/// Float32 matrices that change, laid out for `Compute.matmul`: adapters, and activations that
/// other activations are multiplied with. One matrix at a time; memory never shrinks.
package final class FloatPanels {
  private var memory: AlignedMemory?

  package init() {}

  /// The matrix whose rows are columns of `x`: [columns, rows of x], of these rows and columns of
  /// it.
  ///
  /// - Throws: `KernelError.outOfResources`.
  package func columns(
    of x: Tensor, rows: Range<Int>, columns: Range<Int>, _ compute: Compute
  ) throws(KernelError) -> PackedWeights {
    precondition(rows.upperBound <= x.rows && columns.upperBound <= x.columns)
    let source = Rows(x)
    let (target, weights) = try reserve(outputs: columns.count, inputs: rows.count)
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
    return weights
  }

  /// The matrix whose rows are rows of `x`: [rows, columns], of these rows and columns of it.
  ///
  /// - Throws: `KernelError.outOfResources`.
  package func rows(
    of x: Tensor, rows: Range<Int>, columns: Range<Int>, _ compute: Compute
  ) throws(KernelError) -> PackedWeights {
    precondition(rows.upperBound <= x.rows && columns.upperBound <= x.columns)
    let source = Rows(x)
    let (target, weights) = try reserve(outputs: rows.count, inputs: columns.count)
    let panel = Int(CK_PANEL)
    compute.overRows((rows.count + panel - 1) / panel, columns: panel * columns.count) { range in
      for index in range {
        let to = target.base + index * panel * columns.count
        let first = rows.lowerBound + index * panel
        for lane in 0..<panel {
          let from =
            first + lane < rows.upperBound ? source[first + lane] + columns.lowerBound : nil
          for column in 0..<columns.count { to[column * panel + lane] = from?[column] ?? 0 }
        }
      }
    }
    return weights
  }

  /// All rows of `x`, as `rows(of:rows:columns:_:)`.
  package func rows(of x: Tensor, _ compute: Compute) throws(KernelError) -> PackedWeights {
    try rows(of: x, rows: 0..<x.rows, columns: 0..<x.columns, compute)
  }

  /// All columns of `x`, as `columns(of:rows:columns:_:)`.
  package func columns(of x: Tensor, _ compute: Compute) throws(KernelError) -> PackedWeights {
    try columns(of: x, rows: 0..<x.rows, columns: 0..<x.columns, compute)
  }

  /// Room for a matrix, and the matrix that will lie there.
  private func reserve(
    outputs: Int, inputs: Int
  ) throws(KernelError) -> (floats: Floats, weights: PackedWeights) {
    let layout = try PackedLayout(storage: .f32, outputs: outputs, inputs: inputs)
    let memory: AlignedMemory
    if let present = self.memory, present.byteCount >= layout.byteCount {
      memory = present
    } else {
      memory = try AlignedMemory(byteCount: layout.byteCount)
      self.memory = memory
    }
    let weights = try PackedWeights(
      type: .f32, outputs: outputs, inputs: inputs,
      packed: UnsafeRawBufferPointer(start: memory.base, count: layout.byteCount), owner: memory)
    return (Floats(base: memory.base.assumingMemoryBound(to: Float.self)), weights)
  }
}

/// The floats that several threads fill.
///
/// `@unchecked Sendable`: tasks write disjoint panels.
private struct Floats: @unchecked Sendable {
  let base: UnsafeMutablePointer<Float>
}
