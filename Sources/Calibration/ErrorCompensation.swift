import Dispatch
import Models

/// Rounds rows of a matrix one column after the other; what a column loses, the columns that are
/// still to come make up for as well as the inputs allow.
///
/// GPTQ (Frantar et al., https://arxiv.org/abs/2210.17323): with H = transpose(X) X of the inputs
/// and U the upper Cholesky factor of H's inverse, an error e of column j changes the later columns
/// k by -e U[j, k] / U[j, j]. Columns go by descending diagonal of H; the steps of blocks are
/// fitted before, weighted with that diagonal.
package struct ErrorCompensation {
  private let columns: Int
  /// Columns in the order in which they are rounded.
  private let order: [Int]
  /// [columns, columns] in that order.
  private let factor: [Float]
  /// What an error counts, of each column.
  private let importance: [Float]
  private let algebra: LinearAlgebra

  /// Of the mean of H's diagonal: added to it.
  private static let damping = 0.01

  /// - Parameters:
  ///   - sum: what the matrix saw.
  ///   - tensor: what errors call it.
  /// - Throws: `CalibrationError.notPositive`.
  package init(_ sum: InputStatistics.Sum, of tensor: String, _ algebra: LinearAlgebra) throws {
    let n = sum.columns
    (columns, self.algebra) = (n, algebra)
    let diagonal = (0..<n).map { Double(sum.products[$0 * n + $0]) }
    let mean = diagonal.reduce(0, +) / Double(max(1, n))
    guard mean.isFinite, mean > 0 else { throw CalibrationError.notPositive(tensor: tensor) }
    let order = Array(0..<n).sorted { (diagonal[$1], $0) < (diagonal[$0], $1) }
    self.order = order
    importance = diagonal.map { Float(($0 + Self.damping * mean) / (mean + Self.damping * mean)) }
    var damping = Self.damping
    var factor: [Float]?
    while factor == nil, damping <= 1 {
      factor = Self.factor(sum, order, damping: damping * mean, algebra)
      damping *= 10
    }
    guard let factor else { throw CalibrationError.notPositive(tensor: tensor) }
    self.factor = factor
  }

  private static func factor(
    _ sum: InputStatistics.Sum, _ order: [Int], damping: Double, _ algebra: LinearAlgebra
  ) -> [Float]? {
    let n = sum.columns
    let matrix = UnsafeMutablePointer<Double>.allocate(capacity: n * n)
    defer { matrix.deallocate() }
    sum.products.withUnsafeBufferPointer { products in
      for i in 0..<n {
        for j in i..<n {
          let (a, b) = (min(order[i], order[j]), max(order[i], order[j]))
          matrix[i * n + j] = Double(products[a * n + b]) + (i == j ? damping : 0)
        }
      }
    }
    guard algebra.factoriseInverse(matrix, n: n) else { return nil }
    let result = [Float](unsafeUninitializedCapacity: n * n) { result, count in
      for i in 0..<n {
        for j in 0..<n { result[i * n + j] = j < i ? 0 : Float(matrix[i * n + j]) }
      }
      count = n * n
    }
    return (0..<n).allSatisfy { result[$0 * n + $0] > 0 && result[$0 * n + $0].isFinite }
      ? result : nil
  }

  /// Columns whose errors reach the columns after them together.
  private static let lazyColumns = 128

  /// The rows in blocks of `format`.
  ///
  /// - Parameter values: [rows, columns], finite.
  package func rounded(_ values: [Float], to format: RoundedFormat) -> [UInt8] {
    let slab = RowSlab(values, columns: columns, lazyColumns: Self.lazyColumns, format)
    DispatchQueue.concurrentPerform(iterations: slab.rows) { row in
      slab.fit(row, order: order, importance: importance)
    }
    factor.withUnsafeBufferPointer { factor in
      guard let base = factor.baseAddress else { return }
      let upper = Upper(base: base, stride: columns)
      for start in stride(from: 0, to: columns, by: Self.lazyColumns) {
        let end = min(start + Self.lazyColumns, columns)
        DispatchQueue.concurrentPerform(iterations: slab.rows) { row in
          slab.round(row, start..<end, order: order, upper)
        }
        guard end < columns else { break }
        algebra.subtractProduct(
          (UnsafePointer(slab.errors), Self.lazyColumns), (base + start * columns + end, columns),
          from: (slab.weights + end, columns), m: slab.rows, n: columns - end, k: end - start)
      }
    }
    return slab.bytes()
  }
}

