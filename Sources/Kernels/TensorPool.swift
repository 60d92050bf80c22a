/// Tensors that are used again from step to step, by what they are for: two that live at once have
/// different uses. Owned by one executor at a time.
package final class TensorPool<Use: Hashable> {
  private struct Slot: Hashable {
    let use: Use
    let columns: Int
  }

  private var tensors: [Slot: Tensor] = [:]

  package init() {}

  /// Of undefined contents; operations that write it set its rows.
  ///
  /// - Throws: `KernelError.outOfResources`.
  package func tensor(_ use: Use, columns: Int) throws(KernelError) -> Tensor {
    let slot = Slot(use: use, columns: columns)
    if let tensor = tensors[slot] { return tensor }
    let tensor = try Tensor(rows: 0, columns: columns)
    tensors[slot] = tensor
    return tensor
  }
}
