import ModelFormats

/// Gemma 4 (Google 2026; transformers `Gemma4ForCausalLM`), the text model: layers of two kinds
/// with heads of their own sizes, values that are normalised and may be the keys, layers that share
/// keys and values, inputs for each layer, and experts beside a gated feed-forward.
struct Gemma4Family: GGUFModelFamily {
  let modelTypes = ["gemma4_text"]
  let ggufArchitectures = ["gemma4"]

  var knownKeys: Set<String> {
    HuggingFaceKeys.decoder.union([
      "attention_k_eq_v", "cache_implementation", "enable_moe_block", "expert_intermediate_size",
      "final_logit_softcapping", "global_head_dim", "hidden_activation",
      "hidden_size_per_layer_input", "layer_types", "moe_intermediate_size", "num_experts",
      "num_global_key_value_heads", "num_kv_shared_layers", "per_layer_config", "sliding_window",
      "top_k_experts", "use_bidirectional_attention", "use_double_wide_mlp",
      "vocab_size_per_layer_input",
    ])
  }

  func describe(_ model: HuggingFaceModel) throws -> ModelDescription {
    try Gemma4HuggingFace(model).describe()
  }

  func describe(_ file: GGUFFile) throws -> ModelDescription { try Gemma4GGUF(file).describe() }
}

private struct Gemma4HuggingFace {
  private typealias Limit = ModelDescription.Limit

  private let model: HuggingFaceModel
  private let sizes: DecoderSizes
  private let width: Int
  private let activation: ModelDescription.Activation
  private let epsilon: Double
  private let hasBias: Bool
  private let isGlobal: [Bool]
  private let window: Int
  private let firstShared: Int
  /// P, or 0.
  private let inputSize: Int
  private let areKeysValues: Bool
  private let hasExperts: Bool
  private let isSharedWider: Bool

  init(_ model: HuggingFaceModel) throws {
    self.model = model
    let config = model.config
    sizes = try DecoderSizes(
      model, vocabulary: 262_144, hidden: 2304, layers: 30, heads: 8, headDimension: 256,
      keyValueHeads: 4, context: 131_072)
    width = try model.size("intermediate_size", Limit.hidden, default: 9216)
    activation = try model.activation("hidden_activation", default: "gelu_pytorch_tanh")
    epsilon = try config.optionalDouble("rms_norm_eps") ?? 1e-6
    hasBias = try model.flag("attention_bias", default: false)
    let layers = sizes.layers
    let known = ["full_attention", "sliding_attention"]
    var isGlobal =
      try model.layerTypes(layers, known: known).map { $0.map { $0 == known[0] } }
      ?? (0..<layers).map { ($0 + 1) % 6 == 0 }
    // As transformers does.
    isGlobal[layers - 1] = true
    self.isGlobal = isGlobal
    window = try model.size("sliding_window", Limit.context, default: 512)
    let shared = try config.optionalInt("num_kv_shared_layers") ?? 0
    guard shared >= 0, shared < layers else {
      throw config.error(.limitExceeded, "num_kv_shared_layers", "is \(shared)")
    }
    firstShared = layers - shared
    let size = try config.isNull("hidden_size_per_layer_input")
      ? 0 : config.optionalInt("hidden_size_per_layer_input") ?? 256
    guard size >= 0, size <= Limit.hidden else {
      throw config.error(.limitExceeded, "hidden_size_per_layer_input", "is \(size)")
    }
    inputSize = size
    areKeysValues = try model.flag("attention_k_eq_v", default: false)
    hasExperts = try model.flag("enable_moe_block", default: false)
    isSharedWider = try model.flag("use_double_wide_mlp", default: false)
    // "vision" concerns the tokens of images.
    if let direction = try config.optionalString("use_bidirectional_attention"),
      direction != "vision"
    {
      throw config.error(
        .unsupported, "use_bidirectional_attention", "\(quoted(direction)) is not supported")
    }
  }

