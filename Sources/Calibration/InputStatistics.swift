import Kernels
import Models

/// Sums of the products of what goes into the matrices of a layer: for each site the upper triangle
/// of transpose(X) X, X being all inputs that it saw.
package final class InputStatistics: InputObserver {
  /// What one or several sites saw.
  package final class Sum {
    package let columns: Int
    package private(set) var rows = 0
    /// [columns, columns]; the upper triangle counts.
    package private(set) var products: [Float]

    init(columns: Int) {
      self.columns = columns
      products = [Float](repeating: 0, count: columns * columns)
    }

    /// Whether nothing but zeros was seen, as behind a layer that was pruned: then nothing can be
    /// made up for.
    var isZero: Bool { (0..<columns).allSatisfy { products[$0 * columns + $0] == 0 } }

    fileprivate func add(_ x: Tensor, _ range: Range<Int>, _ algebra: LinearAlgebra) {
      rows += range.count
      products.withUnsafeMutableBufferPointer { products in
        guard let sum = products.baseAddress else { return }
        algebra.addSquare(
          of: x.base + range.lowerBound * x.stride, rows: range.count, stride: x.stride, n: columns,
          to: sum)
      }
    }
  }

  /// Experts of a layer share one sum if theirs together would take more than this, on every
  /// machine: weights are rounded otherwise with a shared sum than with sums of their own.
  package static let stackLimitBytes = 4 << 30

  /// More memory than there is, in bytes.
  package struct Shortage: Hashable, Sendable {
    package let neededBytes: Int
    package let availableBytes: Int
  }

  private let algebra: LinearAlgebra
  private let columns: [String: Int]
  private let availableBytes: () -> Int?
  private var sums: [String: Sum] = [:]
  /// What each matrix saw.
  package private(set) var sumOfMatrix: [InputSite.Matrix: Sum] = [:]
  /// Why nothing is observed any more; nil: all is.
  package private(set) var shortage: Shortage?

  /// - Parameters:
  ///   - columns: of the tensors that are to be rounded; others are not looked at.
  ///   - availableBytes: of memory at this moment, asked before each sum; nil: nobody knows.
  package init(
    columns: [String: Int], _ algebra: LinearAlgebra,
    availableBytes: @escaping () -> Int? = { nil }
  ) {
    (self.columns, self.algebra) = (columns, algebra)
    self.availableBytes = availableBytes
  }

  /// A new sum, if there is memory for it and for its factors, which come after: one in float64 and
  /// one in float32 (`ErrorCompensation`).
  private func makeSum(columns: Int) -> Sum? {
    let needed = columns * columns * (4 + 8 + 4)
    if let available = availableBytes(), available < needed {
      shortage = Shortage(neededBytes: needed, availableBytes: available)
      return nil
    }
    return Sum(columns: columns)
  }

  /// As `InputObserver` says.
  package func observe(_ x: Tensor, rows: Range<Int>, into site: InputSite) {
    let matrices = site.matrices.filter { columns[$0.tensor] != nil }
    guard shortage == nil, let first = matrices.first, let width = columns[first.tensor],
      width <= x.columns,
      !rows.isEmpty
    else { return }
    // A site is known by its first matrix: another one of the same tensor sees the same.
    let isJoint = site.siblings > 1 && site.siblings * width * width * 4 > Self.stackLimitBytes
    let name = isJoint ? site.name : "\(first.tensor) \(first.rows.lowerBound)"
    guard let sum = sums[name] ?? makeSum(columns: width) else { return }
    sums[name] = sum
    sum.add(x, rows, algebra)
    for matrix in matrices { sumOfMatrix[matrix] = sum }
  }
}
