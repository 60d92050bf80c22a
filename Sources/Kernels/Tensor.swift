import CKernels

/// A matrix of float32 activations [rows, columns], 64-byte aligned. Rows lie `stride` floats apart
/// (columns rounded up to 16); what lies between `columns` and `stride` is undefined. Owned by one
/// executor at a time.
package final class Tensor {
  package private(set) var rows: Int
  package let columns: Int
  package let stride: Int
  private var memory: AlignedMemory
  private var capacity: Int

  /// - Throws: `KernelError.outOfResources`.
  package init(rows: Int, columns: Int) throws(KernelError) {
    precondition(rows >= 0 && columns >= 0)
    self.rows = rows
    self.columns = columns
    stride = roundUp(columns, Int(CK_PANEL))
    capacity = rows
    memory = try AlignedMemory(byteCount: rows * stride * 4)
  }

  /// A tensor with the given rows, each of the same length.
  package convenience init(_ values: [[Float]]) throws(KernelError) {
    try self.init(rows: values.count, columns: values.first?.count ?? 0)
    for (row, value) in values.enumerated() { self[row].replace(with: value) }
  }

  /// Changes the number of rows. Contents are undefined afterwards if it grows; memory never
  /// shrinks.
  /// - Throws: `KernelError.outOfResources`.
  package func resize(rows: Int) throws(KernelError) {
    precondition(rows >= 0)
    if rows > capacity {
      memory = try AlignedMemory(byteCount: rows * stride * 4)
      capacity = rows
    }
    self.rows = rows
  }

  /// The same rows in memory of their own.
  /// - Throws: `KernelError.outOfResources`.
  package func copy() throws(KernelError) -> Tensor {
    let copy = try Tensor(rows: rows, columns: columns)
    copy.base.update(from: base, count: rows * stride)
    return copy
  }

  /// The values of one row.
  package subscript(row: Int) -> UnsafeMutableBufferPointer<Float> {
    precondition(row >= 0 && row < rows, "row \(row) of \(rows)")
    return UnsafeMutableBufferPointer(start: base + row * stride, count: columns)
  }

  /// Row 0; rows are `stride` floats apart. Invalid after `resize`.
  package var base: UnsafeMutablePointer<Float> {
    memory.base.assumingMemoryBound(to: Float.self)
  }

  /// A copy of all rows.
  package var values: [[Float]] { (0..<rows).map { Array(self[$0]) } }
}

extension UnsafeMutableBufferPointer<Float> {
  /// Copies `values`, which must be exactly as many.
  package func replace(with values: some Collection<Float>) {
    precondition(values.count == count)
    _ = update(fromContentsOf: values)
  }
}

func roundUp(_ value: Int, _ multiple: Int) -> Int { (value + multiple - 1) / multiple * multiple }