/// A triangular factor, shared by threads that read it.
///
/// `@unchecked Sendable`: read only while it lives.
private struct Upper: @unchecked Sendable {
  let base: UnsafePointer<Float>
  let stride: Int
}

/// Rows that are rounded together.
///
/// `@unchecked Sendable`: threads work on rows of their own.
private final class RowSlab: @unchecked Sendable {
  let rows: Int
  /// [rows, columns], columns in the order in which they are rounded.
  let weights: UnsafeMutablePointer<Float>
  /// [rows, lazyColumns]: of the columns that are being rounded, divided by the factor's diagonal.
  let errors: UnsafeMutablePointer<Float>
  private let values: [Float]
  private let columns: Int
  private let lazyColumns: Int
  private let format: RoundedFormat
  private let groups: Int
  /// [rows, groups].
  private let steps: UnsafeMutablePointer<Float>
  private let offsets: UnsafeMutablePointer<Float>
  /// [rows, columns], columns as stored.
  private let codes: UnsafeMutablePointer<Int8>
  private let grids: UnsafeMutablePointer<[BlockGrid]>

  init(_ values: [Float], columns: Int, lazyColumns: Int, _ format: RoundedFormat) {
    (self.values, self.columns, self.lazyColumns, self.format) = (
      values, columns, lazyColumns, format
    )
    rows = values.count / columns
    groups = columns / format.groupSize
    weights = .allocate(capacity: values.count)
    errors = .allocate(capacity: rows * lazyColumns)
    steps = .allocate(capacity: rows * groups)
    offsets = .allocate(capacity: rows * groups)
    codes = .allocate(capacity: values.count)
    grids = .allocate(capacity: rows)
    grids.initialize(repeating: [], count: rows)
  }

  deinit {
    weights.deallocate()
    errors.deallocate()
    steps.deallocate()
    offsets.deallocate()
    codes.deallocate()
    grids.deinitialize(count: rows)
    grids.deallocate()
  }

  /// Fits the steps of a row's blocks, and puts its weights in order.
  func fit(_ row: Int, order: [Int], importance: [Float]) {
    let size = format.type.blockSize
    values.withUnsafeBufferPointer { values in
      importance.withUnsafeBufferPointer { importance in
        let own = UnsafeBufferPointer(rebasing: values[row * columns..<(row + 1) * columns])
        grids[row] = stride(from: 0, to: columns, by: size).map { start in
          BlockGrid(
            fitting: UnsafeBufferPointer(rebasing: own[start..<start + size]),
            importance: UnsafeBufferPointer(rebasing: importance[start..<start + size]), format)
        }
        for (place, column) in order.enumerated() { weights[row * columns + place] = own[column] }
      }
    }
    for (group, step) in grids[row].flatMap(\.steps).enumerated() {
      steps[row * groups + group] = step
    }
    for (group, offset) in grids[row].flatMap(\.offsets).enumerated() {
      offsets[row * groups + group] = offset
    }
  }

  /// Rounds some columns of a row, each making up for those before it.
  func round(_ row: Int, _ range: Range<Int>, order: [Int], _ upper: Upper) {
    let own = weights + row * columns
    let (bounds, groupSize) = (format.codes, format.groupSize)
    for place in range {
      let (column, factor) = (order[place], upper.base + place * upper.stride)
      let group = row * groups + column / groupSize
      let code = nearestCode(own[place] - offsets[group], steps[group], bounds)
      codes[row * columns + column] = Int8(code)
      let error = (own[place] - (steps[group] * Float(code) + offsets[group])) / factor[place]
      errors[row * lazyColumns + place - range.lowerBound] = error
      for later in place + 1..<max(place + 1, range.upperBound) {
        own[later] -= error * factor[later]
      }
    }
  }

  /// All rows as stored.
  func bytes() -> [UInt8] {
    let size = format.type.blockSize
    var bytes: [UInt8] = []
    bytes.reserveCapacity(rows * columns / size * format.type.blockBytes)
    for row in 0..<rows {
      for (block, grid) in grids[row].enumerated() {
        let start = codes + row * columns + block * size
        grid.append(UnsafeBufferPointer(start: start, count: size), to: &bytes)
      }
    }
    return bytes
  }
}