  func describe() throws -> ModelDescription {
    let (hidden, layers) = (sizes.hidden, sizes.layers)
    let heads = try (0..<layers).map(heads)
    var rope = HuggingFaceRope(model: model, contextLength: sizes.context)
    let globalDimension = zip(isGlobal, heads).first(where: \.0)?.1.dimension ?? 0
    let localDimension = zip(isGlobal, heads).first { !$0.0 }?.1.dimension ?? globalDimension
    rope.defaultBase = 10000
    let local = try rope.rope(ofLayers: "sliding_attention", headDimension: localDimension)
    let global = try rope.rope(ofLayers: "full_attention", headDimension: globalDimension)
    let ropes = [
      global
        ?? .init(
          style: .halves, dimensions: globalDimension, base: 1_000_000,
          scaling: .proportional(rotated: globalDimension / 8, factor: 1)),
      local ?? .init(style: .halves, dimensions: localDimension, base: 10000),
    ]
    return ModelDescription(
      family: "gemma4", vocabularySize: sizes.vocabulary, hiddenSize: hidden,
      contextLength: sizes.context,
      endOfSequenceIds: try model.endOfSequenceIds(vocabularySize: sizes.vocabulary),
      embedding: .init(
        weight: model.prefix + "embed_tokens.weight", multiplier: Double(hidden).squareRoot(),
        perLayer: inputSize == 0 ? nil : try perLayer()),
      ropes: ropes,
      layers: try (0..<layers).map { try layer($0, heads[$0]) },
      finalNorm: norm("\(model.prefix)norm", hidden),
      output: try model.output(
        hidden: hidden, vocabulary: sizes.vocabulary, isTiedByDefault: true),
      logitCap: try model.cap("final_logit_softcapping"))
  }

  private func perLayer() throws -> ModelDescription.PerLayerEmbedding {
    let (size, hidden) = (inputSize, sizes.hidden)
    return .init(
      weight: "\(model.prefix)embed_tokens_per_layer.weight",
      rows: try model.size(
        "vocab_size_per_layer_input", Limit.vocabulary, default: 262_144),
      size: size, multiplier: Double(size).squareRoot(),
      projection: model.linear(
        "\(model.prefix)per_layer_model_projection", hidden, sizes.layers * size),
      projectionScale: 1 / Double(hidden).squareRoot(),
      norm: norm("\(model.prefix)per_layer_projection_norm", size),
      scale: 1 / 2.0.squareRoot())
  }

  /// The sizes of a layer's heads.
  private struct Heads {
    var keyValueHeads: Int
    var dimension: Int
  }

  /// Overrides by layer, or by kind of layer.
  private func heads(_ index: Int) throws -> Heads {
    var heads = Heads(
      keyValueHeads: sizes.keyValueHeads, dimension: sizes.headDimension)
    let config = model.config
    if let all = try config.optionalObject("per_layer_config") {
      guard let own = try all.optionalObject("\(index)") else { return heads }
      try own.refuseUnknown(["head_dim", "num_key_value_heads"])
      heads.dimension =
        try own.optionalPositive("head_dim", limit: Limit.headDimension) ?? heads.dimension
      heads.keyValueHeads =
        try own.optionalPositive("num_key_value_heads", limit: Limit.heads)
        ?? heads.keyValueHeads
    } else if isGlobal[index] {
      heads.dimension = try model.size("global_head_dim", Limit.headDimension, default: 512)
      if areKeysValues {
        heads.keyValueHeads =
          try config.optionalPositive("num_global_key_value_heads", limit: Limit.heads)
          ?? heads.keyValueHeads
      }
    }
    return heads
  }

  private func norm(_ name: String, _ size: Int) -> ModelDescription.Norm {
    .init(weight: "\(name).weight", epsilon: epsilon, size: size)
  }

