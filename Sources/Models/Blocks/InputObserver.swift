import Kernels

/// Is told what goes into the matrices of a model's layers, to find out which of their weights
/// matter.
package protocol InputObserver: AnyObject {
  /// - Parameters:
  ///   - x: [rows, inputs]; valid until the call ends.
  ///   - rows: those of x that go through the matrices.
  func observe(_ x: Tensor, rows: Range<Int>, into site: InputSite) throws
}

/// Stored matrices that take the same input.
package struct InputSite: Hashable, Sendable {
  /// Stored rows of one matrix.
  package struct Matrix: Hashable, Sendable {
    /// As the source calls it.
    package let tensor: String
    /// Of the tensor, its leading dimensions taken together.
    package let rows: Range<Int>

    package init(tensor: String, rows: Range<Int>) {
      (self.tensor, self.rows) = (tensor, rows)
    }
  }

  /// Unlike that of any other matrix of the model, but for those of its stack.
  package let name: String
  /// Matrices of the stack, such as experts: 1 for a matrix that stands alone.
  package let siblings: Int
  /// Each once.
  package let matrices: [Matrix]

  package init(name: String, siblings: Int, matrices: [Matrix]) {
    (self.name, self.siblings, self.matrices) = (name, siblings, matrices)
  }
}

extension InputSite {
  /// Matrices that stand alone: all rows of a tensor take the same input, whichever are selected.
  init(_ blocks: [LinearBlock]) {
    var seen: Set<String> = []
    name = blocks.first?.stored.tensor ?? ""
    siblings = 1
    matrices = blocks.map(\.stored).filter { seen.insert($0.tensor).inserted }
  }

  /// Matrix `index` of each stack.
  init(_ stacks: [MatrixStackBlock], _ index: Int) {
    name = stacks.first?.name ?? ""
    siblings = stacks.first?.stored.count ?? 1
    matrices = stacks.map { $0.stored[index] }
  }
}
