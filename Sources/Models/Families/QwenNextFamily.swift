import ModelFormats

/// Qwen 3-Next and 3.5 (transformers `Qwen3NextForCausalLM`, `Qwen3_5ForCausalLM`): layers of gated
/// delta-net attention, and every few layers one of gated softmax attention; norms around zero.
struct QwenNextFamily: GGUFModelFamily {
  let name: String
  let modelTypes: [String]
  let ggufArchitectures: [String]
  /// Queries, keys, values and gates of linear attention are one matrix, group by group.
  var hasGroupedInputs = false
  /// nil: a gated feed-forward in every layer.
  var experts: Experts?

  /// What experts there are.
  enum Experts: Sendable {
    /// Weights are normalised if `norm_topk_prob` says so.
    case configured
    /// Weights are always normalised.
    case normalised
  }

  static let qwen3Next = QwenNextFamily(
    name: "qwen3_next", modelTypes: ["qwen3_next"], ggufArchitectures: ["qwen3next"],
    hasGroupedInputs: true, experts: .configured)
  static let qwen35 = QwenNextFamily(
    name: "qwen3_5", modelTypes: ["qwen3_5_text"], ggufArchitectures: ["qwen35"])
  static let qwen35Experts = QwenNextFamily(
    name: "qwen3_5_moe", modelTypes: ["qwen3_5_moe_text"], ggufArchitectures: ["qwen35moe"],
    experts: .normalised)

  var knownKeys: Set<String> {
    var keys = HuggingFaceKeys.decoder.union([
      "full_attention_interval", "layer_types", "linear_conv_kernel_dim", "linear_key_head_dim",
      "linear_num_key_heads", "linear_num_value_heads", "linear_value_head_dim",
      "attn_output_gate", "mamba_ssm_dtype", "max_window_layers", "sliding_window",
      "use_sliding_window",
    ])
    if experts != nil {
      keys.formUnion([
        "num_experts", "num_local_experts", "num_experts_per_tok", "norm_topk_prob",
        "decoder_sparse_step", "mlp_only_layers", "moe_intermediate_size",
        "shared_expert_intermediate_size",
      ])
    }
    return keys
  }

  func describe(_ model: HuggingFaceModel) throws -> ModelDescription {
    try QwenNextHuggingFace(model, self).describe()
  }

  func describe(_ file: GGUFFile) throws -> ModelDescription {
    try QwenNextGGUF(file, self).describe()
  }
}

private struct QwenNextHuggingFace {
  private typealias Limit = ModelDescription.Limit
  private typealias Rows = ModelDescription.RowSelection

  private let model: HuggingFaceModel
  private let family: QwenNextFamily
  private let sizes: DecoderSizes
  private let epsilon: Double
  private let activation: ModelDescription.Activation
  private let hasBias: Bool
  private let isLinear: [Bool]
  private let experts: QwenExperts?

  init(_ model: HuggingFaceModel, _ family: QwenNextFamily) throws {
    (self.model, self.family) = (model, family)
    let config = model.config
    sizes = try DecoderSizes(
      model, heads: 16, headDimension: 256, keyValueHeads: family.experts == nil ? 4 : 2,
      context: 32768)
    epsilon = try config.optionalDouble("rms_norm_eps") ?? 1e-6
    activation = try model.activation()
    guard activation == .silu else {
      throw config.error(.unsupported, "hidden_act", "is not silu, which the convolution takes")
    }
    hasBias = try model.flag("attention_bias", default: false)
    try model.require("attn_output_gate", .bool(true))
    try model.require("use_sliding_window", .bool(false))
    let layers = sizes.layers
    let known = ["linear_attention", "full_attention"]
    let interval =
      try config.optionalPositive("full_attention_interval", limit: Limit.layers) ?? 4
    isLinear =
      try model.layerTypes(layers, known: known).map { $0.map { $0 == known[0] } }
      ?? (0..<layers).map { ($0 + 1) % interval != 0 }
    switch family.experts {
    case nil: experts = nil
    case .configured:
      experts = try QwenExperts(
        model, layers: layers, hasShared: true, isNormalisedByDefault: true)
    case .normalised:
      experts = try QwenExperts(
        model, layers: layers, hasShared: true, isNormalisedAlways: true)
    }
  }

  func describe() throws -> ModelDescription {
    let rope = HuggingFaceRope(
      model: model, contextLength: sizes.context, defaultFraction: 0.25)
    return ModelDescription(
      family: family.name, vocabularySize: sizes.vocabulary, hiddenSize: sizes.hidden,
      contextLength: sizes.context,
      endOfSequenceIds: try model.endOfSequenceIds(vocabularySize: sizes.vocabulary),
      embedding: .init(weight: model.prefix + "embed_tokens.weight"),
      ropes: [try rope.rope(headDimension: sizes.headDimension)],
      layers: try (0..<sizes.layers).map(layer),
      finalNorm: norm("\(model.prefix)norm", sizes.hidden),
      output: try model.output(hidden: sizes.hidden, vocabulary: sizes.vocabulary))
  }

