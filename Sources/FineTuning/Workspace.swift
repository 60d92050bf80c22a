import Kernels

/// Tensors that the layers of a step reuse, one after the other.
final class Workspace {
  /// Tensors that live at once have different uses.
  enum Use: Hashable {
    case normed, update, delta, lowRank, lowRankOutput, lowRankInput
    case gradient, innerGradient, groupGradient
    case queryGradient, keyGradient, valueGradient, gateGradient, upGradient
    case stream, streamGradient
    case gathered, logits, cappedLogits, gatheredGradient, headGradient
  }

  private struct Slot: Hashable {
    let use: Use
    let columns: Int
  }

  let compute: Compute
  private var tensors: [Slot: Tensor] = [:]

  init(_ compute: Compute) { self.compute = compute }

  /// Of undefined contents; operations that write it set its rows.
  func tensor(_ use: Use, columns: Int) throws -> Tensor {
    let slot = Slot(use: use, columns: columns)
    if let tensor = tensors[slot] { return tensor }
    let tensor = try Tensor(rows: 0, columns: columns)
    tensors[slot] = tensor
    return tensor
  }
}

extension Compute {
  /// output = x; output has its own memory.
  func copy(_ x: Tensor, to output: Tensor) throws {
    try output.resize(rows: x.rows)
    copyHeads(
      x, from: HeadColumns(stride: 0), to: output, at: HeadColumns(stride: 0), heads: 1,
      count: x.columns)
  }
}
