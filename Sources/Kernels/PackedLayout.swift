import CKernels

/// Where a packed matrix [outputs, inputs] keeps its panels, scales and minima, in bytes from its
/// beginning. `PackedWeights` describes the panels.
package struct PackedLayout: Sendable, Equatable {
  /// Changes whenever the bytes of a packed matrix would: packed files of another version are of no
  /// use.
  package static let version = 1

  package let scaleOffset: Int
  package let minimumOffset: Int
  /// Bytes of all parts, a multiple of 64.
  package let byteCount: Int

  /// - Parameter storage: the format of the panels.
  /// - Throws: `KernelError.invalidWeights` for impossible dimensions.
  package init(storage: WeightType, outputs: Int, inputs: Int) throws(KernelError) {
    // 2^40 weights: beyond any machine, and far from overflow in what follows.
    guard outputs > 0, inputs > 0, outputs <= 1 << 40, inputs <= (1 << 40) / outputs else {
      throw KernelError(code: .invalidWeights, message: "\(outputs) x \(inputs) weights")
    }
    _ = try storage.rowBytes(columns: inputs)
    let panels = (outputs + Int(CK_PANEL) - 1) / Int(CK_PANEL)
    let blocks = panels * (inputs / storage.blockSize)
    let scaleBytes = storage.isQuantised ? blocks * Int(CK_PANEL) * 2 : 0
    scaleOffset = roundUp(blocks * storage.panelBlockBytes, 64)
    minimumOffset = roundUp(scaleOffset + scaleBytes, 64)
    byteCount = roundUp(minimumOffset + (storage == .q4_1 ? scaleBytes : 0), 64)
  }
}
