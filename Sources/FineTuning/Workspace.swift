import Kernels

/// Tensors that the layers of a step reuse, one after the other.
final class Workspace {
  /// Tensors that live at once have different uses.
  enum Use: Hashable {
    case normed, update, delta, lowRank, lowRankOutput, lowRankInput
    case gradient, innerGradient, groupGradient
    case queryGradient, keyGradient, valueGradient, gateGradient, upGradient
    case stream, streamGradient
    case perLayerInput, perLayerGated, perLayerGradient, perLayerOther
    case gathered, logits, cappedLogits, gatheredGradient, headGradient
  }

  let compute: Compute
  private let tensors = TensorPool<Use>()

  init(_ compute: Compute) { self.compute = compute }

  /// Of undefined contents; operations that write it set its rows.
  func tensor(_ use: Use, columns: Int) throws -> Tensor {
    try tensors.tensor(use, columns: columns)
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
