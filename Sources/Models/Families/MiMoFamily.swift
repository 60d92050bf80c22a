import ModelFormats

/// MiMo-V2 (Xiaomi 2025; transformers `MiMoV2FlashForCausalLM`): layers with a window have sinks, a
/// rotation of their own and twice the key/value heads; values are scaled; experts are scored by
/// sigmoids.
struct MiMoFamily: ModelFamily {
  let modelTypes = ["mimo_v2_flash", "mimo_v2"]
  let ggufArchitectures: [String] = []

  var knownKeys: Set<String> {
    HuggingFaceKeys.decoder.union([
      "attention_value_scale", "layer_types", "mlp_layer_types", "moe_intermediate_size",
      "n_group", "n_routed_experts", "norm_topk_prob", "num_experts_per_tok",
      "routed_scaling_factor", "sliding_window", "sliding_window_size", "topk_group",
      "v_head_dim", "layernorm_epsilon",
    ])
  }

  func describe(_ model: HuggingFaceModel) throws -> ModelDescription {
    try MiMoHuggingFace(model).describe()
  }

  func describe(_ file: GGUFFile) throws -> ModelDescription {
    throw FormatError(.unsupported, file: file.name, reason: "GGUF files of MiMo are not supported")
  }
}

private struct MiMoHuggingFace {
  private typealias Limit = ModelDescription.Limit

  private let model: HuggingFaceModel
  private let sizes: DecoderSizes
  private let epsilon: Double
  private let valueDimension: Int
  private let activation: ModelDescription.Activation
  private let hasBias: Bool
  private let isWindowed: [Bool]
  private let isSparse: [Bool]
  private let window: Int

  init(_ model: HuggingFaceModel) throws {
    self.model = model
    let config = model.config
    sizes = try DecoderSizes(
      model, vocabulary: 152_576, hidden: 4096, layers: 48, heads: 64, headDimension: 192,
      keyValueHeads: 4, context: 131_072)
    epsilon = try config.optionalDouble("rms_norm_eps") ?? 1e-5
    valueDimension = try model.size("v_head_dim", Limit.headDimension, default: 128)
    activation = try model.activation()
    hasBias = try model.flag("attention_bias", default: false)
    let layers = sizes.layers
    let known = ["full_attention", "sliding_attention"]
    isWindowed =
      try model.layerTypes(layers, known: known).map { $0.map { $0 == known[1] } }
      ?? (0..<layers).map { $0 != 0 && ($0 + 1) % 6 != 0 }
    let sparse = try model.layerTypes(layers, key: "mlp_layer_types", known: ["dense", "sparse"])
    isSparse = sparse.map { $0.map { $0 == "sparse" } } ?? (0..<layers).map { $0 != 0 }
    // The one counts the query itself, the other does not.
    let others = try config.optionalPositive("sliding_window_size", limit: Limit.context - 1)
    window = try others.map { $0 + 1 } ?? model.size("sliding_window", Limit.context, default: 129)
  }

  func describe() throws -> ModelDescription {
    let rope = HuggingFaceRope(
      model: model, contextLength: sizes.context, defaultBase: 5_000_000, defaultFraction: 0.334)
    var local = rope
    local.defaultBase = 10000
    let dimension = sizes.headDimension
    return ModelDescription(
      family: "mimo_v2", vocabularySize: sizes.vocabulary, hiddenSize: sizes.hidden,
      contextLength: sizes.context,
      endOfSequenceIds: try model.endOfSequenceIds(vocabularySize: sizes.vocabulary),
      embedding: .init(weight: model.prefix + "embed_tokens.weight"),
      ropes: [
        try rope.rope(ofLayers: "full_attention", headDimension: dimension)
          ?? rope.rope(nil, headDimension: dimension),
        try local.rope(ofLayers: "sliding_attention", headDimension: dimension)
          ?? local.rope(nil, headDimension: dimension),
      ],
      layers: try (0..<sizes.layers).map(layer),
      finalNorm: norm("\(model.prefix)norm", sizes.hidden),
      output: try model.output(hidden: sizes.hidden, vocabulary: sizes.vocabulary))
  }

  private func norm(_ name: String, _ size: Int) -> ModelDescription.Norm {
    .init(weight: "\(name).weight", epsilon: epsilon, size: size)
  }

