import Kernels
import ModelFormats

/// What a model is made of and what it takes, layer by layer, for people.
package struct ModelSummary: Sendable {
  /// Consecutive layers that are alike.
  package struct Layers: Hashable, Sendable {
    /// Their indexes.
    package var layers: Range<Int>
    /// The first half of each, in words.
    package var mixer: String
    /// The second half of each, in words.
    package var feedForward: String
    /// Elements of one layer's tensors.
    package var parameters: Int
    /// Bytes of one layer's weights in memory, at most.
    package var weightBytes: Int
    /// Bytes that one layer keeps for each token of a sequence, in float16.
    package var cacheBytesPerToken: Int
  }

  /// In order; together they are all layers.
  package let layers: [Layers]
  /// Whether a token goes through some of the matrices only.
  package let hasExperts: Bool
  /// Elements of the matrices that one token goes through, and its row of the embedding.
  package let activeParameters: Int
  /// Bytes of all weights in memory, at most.
  package let weightBytes: Int
  /// Bytes of the weights that one token goes through: of experts, the chosen ones.
  package let weightBytesPerToken: Int
  /// Bytes of all layers for each token of a sequence, in float16.
  package let cacheBytesPerToken: Int
  /// Bytes of all layers for each sequence, however long it is.
  package let stateBytes: Int
  package let embeddingParameters: Int
  package let embeddingBytes: Int
  /// Without the output matrix where that is the embedding.
  package let headParameters: Int
  package let headBytes: Int
  /// Whether the output matrix is the embedding.
  package let isHeadShared: Bool

  /// Reads no weights.
  ///
  /// - Throws: `FormatError` for a tensor that is missing or cannot be computed with.
  package init(_ model: ModelDescription, _ source: any TensorSource) throws {
    let loader = WeightLoader(source: source, options: .init())
    func bytes(_ requirements: WeightRequirements) throws -> Int {
      let matrices = try requirements.matrices.reduce(0) { total, matrix in
        let layout = try PackedLayout(
          storage: loader.widestPanelType(matrix), outputs: matrix.outputs, inputs: matrix.inputs)
        return total + layout.byteCount
      }
      return requirements.vectors.reduce(matrices) { $0 + 4 * $1.count }
    }
    func parameters(_ requirements: WeightRequirements) -> Int {
      requirements.tensors.reduce(0) { $0 + $1.count }
    }
    var runs: [Layers] = []
    var (ownBytes, bytesPerToken) = (0, 0)
    for (index, layer) in model.layers.enumerated() {
      var requirements = WeightRequirements()
      layer.require(&requirements)
      let layerBytes = try bytes(requirements)
      ownBytes += layerBytes
      bytesPerToken += layerBytes
      if let experts = layer.feedForward.experts {
        let all = try bytes(WeightRequirements(matrices: experts.stacks.map(\.matrix)))
        bytesPerToken -= all - all / experts.count * experts.chosen
      }
      let one = Layers(
        layers: index..<index + 1, mixer: layer.mixer.summary,
        feedForward: layer.feedForward.summary, parameters: parameters(requirements),
        weightBytes: layerBytes, cacheBytesPerToken: layer.mixer.cacheBytesPerToken)
      var next = one
      next.layers = runs.last?.layers ?? next.layers
      if let last = runs.last, next == last {
        runs[runs.count - 1].layers = last.layers.lowerBound..<index + 1
      } else {
        runs.append(one)
      }
    }
    layers = runs
    isHeadShared = model.hasTiedEmbeddings
    let none = 0..<0
    let embedding = model.requirements(
      of: ModelPart(hasEmbedding: true, layers: none, hasHead: false))
    var head = model.requirements(of: ModelPart(hasEmbedding: false, layers: none, hasHead: true))
    head.vectors.removeAll { embedding.vectors.contains($0) }
    if isHeadShared { head.matrices = [] }
    embeddingParameters = parameters(embedding)
    headParameters = parameters(head)
    embeddingBytes = try bytes(embedding)
    headBytes = try bytes(head)
    weightBytes = ownBytes + embeddingBytes + headBytes
    weightBytesPerToken = bytesPerToken + headBytes + (isHeadShared ? embeddingBytes : 0)
    cacheBytesPerToken = model.layers.reduce(0) { $0 + $1.mixer.cacheBytesPerToken }
    stateBytes = model.statePlan.recurrent.reduce(0) { $0 + $1.stateBytes }
    hasExperts = model.layers.contains { $0.feedForward.experts != nil }
    let active = model.layers.reduce(0.0) { $0 + $1.elementsPerToken }
    activeParameters =
      Int(active) + model.output.inputs * model.output.outputs + model.hiddenSize
  }
}

extension ModelDescription.Mixer {
  /// In words.
  fileprivate var summary: String {
    switch self {
    case .attention(let attention):
      let groups =
        attention.keyValueHeads == attention.heads ? "" : " on \(attention.keyValueHeads)"
      let size =
        attention.keyDimension == attention.valueDimension
        ? "\(attention.keyDimension)" : "\(attention.keyDimension)/\(attention.valueDimension)"
      let window = attention.window.map { ", window \($0)" } ?? ""
      let shared = attention.sharedLayer.map { ", keys of \($0)" } ?? ""
      return "\(attention.heads) heads\(groups) of \(size)\(window)\(shared)"
    case .latent(let latent):
      return "\(latent.heads) heads on \(latent.latentDimension)+\(latent.ropeDimension) latent"
    case .linear(let linear):
      return "\(linear.valueHeads) linear heads on \(linear.keyHeads) of "
        + "\(linear.keyDimension)/\(linear.valueDimension)"
    }
  }

  /// Bytes that the layer keeps for each token, in float16; 0 where it keeps none of its own.
  fileprivate var cacheBytesPerToken: Int {
    switch self {
    case .attention(let attention):
      attention.sharedLayer == nil ? Self.bytesPerToken(attention.cacheLayer) : 0
    case .latent(let latent): Self.bytesPerToken(latent.cacheLayer)
    case .linear: 0
    }
  }

  private static func bytesPerToken(_ layer: CacheLayer) -> Int {
    let block = 64
    return KeyValueCache.byteCount(layers: [layer], element: .f16, positions: block) / block
  }
}

extension ModelDescription.FeedForward {
  /// In words.
  fileprivate var summary: String {
    switch self {
    case .gated(let gated): return "\(gated.gate.outputs)"
    case .experts(let experts): return experts.summary
    case .both(let both): return "\(both.gated.gate.outputs), \(both.experts.summary)"
    }
  }
}

extension ModelDescription.Experts {
  fileprivate var summary: String {
    let own = "\(chosen) of \(count) experts of \(gate.outputs)"
    return shared.map { "\(own) + \($0.gate.outputs)" } ?? own
  }
}
