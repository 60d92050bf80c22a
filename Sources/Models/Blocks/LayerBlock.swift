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
  func run(_ x: Tensor, layer: Int, _ context: StepContext) throws {
    let update = try context.tensor(.update, columns: x.columns)
    switch mixer {
    case .attention(let block):
      try block.run(x, norm: mixerNorm, layer: layer, into: update, context)
    }
    context.compute.add(update, to: x)
    switch feedForward {
    case .gated(let block): try block.run(x, norm: feedForwardNorm, into: update, context)
    }
    context.compute.add(update, to: x)
  }
}
