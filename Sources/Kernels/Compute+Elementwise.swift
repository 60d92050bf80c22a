import CKernels

/// f in f(gate) * up.
package enum GatedActivation: String, Sendable, CaseIterable {
  /// x * sigmoid(x).
  case silu
  /// The tanh form of GELU.
  case geluTanh = "gelu_tanh"
  /// x times the normal distribution's cumulative function: GELU by way of erf.
  case gelu
  /// sigmoid(x).
  case sigmoid
}

extension KernelSet {
  func gated(_ activation: GatedActivation) -> GatedFunction? {
    switch activation {
    case .silu: table.pointee.gated.0
    case .geluTanh: table.pointee.gated.1
    case .gelu: table.pointee.gated.2
    case .sigmoid: table.pointee.gated.3
    }
  }
}

typealias GatedFunction =
  @convention(c) (
    UnsafePointer<Float>?, UnsafePointer<Float>?, Int, UnsafeMutablePointer<Float>?
  ) -> Void

extension Compute {
  /// output = x / sqrt(mean(x^2) + epsilon) * weight, row by row; output may be x. `weight` has one
  /// value per column.
  /// - Throws: `KernelError.outOfResources`.
  package func rmsNorm(
    _ x: Tensor, weight: [Float], epsilon: Float, into output: Tensor
  ) throws(KernelError) {
    precondition(weight.count == x.columns && output.columns == x.columns)
    try output.resize(rows: x.rows)
    let (source, target, columns, kernels) = (Rows(x), Rows(output), x.columns, kernels)
    overRows(x.rows, columns: columns) { rows in
      weight.withUnsafeBufferPointer { weight in
        for row in rows {
          kernels.table.pointee.rms_norm(
            source[row], weight.baseAddress, epsilon, columns, target[row])
        }
      }
    }
  }

  /// RMSNorm over each head of `dimension` values, in place: `weight` has `dimension` values.
  package func rmsNormHeads(_ x: Tensor, dimension: Int, weight: [Float], epsilon: Float) {
    precondition(weight.count == dimension && x.columns % dimension == 0)
    let (source, heads, kernels) = (Rows(x), x.columns / dimension, kernels)
    overRows(x.rows, columns: x.columns) { rows in
      weight.withUnsafeBufferPointer { weight in
        for row in rows {
          for head in 0..<heads {
            let values = source[row] + head * dimension
            kernels.table.pointee.rms_norm(
              values, weight.baseAddress, epsilon, dimension, values)
          }
        }
      }
    }
  }

  /// output = f(gate) * up; output may be either.
  /// - Throws: `KernelError.outOfResources`.
  package func gate(
    _ activation: GatedActivation, _ gate: Tensor, _ up: Tensor, into output: Tensor
  ) throws(KernelError) {
    precondition(gate.rows == up.rows && gate.columns == up.columns)
    precondition(output.columns == gate.columns)
    try output.resize(rows: gate.rows)
    let (a, b, target, columns) = (Rows(gate), Rows(up), Rows(output), gate.columns)
    let kernels = kernels
    overRows(gate.rows, columns: columns) { rows in
      let function = kernels.gated(activation)
      for row in rows { function?(a[row], b[row], columns, target[row]) }
    }
  }

  /// x += y, the residual connection.
  package func add(_ y: Tensor, to x: Tensor) {
    precondition(x.rows == y.rows && x.columns == y.columns)
    let (a, b, columns, kernels) = (Rows(x), Rows(y), x.columns, kernels)
    overRows(x.rows, columns: columns) { rows in
      for row in rows { kernels.table.pointee.add(a[row], b[row], columns, a[row]) }
    }
  }

  /// Adds `bias` (one value per column) to every row.
  package func add(bias: [Float], to x: Tensor) {
    precondition(bias.count == x.columns)
    let (a, columns, kernels) = (Rows(x), x.columns, kernels)
    overRows(x.rows, columns: columns) { rows in
      bias.withUnsafeBufferPointer { bias in
        for row in rows { kernels.table.pointee.add(a[row], bias.baseAddress, columns, a[row]) }
      }
    }
  }

  /// output[i] = row ids[i] of the table, dequantised.
  /// - Throws: `KernelError.outOfResources`.
  package func embed(
    _ ids: [Int32], table: PackedWeights, into output: Tensor
  ) throws(KernelError) {
    precondition(output.columns == table.inputs)
    try output.resize(rows: ids.count)
    let target = Rows(output)
    overRows(ids.count, columns: output.columns * 8) { rows in
      for row in rows {
        table.copyRow(
          Int(ids[row]),
          to: UnsafeMutableBufferPointer(start: target[row], count: table.inputs))
      }
    }
  }

  /// output[i] = x[rows[i]].
  /// - Throws: `KernelError.outOfResources`.
  package func gather(
    _ x: Tensor, rows: [Int], into output: Tensor
  ) throws(KernelError) {
    precondition(output.columns == x.columns && output !== x)
    try output.resize(rows: rows.count)
    for (target, source) in rows.enumerated() {
      output[target].replace(with: x[source])
    }
  }

  /// Rotates every head of `dimension` values in place; row i is at positions[i], which the table
  /// must hold. With `interleaved`, pairs are neighbours (GGUF's Llama); else halves
  /// (transformers). A table of fewer pairs than half the dimension leaves the rest of each head as
  /// it is.
  package func rope(
    _ x: Tensor, dimension: Int, positions: [Int32], table: RopeTable, interleaved: Bool
  ) {
    precondition(positions.count == x.rows && x.columns % dimension == 0)
    precondition(2 * table.pairs <= dimension)
    precondition(positions.allSatisfy { $0 >= 0 && $0 < table.positions })
    let (target, heads, kernels) = (Rows(x), x.columns / dimension, kernels)
    overRows(x.rows, columns: x.columns) { rows in
      table.cosines.withUnsafeBufferPointer { cosines in
        table.sines.withUnsafeBufferPointer { sines in
          guard let cosines = cosines.baseAddress, let sines = sines.baseAddress else { return }
          for row in rows {
            let at = Int(positions[row]) * table.pairs
            kernels.table.pointee.rope(
              target[row], heads, dimension, table.pairs, cosines + at, sines + at, interleaved)
          }
        }
      }
    }
  }
}
