/// The sizes of latent attention, and how it is made of the matrices that checkpoints have.
struct LatentShape {
  let hidden: Int
  let heads: Int
  let plain: Int
  let rotated: Int
  let valueDimension: Int
  let latent: Int
  let queryRank: Int?

  /// Stored matrices.
  enum Matrix {
    /// [Q, D].
    case queryDown
    /// [H (plain + rotated), Q or D], head by head.
    case query
    /// [latent + rotated, D].
    case down
    /// [D, H valueDimension].
    case output
  }

  /// What brings latent rows up to the heads.
  enum Up {
    /// One matrix [H (plain + valueDimension), latent], head by head.
    case joint(weight: String, scales: String?)
    /// Of each head, [latent, plain] and [valueDimension, latent].
    case absorbed(key: ModelDescription.MatrixStack, value: ModelDescription.MatrixStack)
  }

  /// - Parameters:
  ///   - linear: some rows of a stored matrix, or all.
  ///   - queryDownNorm: used where there is a `queryRank`.
  func attention(
    scale: Double,
    linear: (
      _ matrix: Matrix, _ inputs: Int, _ outputs: Int, _ rows: ModelDescription.RowSelection?
    ) -> ModelDescription.Linear,
    queryDownNorm: ModelDescription.Norm, latentNorm: ModelDescription.Norm, up: Up
  ) -> ModelDescription.LatentAttention {
    typealias Rows = ModelDescription.RowSelection
    let (each, width) = (plain + rotated, queryRank ?? hidden)
    func query(_ start: Int, _ count: Int) -> ModelDescription.Linear {
      linear(
        .query, width, heads * count,
        Rows(of: heads * each, [.init(start: start, count: count, period: each, repeats: heads)]))
    }
    func down(_ start: Int, _ count: Int) -> ModelDescription.Linear {
      linear(
        .down, hidden, count,
        Rows(of: latent + rotated, [.init(start: start, count: count, period: 0, repeats: 1)]))
    }
    let (key, value) = stacks(up)
    return .init(
      heads: heads, plainDimension: plain, ropeDimension: rotated, valueDimension: valueDimension,
      latentDimension: latent, scale: scale, rope: 0,
      queryDown: queryRank.map { linear(.queryDown, hidden, $0, nil) },
      queryDownNorm: queryRank.map { _ in queryDownNorm }, query: query(0, plain),
      queryRope: query(plain, rotated), latent: down(0, latent), latentNorm: latentNorm,
      keyRope: down(latent, rotated), absorbedKey: key, absorbedValue: value,
      output: linear(.output, heads * valueDimension, hidden, nil))
  }

  private func stacks(
    _ up: Up
  ) -> (key: ModelDescription.MatrixStack, value: ModelDescription.MatrixStack) {
    switch up {
    case .absorbed(let key, let value): return (key, value)
    case .joint(let weight, let scales):
      func stack(
        _ start: Int, outputs: Int, inputs: Int, isTransposed: Bool
      ) -> ModelDescription.MatrixStack {
        .init(
          .stacked(
            weight: weight, scales: scales, shape: [heads * (plain + valueDimension), latent],
            start: start, period: plain + valueDimension),
          count: heads, outputs: outputs, inputs: inputs, isTransposed: isTransposed)
      }
      return (
        stack(0, outputs: latent, inputs: plain, isTransposed: true),
        stack(plain, outputs: valueDimension, inputs: latent, isTransposed: false)
      )
    }
  }
}
