import Kernels

/// A pre-norm decoder layer.
struct LayerBlock: Sendable {
  private enum Mixer: Sendable {
    case attention(AttentionBlock)
  }

  private enum FeedForward: Sendable {
    case gated(GatedFeedForwardBlock)
  }

  private let mixerNorm: RowNorm
  private let mixer: Mixer
  private let feedForwardNorm: RowNorm
  private let feedForward: FeedForward

  init(
    _ description: ModelDescription.Layer, ropes: [ModelDescription.Rope], _ loader: WeightLoader
  ) throws {
    mixerNorm = try RowNorm(description.mixerNorm, loader)
    switch description.mixer {
    case .attention(let attention):
      mixer = .attention(try AttentionBlock(attention, ropes: ropes, loader))
    }
    feedForwardNorm = try RowNorm(description.feedForwardNorm, loader)
    switch description.feedForward {
    case .gated(let gated): feedForward = .gated(try GatedFeedForwardBlock(gated, loader))
    }
  }

  var byteCount: Int {
    let mixerBytes =
      switch mixer {
      case .attention(let block): block.byteCount
      }
    switch feedForward {
    case .gated(let block): return mixerBytes + block.byteCount
    }
  }

  /// x[rows, D] += mixer, then feed-forward.
  ///
  /// - Parameter pending: an update that x has yet to take, added on x's way into the first matrix.
  /// - Returns: the update that x has yet to take afterwards.
  func run(
    _ x: Tensor, adding pending: Tensor?, layer: Int, _ context: StepContext
  ) throws -> Tensor {
    let update = try context.tensor(.update, columns: x.columns)
    let intoMixer = RowPreparation.norm(mixerNorm, adding: pending)
    switch mixer {
    case .attention(let block): try block.run(x, intoMixer, layer: layer, into: update, context)
    }
    let intoFeedForward = RowPreparation.norm(feedForwardNorm, adding: update)
    switch feedForward {
    case .gated(let block): try block.run(x, intoFeedForward, into: update, context)
    }
    return update
  }
}
