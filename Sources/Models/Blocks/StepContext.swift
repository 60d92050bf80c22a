import Kernels

/// What the blocks of one step share: the kernels, the rows of each sequence, and tensors that are
/// reused.
final class StepContext {
  /// The uses of reusable tensors. Two tensors that live at once have different uses.
  enum Use: Hashable {
    case residual, query, key, value, mixed, gate, up, update, gathered, logits
  }

  private struct Slot: Hashable {
    let use: Use
    let columns: Int
  }

  let compute: Compute
  /// Which rows belong to which sequence.
  var sequences: [SequenceRows] = []
  /// The description's ropes, for the positions in use.
  var ropes: [RopeTable]
  private var tensors: [Slot: Tensor] = [:]

  init(compute: Compute, ropes: [RopeTable]) {
    self.compute = compute
    self.ropes = ropes
  }

  /// A tensor whose contents are undefined; operations that write it set its rows.
  func tensor(_ use: Use, columns: Int) throws -> Tensor {
    let slot = Slot(use: use, columns: columns)
    if let tensor = tensors[slot] { return tensor }
    let tensor = try Tensor(rows: 0, columns: columns)
    tensors[slot] = tensor
    return tensor
  }

  /// Makes the ropes hold positions below `count`, growing by doubling up to `limit`.
  func extendRopes(to count: Int, limit: Int) {
    for index in ropes.indices where ropes[index].positions < count {
      ropes[index].extend(to: min(limit, max(256, count, 2 * ropes[index].positions)))
    }
  }
}
