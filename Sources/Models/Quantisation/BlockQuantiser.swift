import Kernels

/// Rounds float32 weights to blocks. What it gives is named by its bytes wherever it is used, so
/// that it may change from one version to the next.
package struct BlockQuantiser: Sendable {
  package let format: RoundedFormat

  package init(_ format: RoundedFormat) { self.format = format }

  /// A row in blocks, each weight at the nearest value that its block has.
  ///
  /// - Parameter row: finite values, a multiple of the block's size.
  package func row(_ row: UnsafeBufferPointer<Float>) -> [UInt8] {
    let size = format.type.blockSize
    var bytes: [UInt8] = []
    bytes.reserveCapacity(row.count / size * format.type.blockBytes)
    let equal = [Float](repeating: 1, count: size)
    var codes = [Int8](repeating: 0, count: size)
    equal.withUnsafeBufferPointer { equal in
      for start in stride(from: 0, to: row.count, by: size) {
        let block = UnsafeBufferPointer(rebasing: row[start..<start + size])
        let grid = BlockGrid(fitting: block, importance: equal, format)
        for (index, value) in block.enumerated() { codes[index] = grid.nearest(value, at: index) }
        codes.withUnsafeBufferPointer { grid.append($0, to: &bytes) }
      }
    }
    return bytes
  }
}
