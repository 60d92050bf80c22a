import CKernels

/// Where a packed matrix [outputs, inputs] keeps its panels, scales and minima, in bytes from its
/// beginning. `PackedWeights` describes the panels.
package struct PackedLayout: Sendable, Equatable {
  /// Changes whenever the bytes of a packed matrix would: packed files of another version are of no
  /// use.
  package static let version = 4

  package let scaleOffset: Int
  package let minimumOffset: Int
  /// Bytes of all parts, a multiple of 64.
  package let byteCount: Int

  /// - Parameter storage: a type that has panels (`WeightType.storage`).
  /// - Throws: `KernelError.invalidWeights` for impossible dimensions.
  package init(storage: WeightType, outputs: Int, inputs: Int) throws(KernelError) {
    // 2^40 weights: beyond any machine, and far from overflow in what follows.
    guard outputs > 0, inputs > 0, outputs <= 1 << 40, inputs <= (1 << 40) / outputs else {
      throw KernelError(code: .invalidWeights, message: "\(outputs) x \(inputs) weights")
    }
    _ = try storage.rowBytes(columns: inputs)
    let (sizes, lanes) = (ck_sizes_of(storage.format), Int(CK_PANEL))
    precondition(sizes.panel_bytes > 0, "\(storage) has no panels")
    let panels = (outputs + lanes - 1) / lanes
    let blocks = panels * (inputs / sizes.block)
    let scaleBytes =
      storage == .f8E4M3
      ? panels * ((inputs - 1) / BlockScales.blockSize + 1) * lanes * 4
      : blocks * sizes.scale_bytes
    scaleOffset = roundUp(blocks * sizes.panel_bytes, 64)
    minimumOffset = roundUp(scaleOffset + scaleBytes, 64)
    byteCount = roundUp(minimumOffset + blocks * sizes.minimum_bytes, 64)
  }
}