  private func layer(_ index: Int, _ heads: Heads) throws -> ModelDescription.Layer {
    let (name, hidden) = ("\(model.prefix)layers.\(index)", sizes.hidden)
    let isShared = index >= firstShared
    let gated = model.gated(
      "\(name).mlp", activation, hidden: hidden,
      width: isShared && isSharedWider ? 2 * width : width)
    return .init(
      mixerNorm: norm("\(name).input_layernorm", hidden),
      mixer: .attention(try attention("\(name).self_attn", index, heads)),
      mixerOutputNorm: norm("\(name).post_attention_layernorm", hidden),
      feedForwardNorm: norm("\(name).pre_feedforward_layernorm", hidden),
      feedForward: hasExperts ? .both(try both(name, gated)) : .gated(gated),
      feedForwardOutputNorm: norm("\(name).post_feedforward_layernorm", hidden),
      perLayerInput: inputSize == 0
        ? nil
        : .init(
          gate: model.linear("\(name).per_layer_input_gate", hidden, inputSize),
          activation: activation,
          projection: model.linear("\(name).per_layer_projection", inputSize, hidden),
          norm: norm("\(name).post_per_layer_input_norm", hidden)),
      scalar: "\(name).layer_scalar")
  }

  private func both(
    _ name: String, _ gated: ModelDescription.GatedFeedForward
  ) throws -> ModelDescription.GatedAndExperts {
    let hidden = sizes.hidden
    let count = try model.size("num_experts", Limit.experts)
    let width = try model.config.optionalPositive("moe_intermediate_size", limit: Limit.hidden)
      ?? model.size("expert_intermediate_size", Limit.hidden)
    let (gate, up, down) = model.experts(
      "\(name).experts", count: count, hidden: hidden, width: width)
    let experts = ModelDescription.Experts(
      count: count, chosen: try model.size("top_k_experts", count),
      routing: .init(
        scoring: .softmax, isNormalised: true,
        expertScales: "\(name).router.per_expert_scale"),
      router: model.linear("\(name).router.proj", hidden, count), activation: activation,
      gate: gate, up: up, down: down)
    return .init(
      gated: gated, gatedOutputNorm: norm("\(name).post_feedforward_layernorm_1", hidden),
      routerNorm: .init(
        weight: "\(name).router.scale", epsilon: epsilon, size: hidden,
        scale: 1 / Double(hidden).squareRoot()),
      expertsNorm: norm("\(name).pre_feedforward_layernorm_2", hidden), experts: experts,
      expertsOutputNorm: norm("\(name).post_feedforward_layernorm_2", hidden))
  }

  private func attention(
    _ name: String, _ index: Int, _ heads: Heads
  ) throws -> ModelDescription.Attention {
    let (hidden, dimension) = (sizes.hidden, heads.dimension)
    let queries = sizes.heads * dimension
    let keys = heads.keyValueHeads * dimension
    var shared: Int?
    if index >= firstShared {
      // The last of the same kind that has keys and values of its own.
      shared = (0..<firstShared).last { isGlobal[$0] == isGlobal[index] }
      guard shared != nil else {
        throw model.config.error(
          .malformed, "num_kv_shared_layers", "leaves no layer to share keys with")
      }
    }
    let hasOwn = shared == nil
    let hasValues = hasOwn && !(areKeysValues && isGlobal[index])
    return .init(
      heads: sizes.heads, keyValueHeads: heads.keyValueHeads, keyDimension: dimension,
      valueDimension: dimension, scale: 1, window: isGlobal[index] ? nil : window,
      rope: isGlobal[index] ? 0 : 1, queryNorm: norm("\(name).q_norm", dimension),
      keyNorm: hasOwn ? norm("\(name).k_norm", dimension) : nil,
      valueNorm: hasOwn ? .init(weight: nil, epsilon: epsilon, size: dimension) : nil,
      query: model.linear("\(name).q_proj", hasBias: hasBias, hidden, queries),
      key: hasOwn ? model.linear("\(name).k_proj", hasBias: hasBias, hidden, keys) : nil,
      value: hasValues ? model.linear("\(name).v_proj", hasBias: hasBias, hidden, keys) : nil,
      sharedLayer: shared,
      output: model.linear("\(name).o_proj", hasBias: hasBias, queries, hidden))
  }
}
