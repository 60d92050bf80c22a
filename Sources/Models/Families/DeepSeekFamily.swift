import ModelFormats

/// DeepSeek V2 and V3 (DeepSeek-AI 2024, arXiv:2405.04434 and 2412.19437): latent attention, and
/// experts after the first layers.
struct DeepSeekFamily: GGUFModelFamily {
  let name: String
  let modelTypes: [String]
  /// Files of both have one architecture.
  var ggufArchitectures: [String] { hasSigmoidExperts ? ["deepseek2"] : [] }
  /// Experts are scored by sigmoids, with a correction; else by softmax.
  let hasSigmoidExperts: Bool

  static let v2 = DeepSeekFamily(
    name: "deepseek_v2", modelTypes: ["deepseek_v2"], hasSigmoidExperts: false)
  static let v3 = DeepSeekFamily(
    name: "deepseek_v3", modelTypes: ["deepseek_v3"], hasSigmoidExperts: true)

  var knownKeys: Set<String> {
    HuggingFaceKeys.decoder.union([
      "first_k_dense_replace", "kv_lora_rank", "mlp_bias", "moe_intermediate_size", "n_group",
      "moe_layer_freq", "n_routed_experts", "n_shared_experts", "norm_topk_prob",
      "num_experts_per_tok", "q_lora_rank", "qk_head_dim", "qk_nope_head_dim", "qk_rope_head_dim",
      "rope_interleave",
      "routed_scaling_factor", "scoring_func", "topk_group", "topk_method", "v_head_dim",
    ])
  }

  func describe(_ model: HuggingFaceModel) throws -> ModelDescription {
    try DeepSeekHuggingFace(model, self).describe()
  }

  func describe(_ file: GGUFFile) throws -> ModelDescription { try DeepSeekGGUF(file).describe() }
}

private struct DeepSeekHuggingFace {
  private typealias Limit = ModelDescription.Limit

  private let model: HuggingFaceModel
  private let family: DeepSeekFamily
  private let vocabulary: Int
  private let hidden: Int
  private let layers: Int
  private let heads: Int
  private let context: Int
  private let epsilon: Double
  private let activation: ModelDescription.Activation
  private let hasBias: Bool
  private let plain: Int
  private let rotated: Int
  private let valueDimension: Int
  private let latent: Int
  private let queryRank: Int?
  private let dense: Int

  init(_ model: HuggingFaceModel, _ family: DeepSeekFamily) throws {
    (self.model, self.family) = (model, family)
    let (config, isV3) = (model.config, family.hasSigmoidExperts)
    vocabulary = try model.size("vocab_size", Limit.vocabulary, default: isV3 ? 129_280 : 102_400)
    hidden = try model.size("hidden_size", Limit.hidden, default: isV3 ? 7168 : 4096)
    layers = try model.size("num_hidden_layers", Limit.layers, default: isV3 ? 61 : 32)
    heads = try model.size("num_attention_heads", Limit.heads, default: isV3 ? 128 : 32)
    let groups = try config.optionalInt("num_key_value_heads") ?? heads
    guard groups == heads else {
      throw config.error(
        .unsupported, "num_key_value_heads", "is \(groups), must be num_attention_heads \(heads)")
    }
    context = try model.size(
      "max_position_embeddings", Limit.context, default: isV3 ? 4096 : 2048)
    epsilon = try config.optionalDouble("rms_norm_eps") ?? 1e-6
    activation = try model.activation()
    hasBias = try model.flag("attention_bias", default: false)
    plain = try model.size("qk_nope_head_dim", Limit.headDimension, default: 128)
    rotated = try model.size("qk_rope_head_dim", Limit.headDimension, default: 64)
    valueDimension = try model.size("v_head_dim", Limit.headDimension, default: 128)
    latent = try model.size("kv_lora_rank", Limit.headDimension, default: 512)
    queryRank =
      try config.isNull("q_lora_rank")
      ? nil : model.size("q_lora_rank", Limit.hidden, default: 1536)
    dense = try config.optionalInt("first_k_dense_replace") ?? (isV3 ? 3 : 0)
    try model.require("moe_layer_freq", .int(1))
    try model.require("scoring_func", .string(isV3 ? "sigmoid" : "softmax"))
    if isV3 { try model.require("topk_method", .string("noaux_tc")) }
  }

