import Kernels
import Models

/// A pair of an adapter while it is trained: B is held transposed, [rank, outputs].
final class TrainedPair {
  let scale: Float
  let rank: Int
  /// B^T [rank, outputs].
  let b: Tensor
  let bGradient: Tensor
  private let bMoments: (first: Tensor, second: Tensor)
  /// B [outputs, rank] and B^T, to be multiplied with.
  private(set) var up: PackedWeights?
  private(set) var down: PackedWeights?
  private let panels = (FloatPanels(), FloatPanels())

  init(_ pair: Adapter.Pair, scale: Float) throws {
    (self.scale, rank) = (scale, pair.rank)
    b = try Tensor(rows: pair.rank, columns: pair.outputs)
    for row in 0..<pair.rank {
      for output in 0..<pair.outputs { b[row][output] = pair.b[output * pair.rank + row] }
    }
    bGradient = try .zeros(like: b)
    bMoments = (try .zeros(like: b), try .zeros(like: b))
  }

  func pack(_ compute: Compute) throws {
    up = try panels.0.columns(of: b, compute)
    down = try panels.1.rows(of: b, compute)
  }

  func step(_ step: AdamWStep, _ compute: Compute) {
    compute.step(
      b, gradient: bGradient, first: bMoments.first, second: bMoments.second, step)
  }

  func forgetMoments() {
    bMoments.first.clear()
    bMoments.second.clear()
  }

  /// [outputs, rank], row after row.
  static func transposed(_ b: Tensor) -> [Float] {
    (0..<b.columns).flatMap { output in (0..<b.rows).map { b[$0][output] } }
  }
}

extension Tensor {
  static func zeros(like other: Tensor) throws -> Tensor {
    let tensor = try Tensor(rows: other.rows, columns: other.columns)
    tensor.clear()
    return tensor
  }

  func clear() {
    for row in 0..<rows { self[row].update(repeating: 0) }
  }
}
