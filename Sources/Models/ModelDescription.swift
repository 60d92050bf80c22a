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
  /// Logits become cap * tanh(logit / cap); nil: as they are.
  package var logitCap: Double?

  package init(
    family: String, vocabularySize: Int, hiddenSize: Int, contextLength: Int,
    endOfSequenceIds: [Int], embedding: Embedding, ropes: [Rope], layers: [Layer], finalNorm: Norm,
    output: Linear, logitCap: Double? = nil
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
    self.logitCap = logitCap
  }

  /// True if the output matrix is the embedding matrix.
  package var hasTiedEmbeddings: Bool { output.weight == embedding.weight }

  /// The rows of a [V, D] matrix.
  package struct Embedding: Codable, Hashable, Sendable {
    /// The tensor's name.
    package var weight: String
    /// Multiplies the rows; nil: 1.
    package var multiplier: Double?
    /// Further inputs of each layer; nil: none.
    package var perLayer: PerLayerEmbedding?

    package init(
      weight: String, multiplier: Double? = nil, perLayer: PerLayerEmbedding? = nil
    ) {
      self.weight = weight
      self.multiplier = multiplier
      self.perLayer = perLayer
    }
  }

  /// Inputs of P numbers for each layer (Gemma 3n and 4): scale * (norm(projection(e) *
  /// projectionScale) + multiplier * table[token]), where e is the token's embedding, multiplied.
  package struct PerLayerEmbedding: Codable, Hashable, Sendable {
    /// The tensor's name: [rows, layers * P].
    package var weight: String
    /// Tokens that the table has; others cannot be computed.
    package var rows: Int
    /// P.
    package var size: Int
    /// Multiplies the table's rows.
    package var multiplier: Double
    /// [layers * P, D].
    package var projection: Linear
    /// Multiplies what the projection gives.
    package var projectionScale: Double
    /// Of P, layer by layer.
    package var norm: Norm
    /// Multiplies the sum.
    package var scale: Double

    package init(
      weight: String, rows: Int, size: Int, multiplier: Double, projection: Linear,
      projectionScale: Double, norm: Norm, scale: Double
    ) {
      self.weight = weight
      self.rows = rows
      self.size = size
      self.multiplier = multiplier
      self.projection = projection
      self.projectionScale = projectionScale
      self.norm = norm
      self.scale = scale
    }
  }

  /// y[outputs] = W[outputs, inputs] x + b.
  package struct Linear: Codable, Hashable, Sendable {
    /// The tensor's name.
    package var weight: String
    /// The tensor's name; nil without a bias. It has the rows of `weight`.
    package var bias: String?
    /// Columns of the matrix.
    package var inputs: Int
    /// Rows of the matrix.
    package var outputs: Int
    /// Which rows of the stored tensors these are, in order; nil: all.
    package var rows: RowSelection?
    /// The tensor of an FP8 matrix's scales, one for each 128 x 128 weights; nil for other types.
    package var scales: String?
    /// Stored rows after which the blocks of scales begin anew; nil: they do not.
    package var scalesPeriod: Int?

    package init(
      weight: String, bias: String? = nil, inputs: Int, outputs: Int, rows: RowSelection? = nil,
      scales: String? = nil, scalesPeriod: Int? = nil
    ) {
      self.weight = weight
      self.bias = bias
      self.inputs = inputs
      self.outputs = outputs
      self.rows = rows
      self.scales = scales
      self.scalesPeriod = scalesPeriod
    }
  }

  /// Some rows of a stored matrix, such as the queries of one that holds queries, keys and values.
  package struct RowSelection: Codable, Hashable, Sendable {
    /// `count` rows from `start` on, and again every `period` rows, `repeats` times in all.
    package struct Slice: Codable, Hashable, Sendable {
      package var start: Int
      package var count: Int
      package var period: Int
      package var repeats: Int

      package init(start: Int, count: Int, period: Int, repeats: Int) {
        self.start = start
        self.count = count
        self.period = period
        self.repeats = repeats
      }
    }

    /// Rows of the stored matrix.
    package var of: Int
    /// One after the other.
    package var slices: [Slice]

    package init(of: Int, _ slices: [Slice]) {
      self.of = of
      self.slices = slices
    }
  }

  /// One matrix [outputs, inputs] for each of `count` experts or heads.
  package struct MatrixStack: Codable, Hashable, Sendable {
    /// Where they are.
    package enum Storage: Codable, Hashable, Sendable {
      /// Each a tensor: prefix, index from 0, suffix. FP8 ones have scales under the name with
      /// `scales` after it.
      case separate(prefix: String, suffix: String, scales: String?)
      /// Rows of one tensor of `shape`, whose leading dimensions are taken together: those from
      /// `start` + i * `period` on are matrix i.
      case stacked(weight: String, scales: String?, shape: [Int], start: Int, period: Int)
    }

    package var storage: Storage
    package var count: Int
    package var outputs: Int
    package var inputs: Int
    /// Whether what is stored are [inputs, outputs].
    package var isTransposed: Bool

    package init(
      _ storage: Storage, count: Int, outputs: Int, inputs: Int, isTransposed: Bool = false
    ) {
      self.storage = storage
      self.count = count
      self.outputs = outputs
      self.inputs = inputs
      self.isTransposed = isTransposed
    }
  }

  /// Root mean square normalisation: y = x / sqrt(mean(x^2) + epsilon) * (w + offset).
  package struct Norm: Codable, Hashable, Sendable {
    /// The tensor's name; nil: w is 1.
    package var weight: String?
    /// Added to the mean of squares.
    package var epsilon: Double
    /// Length of `weight`.
    package var size: Int
    /// Added to the weights: 1 where they are stored around zero; nil: 0.
    package var offset: Double?
    /// Multiplies the weights; nil: 1.
    package var scale: Double?

    package init(
      weight: String?, epsilon: Double, size: Int, offset: Double? = nil, scale: Double? = nil
    ) {
      self.weight = weight
      self.epsilon = epsilon
      self.size = size
      self.offset = offset
      self.scale = scale
    }
  }

  /// A decoder layer: x += outputNorm(mixer(mixerNorm(x))), then the same with the feed-forward,
  /// where a norm that is nil does nothing; then, where they are, the per-layer input and the
  /// scalar.
  package struct Layer: Codable, Hashable, Sendable {
    /// Before the mixer.
    package var mixerNorm: Norm?
    /// The first half of the layer.
    package var mixer: Mixer
    /// After the mixer, before it is added.
    package var mixerOutputNorm: Norm?
    /// Before the feed-forward.
    package var feedForwardNorm: Norm?
    /// The second half of the layer.
    package var feedForward: FeedForward
    /// After the feed-forward, before it is added.
    package var feedForwardOutputNorm: Norm?
    /// x += norm(projection(activation(gate(x)) * the layer's input)).
    package var perLayerInput: PerLayerInput?
    /// A tensor of one number that x is multiplied with at the end.
    package var scalar: String?

    package init(
      mixerNorm: Norm?, mixer: Mixer, mixerOutputNorm: Norm? = nil, feedForwardNorm: Norm?,
      feedForward: FeedForward, feedForwardOutputNorm: Norm? = nil,
      perLayerInput: PerLayerInput? = nil, scalar: String? = nil
    ) {
      self.mixerNorm = mixerNorm
      self.mixer = mixer
      self.mixerOutputNorm = mixerOutputNorm
      self.feedForwardNorm = feedForwardNorm
      self.feedForward = feedForward
      self.feedForwardOutputNorm = feedForwardOutputNorm
      self.perLayerInput = perLayerInput
      self.scalar = scalar
    }
  }

  /// What a layer does with its part of the `PerLayerEmbedding`.
  package struct PerLayerInput: Codable, Hashable, Sendable {
    /// [P, D].
    package var gate: Linear
    /// What is applied to the gate.
    package var activation: Activation
    /// [D, P].
    package var projection: Linear
    /// Of D.
    package var norm: Norm

    package init(gate: Linear, activation: Activation, projection: Linear, norm: Norm) {
      self.gate = gate
      self.activation = activation
      self.projection = projection
      self.norm = norm
    }
  }

  /// A function of one number.
  package enum Activation: String, Codable, Hashable, Sendable {
    /// x * sigmoid(x).
    case silu
    /// 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
    case geluTanh
    /// 0.5 x (1 + erf(x / sqrt(2))).
    case gelu
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
      /// Divided element by element by a float32 tensor of a value for each pair.
      case tensor(name: String)
      /// YaRN (Peng et al. 2023, arXiv:2309.00071; transformers, `_compute_yarn_parameters`): kept
      /// where a wavelength fits into the original context more than `fast` times, divided by
      /// `factor` where it fits less than `slow` times, blended between; the bounds are whole
      /// components if `isTruncated`.
      case yarn(
        factor: Double, fast: Double, slow: Double, originalContextLength: Double,
        isTruncated: Bool)
      /// Those of the first `rotated` pairs divided by `factor`, the others 0 (transformers,
      /// `_compute_proportional_rope_parameters`).
      case proportional(rotated: Int, factor: Double)
    }

    /// Which components form a pair.
    package var style: Style
    /// Leading components of a head that are rotated; one more where this is odd.
    package var dimensions: Int
    /// What frequencies are powers of.
    package var base: Double
    /// How frequencies are changed.
    package var scaling: Scaling
    /// Multiplies cosines and sines; nil: 1.
    package var attentionFactor: Double?

    /// Pairs of components.
    package var pairs: Int { (dimensions + 1) / 2 }

    package init(
      style: Style, dimensions: Int, base: Double, scaling: Scaling = .none,
      attentionFactor: Double? = nil
    ) {
      self.style = style
      self.dimensions = dimensions
      self.base = base
      self.scaling = scaling
      self.attentionFactor = attentionFactor
    }
  }
}