  private func layer(_ index: Int) throws -> ModelDescription.Layer {
    let (name, hidden) = ("\(model.prefix)layers.\(index)", sizes.hidden)
    let width = try isSparse[index] ? 0 : model.size("intermediate_size", Limit.hidden)
    return .init(
      mixerNorm: norm("\(name).input_layernorm", hidden),
      mixer: .attention(try attention("\(name).self_attn", isWindowed: isWindowed[index])),
      feedForwardNorm: norm("\(name).post_attention_layernorm", hidden),
      feedForward: try isSparse[index]
        ? .experts(SigmoidExperts(model).describe("\(name).mlp", hidden: hidden, activation))
        : .gated(model.gated("\(name).mlp", activation, hidden: hidden, width: width)))
  }

  private func attention(_ name: String, isWindowed: Bool) throws -> ModelDescription.Attention {
    let (hidden, heads, keys) = (sizes.hidden, sizes.heads, sizes.headDimension)
    let groups = isWindowed ? 2 * sizes.keyValueHeads : sizes.keyValueHeads
    // The hub's name, and that of checkpoints which transformers 5 has saved.
    let sinks = ["attention_sink_bias", "sinks"].map { "\(name).\($0)" }
    let scale = try model.config.isNull("attention_value_scale")
      ? 1 : model.config.optionalDouble("attention_value_scale") ?? 0.707
    return .init(
      heads: heads, keyValueHeads: groups, keyDimension: keys, valueDimension: valueDimension,
      scale: 1 / Double(keys).squareRoot(), window: isWindowed ? window : nil,
      sinks: isWindowed ? sinks.first(where: model.hasTensor) ?? sinks[0] : nil,
      rope: isWindowed ? 1 : 0, valueScale: scale == 1 ? nil : scale,
      query: model.linear("\(name).q_proj", hasBias: hasBias, hidden, heads * keys),
      key: model.linear("\(name).k_proj", hasBias: hasBias, hidden, groups * keys),
      value: model.linear("\(name).v_proj", hasBias: hasBias, hidden, groups * valueDimension),
      output: model.linear("\(name).o_proj", heads * valueDimension, hidden))
  }
}

/// Experts that are scored by sigmoids, chosen with a correction within groups, as in DeepSeek V3
/// and MiMo-V2.
struct SigmoidExperts {
  private typealias Limit = ModelDescription.Limit

  private let model: HuggingFaceModel
  private let count: Int
  private let chosen: Int
  private let width: Int
  private let routing: ModelDescription.Routing

  /// - Parameters:
  ///   - scale: `routed_scaling_factor` if it is absent.
  ///   - groups: `n_group` and `topk_group` if they are absent.
  init(
    _ model: HuggingFaceModel, scale: Double = 1, groups: (count: Int, chosen: Int) = (1, 1)
  ) throws {
    self.model = model
    let config = model.config
    count = try model.size("n_routed_experts", Limit.experts, default: 256)
    chosen = try model.size("num_experts_per_tok", count, default: 8)
    width = try model.size("moe_intermediate_size", Limit.hidden, default: 2048)
    let groupCount = try config.isNull("n_group")
      ? 1 : model.size("n_group", Limit.experts, default: groups.count)
    let groupsChosen = try config.isNull("topk_group")
      ? 1 : model.size("topk_group", Limit.experts, default: groups.chosen)
    let factor = try config.isNull("routed_scaling_factor")
      ? 1 : config.optionalDouble("routed_scaling_factor") ?? scale
    routing = .init(
      scoring: .sigmoid,
      groups: groupCount == 1
        ? nil : .init(count: groupCount, chosen: groupsChosen, measure: .greatestTwo),
      isNormalised: try model.flag("norm_topk_prob", default: true), normalisationEpsilon: 1e-20,
      scale: factor)
  }

  func describe(
    _ name: String, hidden: Int, _ activation: ModelDescription.Activation,
    sharedWidth: Int? = nil
  ) -> ModelDescription.Experts {
    let (gate, up, down) = model.experts(
      "\(name).experts", count: count, hidden: hidden, width: width)
    var routing = routing
    routing.correction = "\(name).gate.e_score_correction_bias"
    return .init(
      count: count, chosen: chosen, routing: routing,
      router: model.linear("\(name).gate", hidden, count), activation: activation, gate: gate,
      up: up, down: down,
      shared: sharedWidth.map {
        model.gated("\(name).shared_experts", activation, hidden: hidden, width: width * $0)
      })
  }
}
