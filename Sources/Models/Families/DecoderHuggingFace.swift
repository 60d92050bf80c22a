import ModelFormats

/// A decoder's `config.json`, with tensors named as transformers names them.
struct DecoderHuggingFace {
  private let model: HuggingFaceModel
  private let family: DecoderFamily
  private let sizes: DecoderSizes
  private let epsilon: Double
  private let activation: ModelDescription.Activation
  private let inputBias: Bool
  private let outputBias: Bool
  private let hasFeedForwardBias: Bool
  private let windows: [Int?]
  private let queryGrowth: ModelDescription.QueryGrowth?
  private let experts: QwenExperts?

  init(_ model: HuggingFaceModel, family: DecoderFamily) throws {
    (self.model, self.family) = (model, family)
    let config = model.config
    sizes = try DecoderSizes(
      model, headDimension: family.defaultHeadDimension,
      keyValueHeads: family.defaultKeyValueHeads, context: family.defaultContext)
    epsilon = try config.optionalDouble("rms_norm_eps") ?? family.defaultEpsilon
    activation = try model.activation()
    try model.require("rope_interleaved", .bool(false))
    let isConfigured = try model.flag("attention_bias", default: false)
    switch family.attentionBias {
    case .configured: (inputBias, outputBias) = (isConfigured, isConfigured)
    case .queryKeyValue: (inputBias, outputBias) = (true, false)
    case .queryKeyValueConfigured:
      (inputBias, outputBias) = (try model.flag("qkv_bias", default: true), false)
    case .none: (inputBias, outputBias) = (false, false)
    }
    hasFeedForwardBias =
      try family.attentionBias == .configured && model.flag("mlp_bias", default: false)
    windows = try Self.windows(family.window, model, layers: sizes.layers)
    queryGrowth = try family.hasQueryGrowth ? Self.queryGrowth(model, sizes.context) : nil
    if case .qwen(let hasShared) = family.experts {
      experts = try QwenExperts(model, layers: sizes.layers, hasShared: hasShared)
    } else {
      experts = nil
    }
  }

