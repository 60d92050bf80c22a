import CKernels

/// RMSNorm of rows: x / sqrt(mean(x^2) + epsilon) * weight.
package struct RowNorm: Sendable {
  /// One value per column.
  package let weight: [Float]
  package let epsilon: Float

  package init(weight: [Float], epsilon: Float) {
    self.weight = weight
    self.epsilon = epsilon
  }
}

/// What is done to each row of x on its way into a product, in one pass with its quantisation.
package enum RowPreparation {
  /// Nothing.
  case none
  /// RMSNorm. Where there is something to add, the update of the block before, x becomes the sum
  /// first and keeps it.
  case norm(RowNorm, adding: Tensor? = nil)
  /// f(x) * up, x being gates; x keeps its values.
  case gate(GatedActivation, up: Tensor)

  /// False for `none`.
  package var isAny: Bool {
    if case .none = self { return false }
    return true
  }
}

/// Prepares rows on any thread.
///
/// `@unchecked Sendable`: tasks read and write disjoint rows.
struct RowPreparer: @unchecked Sendable {
  private enum Step {
    case none
    case norm(RowNorm, addend: Rows?)
    case gate(GatedFunction?, up: Rows)
  }

  private let source: Rows
  private let columns: Int
  private let kernels: KernelSet
  private let step: Step

  init(_ x: Tensor, _ preparation: RowPreparation, _ kernels: KernelSet) {
    (source, columns, self.kernels) = (Rows(x), x.columns, kernels)
    switch preparation {
    case .none: step = .none
    case .norm(let norm, let addend):
      precondition(norm.weight.count == x.columns)
      precondition(addend.map { $0.rows == x.rows && $0.columns == x.columns } ?? true)
      step = .norm(norm, addend: addend.map { Rows($0) })
    case .gate(let activation, let up):
      precondition(up.rows == x.rows && up.columns == x.columns)
      step = .gate(kernels.gated(activation), up: Rows(up))
    }
  }

  /// What a value costs beside one that is only quantised: gates take an exponential.
  var cost: Int {
    if case .gate = step { return 4 }
    return 1
  }

  /// The prepared row, which lies in x or in `buffer`.
  func row(_ row: Int, _ buffer: UnsafeMutablePointer<Float>) -> UnsafePointer<Float> {
    let x = source[row]
    switch step {
    case .none: return UnsafePointer(x)
    case .norm(let norm, let addend):
      if let addend { kernels.table.pointee.add(x, addend[row], columns, x) }
      kernels.table.pointee.rms_norm(x, norm.weight, norm.epsilon, columns, buffer)
    case .gate(let function, let up): function?(x, up[row], columns, buffer)
    }
    return UnsafePointer(buffer)
  }
}
