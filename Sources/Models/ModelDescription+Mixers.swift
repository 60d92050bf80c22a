extension ModelDescription {
  /// What mixes information between positions.
  package enum Mixer: Codable, Hashable, Sendable {
    case attention(Attention)
    case latent(LatentAttention)
    case linear(LinearAttention)
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
    /// Scores become cap * tanh(score / cap); nil: as they are.
    package var cap: Double?
    /// A tensor of H logits that join the sum of exponentials without a value; nil: none.
    package var sinks: String?
    /// Index into `ropes`; nil: no rotation.
    package var rope: Int?
    /// What queries are multiplied with besides, by their position; nil: nothing.
    package var queryGrowth: QueryGrowth?
    /// Normalisation of each query head before the rotation.
    package var queryNorm: Norm?
    /// Normalisation of each key head before the rotation.
    package var keyNorm: Norm?
    /// Normalisation of each value head.
    package var valueNorm: Norm?
    /// Multiplies values after their norm; nil: 1.
    package var valueScale: Double?
    /// [H E, D].
    package var query: Linear
    /// [K E, D]; nil where another layer's keys and values are used.
    package var key: Linear?
    /// [K E, D], with E of values; nil: values are what keys are before norm and rotation.
    package var value: Linear?
    /// The layer whose keys and values are used, an earlier one that has its own; nil: this one.
    package var sharedLayer: Int?
    /// [H E, D], with E of values: its sigmoid multiplies what attention gives; nil: nothing does.
    package var gate: Linear?
    /// [D, H E], with E of values.
    package var output: Linear

    package init(
      heads: Int, keyValueHeads: Int, keyDimension: Int, valueDimension: Int, scale: Double,
      window: Int? = nil, cap: Double? = nil, sinks: String? = nil, rope: Int?,
      queryGrowth: QueryGrowth? = nil, queryNorm: Norm? = nil, keyNorm: Norm? = nil,
      valueNorm: Norm? = nil, valueScale: Double? = nil, query: Linear, key: Linear?,
      value: Linear?, sharedLayer: Int? = nil, gate: Linear? = nil, output: Linear
    ) {
      self.heads = heads
      self.keyValueHeads = keyValueHeads
      self.keyDimension = keyDimension
      self.valueDimension = valueDimension
      self.scale = scale
      self.window = window
      self.cap = cap
      self.sinks = sinks
      self.rope = rope
      self.queryGrowth = queryGrowth
      self.queryNorm = queryNorm
      self.keyNorm = keyNorm
      self.valueNorm = valueNorm
      self.valueScale = valueScale
      self.query = query
      self.key = key
      self.value = value
      self.sharedLayer = sharedLayer
      self.gate = gate
      self.output = output
    }
  }

  /// Queries at position p are multiplied with 1 + beta log(1 + floor(p / length)) (Llama 4,
  /// Ministral 3).
  package struct QueryGrowth: Codable, Hashable, Sendable {
    package var beta: Double
    package var length: Double

    package init(beta: Double, length: Double) {
      self.beta = beta
      self.length = length
    }
  }

  /// Latent attention (DeepSeek-AI 2024, arXiv:2405.04434): keys and values of all heads follow
  /// from one latent row, which is what the cache holds, beside one rotated key for all heads. It
  /// is computed in the absorbed form: queries are brought into the latent space, and values out of
  /// it after they are mixed.
  package struct LatentAttention: Codable, Hashable, Sendable {
    /// H.
    package var heads: Int
    /// Components of a head's query and key that are not rotated.
    package var plainDimension: Int
    /// Components that are rotated.
    package var ropeDimension: Int
    /// Of a head.
    package var valueDimension: Int
    /// R.
    package var latentDimension: Int
    /// What scores are multiplied with.
    package var scale: Double
    /// Index into `ropes`.
    package var rope: Int
    /// [Q, D]: queries go through Q numbers; nil: they do not.
    package var queryDown: Linear?
    /// Of Q; given with `queryDown`.
    package var queryDownNorm: Norm?
    /// [H plainDimension, Q or D].
    package var query: Linear
    /// [H ropeDimension, Q or D].
    package var queryRope: Linear
    /// [R, D].
    package var latent: Linear
    /// Of R.
    package var latentNorm: Norm
    /// [ropeDimension, D].
    package var keyRope: Linear
    /// Each head's [R, plainDimension]: brings a query into the latent space.
    package var absorbedKey: MatrixStack
    /// Each head's [valueDimension, R].
    package var absorbedValue: MatrixStack
    /// [D, H valueDimension].
    package var output: Linear

    package init(
      heads: Int, plainDimension: Int, ropeDimension: Int, valueDimension: Int,
      latentDimension: Int, scale: Double, rope: Int, queryDown: Linear?, queryDownNorm: Norm?,
      query: Linear, queryRope: Linear, latent: Linear, latentNorm: Norm, keyRope: Linear,
      absorbedKey: MatrixStack, absorbedValue: MatrixStack, output: Linear
    ) {
      self.heads = heads
      self.plainDimension = plainDimension
      self.ropeDimension = ropeDimension
      self.valueDimension = valueDimension
      self.latentDimension = latentDimension
      self.scale = scale
      self.rope = rope
      self.queryDown = queryDown
      self.queryDownNorm = queryDownNorm
      self.query = query
      self.queryRope = queryRope
      self.latent = latent
      self.latentNorm = latentNorm
      self.keyRope = keyRope
      self.absorbedKey = absorbedKey
      self.absorbedValue = absorbedValue
      self.output = output
    }
  }

  /// Gated delta-net attention (Yang et al. 2024, arXiv:2412.06464), as in Qwen 3-Next: queries,
  /// keys and values pass a short convolution and silu; queries and keys have length 1; each value
  /// head keeps a matrix that decays and learns (`ck_delta`); what it gives is normalised and
  /// gated.
  package struct LinearAttention: Codable, Hashable, Sendable {
    package var keyHeads: Int
    /// A multiple of `keyHeads`; value head h uses key head h / (valueHeads / keyHeads).
    package var valueHeads: Int
    /// If true, value head h uses key head h mod keyHeads instead.
    package var areValueHeadsTiled: Bool?
    package var keyDimension: Int
    package var valueDimension: Int
    /// Positions that the convolution spans, its own included.
    package var taps: Int
    /// [channels, D]: queries, keys, values.
    package var mixed: Linear
    /// The convolution's tensor: [channels, 1, taps], or without the 1.
    package var convolution: Tensor
    /// [valueHeads, D]: from which follows how much is forgotten.
    package var decay: Linear
    /// The tensor of valueHeads rates.
    package var decayRate: String
    /// Whether the rate is stored as the logarithm of its negative.
    package var isRateLogarithm: Bool
    /// The tensor of valueHeads numbers added to `decay`'s.
    package var decayBias: String
    /// [valueHeads, D]: its sigmoid is how much is learnt.
    package var learning: Linear
    /// [valueHeads * valueDimension, D].
    package var gate: Linear
    /// Of valueDimension, head by head.
    package var norm: Norm
    /// [D, valueHeads * valueDimension].
    package var output: Linear

    /// A tensor's name and shape.
    package struct Tensor: Codable, Hashable, Sendable {
      package var name: String
      package var shape: [Int]

      package init(_ name: String, _ shape: [Int]) {
        self.name = name
        self.shape = shape
      }
    }

    package init(
      keyHeads: Int, valueHeads: Int, areValueHeadsTiled: Bool? = nil, keyDimension: Int,
      valueDimension: Int, taps: Int, mixed: Linear, convolution: Tensor, decay: Linear,
      decayRate: String,
      isRateLogarithm: Bool, decayBias: String, learning: Linear, gate: Linear, norm: Norm,
      output: Linear
    ) {
      self.keyHeads = keyHeads
      self.valueHeads = valueHeads
      self.areValueHeadsTiled = areValueHeadsTiled
      self.keyDimension = keyDimension
      self.valueDimension = valueDimension
      self.taps = taps
      self.mixed = mixed
      self.convolution = convolution
      self.decay = decay
      self.decayRate = decayRate
      self.isRateLogarithm = isRateLogarithm
      self.decayBias = decayBias
      self.learning = learning
      self.gate = gate
      self.norm = norm
      self.output = output
    }
  }
}
