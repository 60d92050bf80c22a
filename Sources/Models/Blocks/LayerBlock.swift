import Kernels
import ModelFormats

/// A decoder layer.
struct LayerBlock: Sendable {
  /// What works across positions, and where a sequence keeps what it needs of earlier ones.
  enum Mixer: Sendable {
    case attention(AttentionBlock, cache: Int)
    case latent(LatentAttentionBlock, cache: Int)
    case linear(LinearAttentionBlock, recurrent: Int)
  }

  /// Its place in the model.
  let index: Int

  let mixerNorm: RowNorm?
  var mixer: Mixer
  let mixerOutputNorm: RowNorm?
  let feedForwardNorm: RowNorm?
  var feedForward: FeedForwardBlock
  let feedForwardOutputNorm: RowNorm?
  let perLayerInput: PerLayerInputBlock?
  let scalar: Float?

  /// - Parameters:
  ///   - plan: of a part of the model that has the layer.
  ///   - compute: for what is computed from weights once.
  init(
    _ index: Int, of model: ModelDescription, _ plan: StatePlan, _ loader: WeightLoader,
    _ compute: Compute
  ) throws {
    func kept(_ place: Int?) throws -> Int {
      if let place { return place }
      throw FormatError(
        .malformed, file: loader.source.name, reason: "layer \(index) reads what no layer keeps")
    }
    let (description, ropes) = (model.layers[index], model.ropes)
    self.index = index
    mixerNorm = try description.mixerNorm.map { try RowNorm($0, loader) }
    mixerOutputNorm = try description.mixerOutputNorm.map { try RowNorm($0, loader) }
    mixer =
      switch description.mixer {
      case .attention(let attention):
        .attention(
          try AttentionBlock(attention, ropes: ropes, loader),
          cache: try kept(plan.cacheIndex(of: index)))
      case .latent(let latent):
        .latent(
          try LatentAttentionBlock(latent, ropes: ropes, loader),
          cache: try kept(plan.cacheIndex(of: index)))
      case .linear(let linear):
        .linear(
          try LinearAttentionBlock(linear, loader, compute),
          recurrent: try kept(plan.recurrentIndex(of: index)))
      }
    feedForwardNorm = try description.feedForwardNorm.map { try RowNorm($0, loader) }
    feedForwardOutputNorm = try description.feedForwardOutputNorm.map { try RowNorm($0, loader) }
    feedForward = try FeedForwardBlock(description.feedForward, loader)
    perLayerInput = try description.perLayerInput.map { try PerLayerInputBlock($0, loader) }
    scalar = try description.scalar.map {
      try loader.vector(TensorRequirement(name: $0, shape: [1]))[0]
    }
  }

  var byteCount: Int {
    let mixerBytes =
      switch mixer {
      case .attention(let block, _): block.byteCount
      case .latent(let block, _): block.byteCount
      case .linear(let block, _): block.byteCount
      }
    return mixerBytes + feedForward.byteCount + (perLayerInput?.byteCount ?? 0)
  }

  /// Bytes of matrices that one token goes through.
  var bytesPerToken: Int { byteCount - feedForward.byteCount + feedForward.bytesPerToken }

  /// x[rows, D] += mixer, then feed-forward.
  ///
  /// - Parameter pending: an update that x has yet to take, added on x's way into the first matrix.
  /// - Returns: the update that x has yet to take afterwards.
  func run(
    _ x: Tensor, adding pending: Tensor?, _ context: StepContext
  ) throws -> Tensor? {
    let compute = context.compute
    let update = try context.tensor(.update, columns: x.columns)
    let intoMixer = preparation(mixerNorm, pending, x, context)
    switch mixer {
    case .attention(let block, let cache):
      try block.run(x, intoMixer, cache: cache, into: update, context)
    case .latent(let block, let cache):
      try block.run(x, intoMixer, cache: cache, into: update, context)
    case .linear(let block, let recurrent):
      try block.run(x, intoMixer, context.recurrentRows(recurrent), into: update, context)
    }
    try normalise(update, mixerOutputNorm, compute)
    let intoFeedForward = preparation(feedForwardNorm, update, x, context)
    try feedForward.run(x, intoFeedForward, into: update, context)
    try normalise(update, feedForwardOutputNorm, compute)
    guard perLayerInput != nil || scalar != nil else { return update }
    compute.add(update, to: x)
    if let perLayerInput {
      try perLayerInput.run(x, layer: index, into: update, context)
      compute.add(update, to: x)
    }
    if let scalar { compute.scale(x, by: scalar) }
    return nil
  }

  private func preparation(
    _ norm: RowNorm?, _ pending: Tensor?, _ x: Tensor, _ context: StepContext
  ) -> RowPreparation {
    if let norm { return .norm(norm, adding: pending) }
    if let pending { context.compute.add(pending, to: x) }
    return .none
  }

  private func normalise(_ update: Tensor, _ norm: RowNorm?, _ compute: Compute) throws {
    guard let norm else { return }
    try compute.rmsNorm(update, weight: norm.weight, epsilon: norm.epsilon, into: update)
  }
}

/// What works on each position alone.
enum FeedForwardBlock: Sendable {
  case gated(GatedFeedForwardBlock)
  case experts(ExpertsBlock)
  case both(GatedAndExpertsBlock)

  init(_ description: ModelDescription.FeedForward, _ loader: WeightLoader) throws {
    switch description {
    case .gated(let gated): self = .gated(try GatedFeedForwardBlock(gated, loader))
    case .experts(let experts): self = .experts(try ExpertsBlock(experts, loader))
    case .both(let both): self = .both(try GatedAndExpertsBlock(both, loader))
    }
  }

  var byteCount: Int {
    switch self {
    case .gated(let block): block.byteCount
    case .experts(let block): block.byteCount
    case .both(let block): block.byteCount
    }
  }

  var bytesPerToken: Int {
    switch self {
    case .gated(let block): block.byteCount
    case .experts(let block): block.bytesPerToken
    case .both(let block): block.bytesPerToken
    }
  }

  /// update[rows, D] from x[rows, D], prepared first, which may read `update`.
  func run(
    _ x: Tensor, _ preparation: RowPreparation, into update: Tensor, _ context: StepContext
  ) throws {
    switch self {
    case .gated(let block): try block.run(x, preparation, into: update, context)
    case .experts(let block): try block.run(x, preparation, into: update, context)
    case .both(let block): try block.run(x, preparation, into: update, context)
    }
  }
}
