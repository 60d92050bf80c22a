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
    package let key: Linear
    package let value: Linear
    package let output: Linear
    package let queryNorm: RowNorm?
    package let keyNorm: RowNorm?
    package let valueNorm: RowNorm?
    package let activation: GatedActivation
    package let gate: Linear
    package let up: Linear
    package let down: Linear
  }

  package let description: ModelDescription
  package let embedding: PackedWeights
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
      case .gated(let gatedDescription) = description.feedForward,
      let key = attention.key, let keyDescription = attentionDescription.key,
      let value = attention.value, let valueDescription = attentionDescription.value
    else { return nil }
    mixerNorm = block.mixerNorm
    mixerOutputNorm = block.mixerOutputNorm
    feedForwardNorm = block.feedForwardNorm
    feedForwardOutputNorm = block.feedForwardOutputNorm
    scalar = block.scalar
    self.attention = attentionDescription
    shape = attention.shape
    query = .init(attention.query, attentionDescription.query)
    self.key = .init(key, keyDescription)
    self.value = .init(value, valueDescription)
    output = .init(attention.output, attentionDescription.output)
    queryNorm = attention.queryNorm
    keyNorm = attention.keyNorm
    valueNorm = attention.valueNorm
    activation = gated.activation
    gate = .init(gated.gate, gatedDescription.gate)
    up = .init(gated.up, gatedDescription.up)
    down = .init(gated.down, gatedDescription.down)
  }
}