  func describe() throws -> ModelDescription {
    let rope = HuggingFaceRope(
      model: model, contextLength: sizes.context, defaultBase: family.defaultBase)
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

  /// The window of each layer, nil where it sees everything.
  private static func windows(
    _ rule: DecoderFamily.Window, _ model: HuggingFaceModel, layers: Int
  ) throws -> [Int?] {
    let config = model.config
    let known = ["full_attention", "sliding_attention"]
    func size(_ fallback: Int?) throws -> Int? {
      let limit = ModelDescription.Limit.context
      return try config.isNull("sliding_window")
        ? nil : config.optionalPositive("sliding_window", limit: limit) ?? fallback
    }
    switch rule {
    case .none: return Array(repeating: nil, count: layers)
    case .allLayers(let fallback): return Array(repeating: try size(fallback), count: layers)
    case .typedLayers(let fallback):
      let types = try model.layerTypes(layers, known: known)
      return try (types ?? Array(repeating: known[1], count: layers)).map {
        try $0 == known[1] ? size(fallback) : nil
      }
    case .optional, .someLayers:
      guard try model.flag("use_sliding_window", default: false) else {
        return Array(repeating: nil, count: layers)
      }
      guard case .someLayers = rule else { return Array(repeating: try size(4096), count: layers) }
      if let types = try model.layerTypes(layers, known: known) {
        return try types.map { try $0 == known[1] ? size(4096) : nil }
      }
      let first = try config.optionalInt("max_window_layers") ?? 28
      return try (0..<layers).map { try $0 >= first ? size(4096) : nil }
    }
  }

  /// transformers' `get_llama_4_attn_scale`.
  private static func queryGrowth(
    _ model: HuggingFaceModel, _ context: Int
  ) throws -> ModelDescription.QueryGrowth? {
    let parameters =
      try model.config.optionalObject("rope_scaling")
      ?? model.config.optionalObject("rope_parameters")
    guard let beta = try parameters?.optionalDouble("llama_4_scaling_beta"), beta != 0 else {
      return nil
    }
    let original =
      try parameters?.optionalDouble("original_max_position_embeddings") ?? Double(context)
    return .init(beta: beta, length: original)
  }

  private func norm(_ name: String, _ size: Int) -> ModelDescription.Norm {
    .init(weight: "\(name).weight", epsilon: epsilon, size: size)
  }

  private func layer(_ index: Int) throws -> ModelDescription.Layer {
    let name = "\(model.prefix)layers.\(index)"
    return .init(
      mixerNorm: norm("\(name).input_layernorm", sizes.hidden),
      mixer: .attention(attention("\(name).self_attn", window: windows[index])),
      feedForwardNorm: norm("\(name).post_attention_layernorm", sizes.hidden),
      feedForward: try feedForward(name, index))
  }

  private func feedForward(_ name: String, _ index: Int) throws -> ModelDescription.FeedForward {
    if case .mixtral = family.experts { return .experts(try mixtral("\(name)")) }
    if let experts, experts.isSparse(index) {
      return .experts(experts.describe("\(name).mlp", hidden: sizes.hidden, activation))
    }
    let width = try model.size("intermediate_size", ModelDescription.Limit.hidden)
    return .gated(
      model.gated(
        "\(name).mlp", hasBias: hasFeedForwardBias, activation, hidden: sizes.hidden,
        width: width))
  }

  private func mixtral(_ name: String) throws -> ModelDescription.Experts {
    let limit = ModelDescription.Limit.experts
    let count =
      try model.config.optionalPositive("num_local_experts", limit: limit)
      ?? model.size("num_experts", limit, default: 8)
    let width = try model.size("intermediate_size", ModelDescription.Limit.hidden)
    // The names of the hub, and those of checkpoints that transformers 5 has saved as it has them.
    let isNew = model.hasTensor("\(name).mlp.gate.weight")
    let block = isNew ? "\(name).mlp" : "\(name).block_sparse_moe"
    let names =
      isNew ? HuggingFaceModel.ExpertNames() : .init(gate: "w1", up: "w3", down: "w2")
    let (gate, up, down) = model.experts(
      "\(block).experts", names, count: count, hidden: sizes.hidden, width: width)
    return .init(
      count: count, chosen: try model.size("num_experts_per_tok", count, default: 2),
      routing: .init(scoring: .softmax, isNormalised: true),
      router: model.linear("\(block).gate", sizes.hidden, count), activation: activation,
      gate: gate, up: up, down: down)
  }

  private func attention(_ name: String, window: Int?) -> ModelDescription.Attention {
    let dimension = sizes.headDimension
    let (queries, keys) = (sizes.heads * dimension, sizes.keyValueHeads * dimension)
    return .init(
      heads: sizes.heads, keyValueHeads: sizes.keyValueHeads, keyDimension: dimension,
      valueDimension: dimension, scale: 1 / Double(dimension).squareRoot(), window: window,
      rope: 0, queryGrowth: queryGrowth,
      queryNorm: family.hasHeadNorms ? norm("\(name).q_norm", dimension) : nil,
      keyNorm: family.hasHeadNorms ? norm("\(name).k_norm", dimension) : nil,
      query: model.linear("\(name).q_proj", hasBias: inputBias, sizes.hidden, queries),
      key: model.linear("\(name).k_proj", hasBias: inputBias, sizes.hidden, keys),
      value: model.linear("\(name).v_proj", hasBias: inputBias, sizes.hidden, keys),
      output: model.linear("\(name).o_proj", hasBias: outputBias, queries, sizes.hidden))
  }
}

/// The experts of Qwen's models: which layers have them, and what they are.
struct QwenExperts {
  private let model: HuggingFaceModel
  private let count: Int
  private let chosen: Int
  private let width: Int
  private let isNormalised: Bool
  private let sharedWidth: Int?
  private let step: Int
  private let denseLayers: Set<Int>

