import Kernels
import Models

/// The last norm, the output matrix and the cross-entropy, forwards and backwards.
final class OutputHead {
  private let norm: RowNorm
  private let weights: PackedWeights
  private let bias: [Float]?
  private let cap: Float?
  private let transposed: PackedWeights
  /// Rows of logits at a time, so that they take 64 MiB at most.
  private let rowsAtOnce: Int

  init(_ frozen: FrozenModel) {
    let model = frozen.dense
    norm = model.finalNorm
    (weights, bias) = (model.head.weights, model.head.bias)
    cap = model.logitCap
    transposed = frozen.head
    rowsAtOnce = Self.rowsAtOnce(outputs: weights.outputs)
  }

  private static func rowsAtOnce(outputs: Int) -> Int {
    max(1, min(128, (1 << 24) / max(1, outputs)))
  }

  /// Bytes of the logits that are there at a time.
  static func byteCount(_ model: DenseModel) -> Int {
    let outputs = model.head.weights.outputs
    return rowsAtOnce(outputs: outputs) * outputs * (model.logitCap == nil ? 5 : 9)
  }

  /// The losses of the rows that have labels, in order.
  ///
  /// - Parameters:
  ///   - x: the residual stream after the last layer [rows, D].
  ///   - labels: of some rows, ascending.
  ///   - factor: what each loss counts for.
  ///   - d: becomes the gradient of x, of factor times the losses' sum; nil: not wanted.
  func losses(
    _ x: Tensor, labels: [(row: Int, token: Int32)], factor: Float, gradient d: Tensor?,
    _ space: Workspace
  ) throws -> [Float] {
    if let d {
      try d.resize(rows: x.rows)
      d.clear()
    }
    var losses: [Float] = []
    for start in stride(from: 0, to: labels.count, by: rowsAtOnce) {
      let part = labels[start..<min(labels.count, start + rowsAtOnce)]
      losses += try self.losses(x, Array(part), factor, d, space)
    }
    return losses
  }

  private func losses(
    _ x: Tensor, _ labels: [(row: Int, token: Int32)], _ factor: Float, _ d: Tensor?,
    _ space: Workspace
  ) throws -> [Float] {
    let compute = space.compute
    let gathered = try space.tensor(.gathered, columns: x.columns)
    try compute.gather(x, rows: labels.map(\.row), into: gathered)
    let logits = try space.tensor(.logits, columns: weights.outputs)
    let normed = try space.tensor(.normed, columns: x.columns)
    try compute.rmsNorm(gathered, weight: norm.weight, epsilon: norm.epsilon, into: normed)
    try compute.matmul(normed, weights, into: logits)
    if let bias { compute.add(bias: bias, to: logits) }
    if let cap { compute.softCap(logits, at: cap) }
    let capped = cap == nil ? nil : try space.tensor(.cappedLogits, columns: weights.outputs)
    if let capped { try compute.copy(logits, to: capped) }
    let losses = compute.crossEntropy(logits, labels: labels.map(\.token), factor: factor)
    guard let d else { return losses }
    if let cap, let capped { compute.softCapGradient(capped, at: cap, logits) }
    let above = try space.tensor(.headGradient, columns: x.columns)
    try compute.matmul(logits, transposed, into: above)
    let below = try space.tensor(.gatheredGradient, columns: x.columns)
    try compute.rmsNormGradient(gathered, norm, above, into: below)
    for (index, label) in labels.enumerated() { d[label.row].replace(with: below[index]) }
    return losses
  }
}