  private func norm(_ name: String, _ size: Int) -> ModelDescription.Norm {
    .init(weight: "\(name).weight", epsilon: epsilon, size: size, offset: 1)
  }

  private func layer(_ index: Int) throws -> ModelDescription.Layer {
    let (name, hidden) = ("\(model.prefix)layers.\(index)", sizes.hidden)
    return .init(
      mixerNorm: norm("\(name).input_layernorm", hidden),
      mixer: isLinear[index]
        ? .linear(try linearAttention("\(name).linear_attn"))
        : .attention(attention("\(name).self_attn")),
      feedForwardNorm: norm("\(name).post_attention_layernorm", hidden),
      feedForward: try feedForward("\(name).mlp", index))
  }

  private func feedForward(_ name: String, _ index: Int) throws -> ModelDescription.FeedForward {
    if let experts, experts.isSparse(index) {
      return .experts(experts.describe(name, hidden: sizes.hidden, activation))
    }
    let width = try model.size("intermediate_size", Limit.hidden)
    return .gated(model.gated(name, activation, hidden: sizes.hidden, width: width))
  }

  private func attention(_ name: String) -> ModelDescription.Attention {
    let (hidden, heads, dimension) = (sizes.hidden, sizes.heads, sizes.headDimension)
    let keys = sizes.keyValueHeads * dimension
    // Each head's query, then its gate.
    func half(_ start: Int) -> ModelDescription.Linear {
      model.linear(
        "\(name).q_proj", hasBias: hasBias, hidden, heads * dimension,
        rows: Rows(
          of: 2 * heads * dimension,
          [.init(start: start, count: dimension, period: 2 * dimension, repeats: heads)]))
    }
    return .init(
      heads: heads, keyValueHeads: sizes.keyValueHeads, keyDimension: dimension,
      valueDimension: dimension, scale: 1 / Double(dimension).squareRoot(), rope: 0,
      queryNorm: norm("\(name).q_norm", dimension), keyNorm: norm("\(name).k_norm", dimension),
      query: half(0), key: model.linear("\(name).k_proj", hasBias: hasBias, hidden, keys),
      value: model.linear("\(name).v_proj", hasBias: hasBias, hidden, keys),
      gate: half(dimension),
      output: model.linear("\(name).o_proj", hasBias: hasBias, heads * dimension, hidden))
  }

  private func linearAttention(_ name: String) throws -> ModelDescription.LinearAttention {
    let keyHeads = try model.size("linear_num_key_heads", Limit.heads, default: 16)
    let valueHeads = try model.size("linear_num_value_heads", Limit.heads, default: 32)
    let key = try model.size("linear_key_head_dim", Limit.headDimension, default: 128)
    let value = try model.size("linear_value_head_dim", Limit.headDimension, default: 128)
    let taps = try model.size("linear_conv_kernel_dim", Limit.taps, default: 4)
    guard valueHeads % keyHeads == 0 else {
      throw model.config.error(
        .malformed, "linear_num_value_heads",
        "\(valueHeads) is not a multiple of linear_num_key_heads \(keyHeads)")
    }
    let shape = LinearShape(
      keyHeads: keyHeads, valueHeads: valueHeads, keyDimension: key,
      valueDimension: value, taps: taps)
    let isGrouped = family.hasGroupedInputs
    let inputs = shape.inputs(isGrouped: isGrouped, isSmallGrouped: isGrouped) {
      matrix, outputs, rows in
      let own =
        switch matrix {
        case .joint: "in_proj_qkvz"
        case .mixed: "in_proj_qkv"
        case .gate: "in_proj_z"
        case .jointSmall: "in_proj_ba"
        case .learning: "in_proj_b"
        case .decay: "in_proj_a"
        }
      return model.linear("\(name).\(own)", sizes.hidden, outputs, rows: rows)
    }
    return .init(
      keyHeads: keyHeads, valueHeads: valueHeads, keyDimension: key, valueDimension: value,
      taps: taps, mixed: inputs.mixed,
      convolution: .init("\(name).conv1d.weight", [shape.channels, 1, taps]),
      decay: inputs.decay, decayRate: "\(name).A_log", isRateLogarithm: true,
      decayBias: "\(name).dt_bias", learning: inputs.learning, gate: inputs.gate,
      norm: .init(weight: "\(name).norm.weight", epsilon: epsilon, size: value),
      output: model.linear("\(name).out_proj", shape.values, sizes.hidden))
  }
}