  init(
    _ model: HuggingFaceModel, layers: Int, hasShared: Bool, isNormalisedByDefault: Bool = false,
    isNormalisedAlways: Bool = false
  ) throws {
    typealias Limit = ModelDescription.Limit
    self.model = model
    count =
      try model.config.optionalPositive("num_experts", limit: Limit.experts)
      ?? model.size("num_local_experts", Limit.experts)
    chosen = try model.size("num_experts_per_tok", count)
    width = try model.size("moe_intermediate_size", Limit.hidden)
    isNormalised =
      try isNormalisedAlways
      || model.flag("norm_topk_prob", default: isNormalisedByDefault)
    sharedWidth =
      try hasShared ? model.size("shared_expert_intermediate_size", Limit.hidden) : nil
    step = try model.config.optionalPositive("decoder_sparse_step", limit: Limit.layers) ?? 1
    denseLayers = Set(try model.config.optionalInts("mlp_only_layers") ?? [])
  }

  /// Whether a layer has experts.
  func isSparse(_ layer: Int) -> Bool { !denseLayers.contains(layer) && (layer + 1) % step == 0 }

  func describe(
    _ name: String, hidden: Int, _ activation: ModelDescription.Activation
  ) -> ModelDescription.Experts {
    let (gate, up, down) = model.experts(
      "\(name).experts", count: count, hidden: hidden, width: width)
    return .init(
      count: count, chosen: chosen,
      routing: .init(scoring: .softmax, isNormalised: isNormalised),
      router: model.linear("\(name).gate", hidden, count), activation: activation, gate: gate,
      up: up, down: down,
      shared: sharedWidth.map {
        model.gated("\(name).shared_expert", activation, hidden: hidden, width: $0)
      },
      sharedGate: sharedWidth.map { _ in model.linear("\(name).shared_expert_gate", hidden, 1) })
  }
}

/// The sizes that a decoder's `config.json` gives.
struct DecoderSizes {
  let vocabulary: Int
  let hidden: Int
  let layers: Int
  let heads: Int
  let keyValueHeads: Int
  let headDimension: Int
  let context: Int

  /// - Parameters: what absent settings default to; nil: as `DecoderFamily` says.
  init(
    _ model: HuggingFaceModel, vocabulary: Int? = nil, hidden: Int? = nil, layers: Int? = nil,
    heads: Int? = nil, headDimension: Int? = nil, keyValueHeads: Int? = nil, context: Int
  ) throws {
    typealias Limit = ModelDescription.Limit
    self.vocabulary = try model.size("vocab_size", Limit.vocabulary, default: vocabulary)
    let hidden = try model.size("hidden_size", Limit.hidden, default: hidden)
    self.hidden = hidden
    self.layers = try model.size("num_hidden_layers", Limit.layers, default: layers)
    let heads = try model.size("num_attention_heads", Limit.heads, default: heads)
    self.heads = heads
    let config = model.config
    let groups = keyValueHeads.flatMap { heads % $0 == 0 ? $0 : nil } ?? heads
    self.keyValueHeads =
      try config.isNull("num_key_value_heads")
      ? heads : model.size("num_key_value_heads", Limit.heads, default: groups)
    if let explicit = try config.optionalPositive("head_dim", limit: Limit.headDimension) {
      self.headDimension = explicit
    } else if let headDimension, !config.isNull("head_dim") {
      self.headDimension = headDimension
    } else {
      guard hidden % heads == 0 else {
        throw config.error(
          .malformed, "hidden_size", "\(hidden) is not a multiple of num_attention_heads \(heads)")
      }
      self.headDimension = hidden / heads
    }
    self.context = try model.size("max_position_embeddings", Limit.context, default: context)
  }
}
