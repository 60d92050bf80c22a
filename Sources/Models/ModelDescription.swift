/// Everything about a model but its weights, as data.
///
/// A family (`Families/`) turns a published configuration into this value; the executor knows no
/// family. A new family adds data, a new mechanism adds a case here and a file in `Blocks/`.
/// Tensors are named as in the source they came from.
///
/// Dimension letters used throughout: B batch, T tokens, D hidden, H heads, K key/value heads, E
/// head dimension, F feed-forward, V vocabulary.
package struct ModelDescription: Codable, Hashable, Sendable {
  /// The family's name, for people; nothing depends on it.
  package var family: String
  /// V, the rows of embedding and output matrices.
  package var vocabularySize: Int
  /// D.
  package var hiddenSize: Int
  /// Tokens that one sequence may have: positions run from 0 to `contextLength` - 1.
  package var contextLength: Int
  /// Tokens that end a generation, ascending.
  package var endOfSequenceIds: [Int]
  /// What turns tokens into rows of D.
  package var embedding: Embedding
  /// Rotary embeddings; attention blocks refer to them by index.
  package var ropes: [Rope]
  /// In the order of computation.
  package var layers: [Layer]
  /// Between the last layer and the output matrix.
  package var finalNorm: Norm
  /// What turns rows of D into logits, [V, D].
  package var output: Linear

  /// See the properties.
  package init(
    family: String, vocabularySize: Int, hiddenSize: Int, contextLength: Int,
    endOfSequenceIds: [Int], embedding: Embedding, ropes: [Rope], layers: [Layer], finalNorm: Norm,
    output: Linear
  ) {
    self.family = family
    self.vocabularySize = vocabularySize
    self.hiddenSize = hiddenSize
    self.contextLength = contextLength
    self.endOfSequenceIds = endOfSequenceIds
    self.embedding = embedding
    self.ropes = ropes
    self.layers = layers
    self.finalNorm = finalNorm
    self.output = output
  }

  /// True if the output matrix is the embedding matrix.
  package var hasTiedEmbeddings: Bool { output.weight == embedding.weight }

  /// The rows of a [V, D] matrix.
  package struct Embedding: Codable, Hashable, Sendable {
    /// The tensor's name.
    package var weight: String

    /// See the properties.
    package init(weight: String) { self.weight = weight }
  }

  /// y[outputs] = W[outputs, inputs] x + b.
  package struct Linear: Codable, Hashable, Sendable {
    /// The tensor's name.
    package var weight: String
    /// The tensor's name; nil without a bias.
    package var bias: String?
    /// Columns of the matrix.
    package var inputs: Int
    /// Rows of the matrix.
    package var outputs: Int

    /// See the properties.
    package init(weight: String, bias: String? = nil, inputs: Int, outputs: Int) {
      self.weight = weight
      self.bias = bias
      self.inputs = inputs
      self.outputs = outputs
    }
  }

  /// Root mean square normalisation: y = x / sqrt(mean(x^2) + epsilon) * w.
  package struct Norm: Codable, Hashable, Sendable {
    /// The tensor's name.
    package var weight: String
    /// Added to the mean of squares.
    package var epsilon: Double
    /// Length of `weight`.
    package var size: Int

    /// See the properties.
    package init(weight: String, epsilon: Double, size: Int) {
      self.weight = weight
      self.epsilon = epsilon
      self.size = size
    }
  }

  /// A pre-norm decoder layer: x += mixer(mixerNorm(x)); x += feedForward(feedForwardNorm(x)).
  package struct Layer: Codable, Hashable, Sendable {
    /// Before the mixer.
    package var mixerNorm: Norm
    /// The first half of the layer.
    package var mixer: Mixer
    /// Before the feed-forward.
    package var feedForwardNorm: Norm
    /// The second half of the layer.
    package var feedForward: FeedForward

    /// See the properties.
    package init(
      mixerNorm: Norm, mixer: Mixer, feedForwardNorm: Norm, feedForward: FeedForward
    ) {
      self.mixerNorm = mixerNorm
      self.mixer = mixer
      self.feedForwardNorm = feedForwardNorm
      self.feedForward = feedForward
    }
  }

  /// What mixes information between positions.
  package enum Mixer: Codable, Hashable, Sendable {
    case attention(Attention)
  }

  /// What works on each position alone.
  package enum FeedForward: Codable, Hashable, Sendable {
    case gated(GatedFeedForward)
  }

  /// Softmax attention with grouped heads: query head h uses key/value head h / (H / K).
  package struct Attention: Codable, Hashable, Sendable {
    /// H.
    package var heads: Int
    /// K, a divisor of H.
    package var keyValueHeads: Int
    /// E of queries and keys.
    package var keyDimension: Int
    /// E of values.
    package var valueDimension: Int
    /// What scores are multiplied with.
    package var scale: Double
    /// Keys that a query sees, itself included; nil: all before it.
    package var window: Int?
    /// Index into `ropes`; nil: no rotation.
    package var rope: Int?
    /// Normalisation of each query head before the rotation.
    package var queryNorm: Norm?
    /// Normalisation of each key head before the rotation.
    package var keyNorm: Norm?
    /// [H E, D].
    package var query: Linear
    /// [K E, D].
    package var key: Linear
    /// [K E, D], with E of values.
    package var value: Linear
    /// [D, H E], with E of values.
    package var output: Linear

    /// See the properties.
    package init(
      heads: Int, keyValueHeads: Int, keyDimension: Int, valueDimension: Int, scale: Double,
      window: Int? = nil, rope: Int?, queryNorm: Norm? = nil, keyNorm: Norm? = nil, query: Linear,
      key: Linear, value: Linear, output: Linear
    ) {
      self.heads = heads
      self.keyValueHeads = keyValueHeads
      self.keyDimension = keyDimension
      self.valueDimension = valueDimension
      self.scale = scale
      self.window = window
      self.rope = rope
      self.queryNorm = queryNorm
      self.keyNorm = keyNorm
      self.query = query
      self.key = key
      self.value = value
      self.output = output
    }
  }

  /// down(activation(gate(x)) * up(x)).
  package struct GatedFeedForward: Codable, Hashable, Sendable {
    /// What is applied to the gate.
    package var activation: Activation
    /// [F, D].
    package var gate: Linear
    /// [F, D].
    package var up: Linear
    /// [D, F].
    package var down: Linear

    /// See the properties.
    package init(activation: Activation, gate: Linear, up: Linear, down: Linear) {
      self.activation = activation
      self.gate = gate
      self.up = up
      self.down = down
    }
  }

  /// A function of one number.
  package enum Activation: String, Codable, Hashable, Sendable {
    /// x * sigmoid(x).
    case silu
    /// 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
    case geluTanh
  }

  /// Rotary position embedding (Su et al. 2021, arXiv:2104.09864).
  package struct Rope: Codable, Hashable, Sendable {
    /// Which components of a head form a pair.
    package enum Style: String, Codable, Hashable, Sendable {
      /// (2i, 2i+1), as in GGUF files of the llama architecture.
      case interleaved
      /// (i, i + dimensions/2), as in transformers.
      case halves
    }

    /// How the frequencies base^(-2i/dimensions) are changed.
    package enum Scaling: Codable, Hashable, Sendable {
      case none
      /// Divided by `factor`.
      case linear(factor: Double)
      /// Divided by `factor` where the wavelength exceeds `originalContextLength /
      /// lowFrequencyFactor`, kept where it is below `originalContextLength / highFrequencyFactor`,
      /// blended between (transformers, `_compute_llama3_parameters`).
      case llama3(
        factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double,
        originalContextLength: Double)
      /// Divided element by element by a float32 tensor of dimensions/2 values.
      case tensor(name: String)
    }

    /// Which components form a pair.
    package var style: Style
    /// Leading components of a head that are rotated; even.
    package var dimensions: Int
    /// What frequencies are powers of.
    package var base: Double
    /// How frequencies are changed.
    package var scaling: Scaling

    /// See the properties.
    package init(style: Style, dimensions: Int, base: Double, scaling: Scaling = .none) {
      self.style = style
      self.dimensions = dimensions
      self.base = base
      self.scaling = scaling
    }
  }
}