  func describe() throws -> ModelDescription {
    // The second version knows no other; the third may have heads in halves.
    let isInterleaved = try !family.hasSigmoidExperts
      || model.flag("rope_interleave", default: true)
    let rope = HuggingFaceRope(
      model: model, contextLength: context, style: isInterleaved ? .interleaved : .halves)
    let scale = try rope.latentScale() / Double(plain + rotated).squareRoot()
    return ModelDescription(
      family: family.name, vocabularySize: vocabulary, hiddenSize: hidden,
      contextLength: context,
      endOfSequenceIds: try model.endOfSequenceIds(vocabularySize: vocabulary),
      embedding: .init(weight: model.prefix + "embed_tokens.weight"),
      ropes: [try rope.rope(headDimension: rotated)],
      layers: try (0..<layers).map { try layer($0, scale: scale) },
      finalNorm: norm("\(model.prefix)norm", hidden),
      output: try model.output(hidden: hidden, vocabulary: vocabulary))
  }

  private func norm(
    _ name: String, _ size: Int, epsilon: Double? = nil
  ) -> ModelDescription.Norm {
    .init(weight: "\(name).weight", epsilon: epsilon ?? self.epsilon, size: size)
  }

  private func layer(_ index: Int, scale: Double) throws -> ModelDescription.Layer {
    let name = "\(model.prefix)layers.\(index)"
    return .init(
      mixerNorm: norm("\(name).input_layernorm", hidden),
      mixer: .latent(attention("\(name).self_attn", scale: scale)),
      feedForwardNorm: norm("\(name).post_attention_layernorm", hidden),
      feedForward: try feedForward("\(name).mlp", index))
  }

  private func feedForward(_ name: String, _ index: Int) throws -> ModelDescription.FeedForward {
    guard index >= dense else {
      let width = try model.size("intermediate_size", Limit.hidden)
      let hasBias = try !family.hasSigmoidExperts && model.flag("mlp_bias", default: false)
      return .gated(
        model.gated(name, hasBias: hasBias, activation, hidden: hidden, width: width))
    }
    let shared =
      try model.config.isNull("n_shared_experts")
      ? nil
      : model.size("n_shared_experts", Limit.experts, default: family.hasSigmoidExperts ? 1 : 2)
    if family.hasSigmoidExperts {
      let experts = try SigmoidExperts(model, scale: 2.5, groups: (8, 4))
      return .experts(
        experts.describe(name, hidden: hidden, activation, sharedWidth: shared))
    }
    return .experts(try softmaxExperts(name, shared: shared))
  }

  private func softmaxExperts(_ name: String, shared: Int?) throws -> ModelDescription.Experts {
    let config = model.config
    let count = try model.size("n_routed_experts", Limit.experts, default: 64)
    let width = try model.size("moe_intermediate_size", Limit.hidden, default: 1407)
    let method = try config.optionalString("topk_method") ?? "greedy"
    var groups: ModelDescription.Routing.Groups?
    switch method {
    case "greedy": break
    case "group_limited_greedy":
      groups = .init(
        count: try config.positive("n_group", limit: Limit.experts),
        chosen: try config.positive("topk_group", limit: Limit.experts), measure: .greatest)
    default:
      throw config.error(
        .unsupported, "topk_method",
        "\(quoted(method)) is not supported (greedy and group_limited_greedy are)")
    }
    let (gate, up, down) = model.experts(
      "\(name).experts", count: count, hidden: hidden, width: width)
    return .init(
      count: count, chosen: try model.size("num_experts_per_tok", count),
      routing: .init(
        scoring: .softmax, groups: groups, isNormalised: false,
        scale: try config.optionalDouble("routed_scaling_factor") ?? 1),
      router: model.linear("\(name).gate", hidden, count), activation: activation, gate: gate,
      up: up, down: down,
      shared: shared.map {
        model.gated("\(name).shared_experts", activation, hidden: hidden, width: width * $0)
      })
  }

  private func attention(
    _ name: String, scale: Double
  ) -> ModelDescription.LatentAttention {
    let shape = LatentShape(
      hidden: hidden, heads: heads, plain: plain, rotated: rotated,
      valueDimension: valueDimension, latent: latent, queryRank: queryRank)
    let up = "\(name).kv_b_proj.weight"
    return shape.attention(
      scale: scale,
      linear: { matrix, inputs, outputs, rows in
        switch matrix {
        case .queryDown: model.linear("\(name).q_a_proj", hasBias: hasBias, inputs, outputs)
        case .query:
          model.linear(
            queryRank == nil ? "\(name).q_proj" : "\(name).q_b_proj", inputs, outputs, rows: rows)
        case .down:
          model.linear(
            "\(name).kv_a_proj_with_mqa", hasBias: hasBias, inputs, outputs, rows: rows)
        case .output: model.linear("\(name).o_proj", hasBias: hasBias, inputs, outputs)
        }
      },
      // transformers gives these two norms its default epsilon, not that of the model.
      queryDownNorm: norm("\(name).q_a_layernorm", queryRank ?? 1, epsilon: 1e-6),
      latentNorm: norm("\(name).kv_a_layernorm", latent, epsilon: 1e-6),
      up: .joint(weight: up, scales: model.scales(of: up)))
  }
}
