import Kernels
import ModelFormats

/// A model of softmax attention and gated feed-forwards, taken apart for whoever computes with its
/// blocks in another way than an executor: for fine-tuning.
package struct DenseModel: Sendable {
  /// y = W x + b.
  package struct Linear: Sendable {
    package let weights: PackedWeights
    package let bias: [Float]?
    /// In the description.
    package let description: ModelDescription.Linear
  }

  /// What makes the per-layer inputs of tokens (`PerLayerEmbeddingBlock`).
  package struct PerLayerEmbedding: Sendable {
    package let table: PackedWeights
    package let projection: Linear
    package let norm: RowNorm
    package let description: ModelDescription.PerLayerEmbedding
  }

  /// x += norm(projection(activation(gate(x)) * input)).
  package struct PerLayerInput: Sendable {
    package let activation: GatedActivation
    package let gate: Linear
    package let projection: Linear
    package let norm: RowNorm
  }

  /// A layer: x += outputNorm(block(norm(x))) for attention, then for the feed-forward.
  package struct Layer: Sendable {
    package let mixerNorm: RowNorm?
    package let mixerOutputNorm: RowNorm?
    package let feedForwardNorm: RowNorm?
    package let feedForwardOutputNorm: RowNorm?
    /// Multiplies the residual stream at the end.
    package let scalar: Float?
    package let attention: ModelDescription.Attention
    package let shape: AttentionShape
    package let query: Linear
    /// Nil where keys and values are those of an earlier layer, `attention.sharedLayer`.
    package let key: Linear?
    /// Nil there, and where values are keys.
    package let value: Linear?
    package let output: Linear
    package let queryNorm: RowNorm?
    package let keyNorm: RowNorm?
    package let valueNorm: RowNorm?
    package let activation: GatedActivation
    package let gate: Linear
    package let up: Linear
    package let down: Linear
    package let perLayerInput: PerLayerInput?
  }

  package let description: ModelDescription
  package let embedding: PackedWeights
  package let perLayerEmbedding: PerLayerEmbedding?
  package let layers: [Layer]
  package let finalNorm: RowNorm
  package let head: Linear
  private let inverseFrequencies: [[Float]]

  /// - Parameter model: a whole one.
  /// - Throws: `FormatError.unsupported` naming the first mechanism that is not of this kind.
  package init(_ model: Model) throws {
    let description = model.description
    try description.requireDense()
    guard let embedding = model.embedding, let head = model.head,
      model.layers.count == description.layers.count
    else { throw description.unknownToFineTuning("parts of a model") }
    self.description = description
    self.embedding = embedding
    perLayerEmbedding = model.perLayerEmbedding.map { block in
      PerLayerEmbedding(
        table: block.table, projection: Linear(block.projection, block.description.projection),
        norm: block.norm, description: block.description)
    }
    layers = try zip(model.layers, description.layers).map { block, layer in
      guard let dense = Layer(block, layer) else {
        throw description.unknownToFineTuning("this model")
      }
      return dense
    }
    finalNorm = head.norm
    self.head = Linear(head.output, description.output)
    inverseFrequencies = model.inverseFrequencies
  }

  /// The description's ropes for positions below `positions`.
  package func ropes(positions: Int) -> [RopeTable] {
    zip(description.ropes, inverseFrequencies).map { rope, frequencies in
      RopeTable(
        inverseFrequencies: frequencies, attentionFactor: Float(rope.attentionFactor ?? 1),
        positions: positions)
    }
  }

  /// Logits become cap * tanh(logit / cap).
  package var logitCap: Float? { description.logitCap.map { Float($0) } }
}

extension DenseModel.Linear {
  fileprivate init(_ block: LinearBlock, _ description: ModelDescription.Linear) {
    self.init(weights: block.weights, bias: block.bias, description: description)
  }
}

extension DenseModel.Layer {
  /// Nil where the block is not as `ModelDescription.requireDense` wants its description.
  fileprivate init?(_ block: LayerBlock, _ description: ModelDescription.Layer) {
    guard case .attention(let attention, _) = block.mixer,
      case .attention(let attentionDescription) = description.mixer,
      case .gated(let gated) = block.feedForward,
      case .gated(let gatedDescription) = description.feedForward
    else { return nil }
    func linear(
      _ block: LinearBlock?, _ description: ModelDescription.Linear?
    ) -> DenseModel.Linear? {
      guard let block, let description else { return nil }
      return .init(block, description)
    }
    mixerNorm = block.mixerNorm
    mixerOutputNorm = block.mixerOutputNorm
    feedForwardNorm = block.feedForwardNorm
    feedForwardOutputNorm = block.feedForwardOutputNorm
    scalar = block.scalar
    self.attention = attentionDescription
    shape = attention.shape
    query = .init(attention.query, attentionDescription.query)
    key = linear(attention.key, attentionDescription.key)
    value = linear(attention.value, attentionDescription.value)
    output = .init(attention.output, attentionDescription.output)
    queryNorm = attention.queryNorm
    keyNorm = attention.keyNorm
    valueNorm = attention.valueNorm
    activation = gated.activation
    gate = .init(gated.gate, gatedDescription.gate)
    up = .init(gated.up, gatedDescription.up)
    down = .init(gated.down, gatedDescription.down)
    if let perLayer = block.perLayerInput, let own = description.perLayerInput {
      perLayerInput = DenseModel.PerLayerInput(
        activation: perLayer.activation, gate: .init(perLayer.gate, own.gate),
        projection: .init(perLayer.projection, own.projection), norm: perLayer.norm)
    } else {
      perLayerInput = nil
    }
  }
}
