import CKernels

/// Rows scaled, limited, copied and added up.
extension Compute {
  /// x *= factor.
  package func scale(_ x: Tensor, by factor: Float) {
    let (target, columns, kernels) = (Rows(x), x.columns, kernels)
    overRows(x.rows, columns: columns) { rows in
      for row in rows { kernels.table.pointee.scale(target[row], factor, columns, target[row]) }
    }
  }

  /// x = cap * tanh(x / cap).
  package func softCap(_ x: Tensor, at cap: Float) {
    precondition(cap > 0)
    let (target, columns, kernels) = (Rows(x), x.columns, kernels)
    overRows(x.rows, columns: columns * 8) { rows in
      for row in rows { kernels.table.pointee.soft_cap(target[row], cap, columns, target[row]) }
    }
  }

  /// Each row becomes its softmax.
  package func softmaxRows(_ x: Tensor) {
    let (target, columns, kernels) = (Rows(x), x.columns, kernels)
    overRows(x.rows, columns: columns * 8) { rows in
      for row in rows { kernels.table.pointee.softmax(target[row], columns, target[row]) }
    }
  }

  /// Each value becomes its sigmoid.
  package func sigmoidRows(_ x: Tensor) {
    let (target, columns, kernels) = (Rows(x), x.columns, kernels)
    overRows(x.rows, columns: columns * 8) { rows in
      for row in rows { kernels.table.pointee.sigmoid(target[row], columns, target[row]) }
    }
  }

  /// output[r] = the sum over i of factors[r][i] * x[indexes[r][i]], a fused chain in this order
  /// from +0. Output gets a row for each of `terms`.
  /// - Throws: `KernelError.outOfResources`.
  package func weightedSums(
    of x: Tensor, _ terms: [[(row: Int, factor: Float)]], into output: Tensor
  ) throws(KernelError) {
    precondition(output.columns == x.columns && output !== x)
    precondition(terms.allSatisfy { $0.allSatisfy { $0.row >= 0 && $0.row < x.rows } })
    try output.resize(rows: terms.count)
    let (source, target, columns, kernels) = (Rows(x), Rows(output), x.columns, kernels)
    overRows(terms.count, columns: columns * max(1, terms.first?.count ?? 1)) { rows in
      for row in rows {
        target[row].update(repeating: 0, count: columns)
        for term in terms[row] {
          kernels.table.pointee.add_scaled(source[term.row], term.factor, columns, target[row])
        }
      }
    }
  }

  /// x += factor * y, fused.
  package func add(_ y: Tensor, times factor: Float, to x: Tensor) {
    precondition(x.rows == y.rows && x.columns == y.columns)
    let (a, b, columns, kernels) = (Rows(x), Rows(y), x.columns, kernels)
    overRows(x.rows, columns: columns) { rows in
      for row in rows { kernels.table.pointee.add_scaled(b[row], factor, columns, a[row]) }
    }
  }

  /// x[r] += factors[r][0] * y[r], fused.
  package func add(_ y: Tensor, weightedBy factors: Tensor, to x: Tensor) {
    precondition(x.rows == y.rows && x.columns == y.columns && factors.rows == x.rows)
    let (a, b, f, columns, kernels) = (Rows(x), Rows(y), Rows(factors), x.columns, kernels)
    overRows(x.rows, columns: columns) { rows in
      for row in rows {
        kernels.table.pointee.add_scaled(b[row], f[row][0], columns, a[row])
      }
    }
  }

  /// Copies `count` columns of each of `heads` heads: from `from.column` + h * `from.stride` of
  /// `x` to `to.column` + h * `to.stride` of `output`, and zeros after them up to `padded` columns.
  /// `output` has the rows of x already.
  package func copyHeads(
    _ x: Tensor, from: HeadColumns, to output: Tensor, at to: HeadColumns, heads: Int, count: Int,
    padded: Int? = nil
  ) {
    let padded = padded ?? count
    precondition(output !== x && output.rows == x.rows && padded >= count && heads > 0)
    precondition(from.column + (heads - 1) * from.stride + count <= x.columns)
    precondition(to.column + (heads - 1) * to.stride + padded <= output.columns)
    let (source, target) = (Rows(x), Rows(output))
    overRows(x.rows, columns: heads * padded) { rows in
      for row in rows {
        for head in 0..<heads {
          let place = target[row] + to.column + head * to.stride
          place.update(from: source[row] + from.column + head * from.stride, count: count)
          (place + count).update(repeating: 0, count: padded - count)
        }
      }
    }
  }
}

/// Where the heads of a row begin.
package struct HeadColumns: Sendable {
  /// Of the first head.
  package var column: Int
  /// From one head to the next.
  package var stride: Int

  package init(column: Int = 0, stride: Int) {
    (self.column, self.stride) = (column, stride)
  }
}
