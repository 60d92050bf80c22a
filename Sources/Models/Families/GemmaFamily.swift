import ModelFormats

/// Gemma 1 to 3 (Gemma Team 2024 and 2025, arXiv:2403.08295, 2408.00118, 2503.19786): norms around
/// zero, a scaled embedding, and from the second on norms on both sides of each half of a layer.
struct GemmaFamily: GGUFModelFamily {
  let name: String
  let modelTypes: [String]
  let ggufArchitectures: [String]
  /// Norms after attention and feed-forward as well as before.
  var hasOutputNorms = true
  /// Queries and keys are normalised head by head.
  var hasHeadNorms = false
  /// Each how many layers one sees everything; nil: all do.
  var windowPattern: Int?
  /// Scores and logits are limited unless `config.json` says otherwise.
  var defaultCaps: (attention: Double, logits: Double)?
  /// Layers with a window have a rotation of their own.
  var hasLocalRope = false
  var vocabulary = 256_000
  var hidden = 2304
  var width = 9216
  var layers = 26
  var heads = 8
  var keyValueHeads = 4
  var context = 8192

  static let gemma = GemmaFamily(
    name: "gemma", modelTypes: ["gemma"], ggufArchitectures: ["gemma"], hasOutputNorms: false,
    hidden: 3072, width: 24576, layers: 28, heads: 16, keyValueHeads: 16)

  static let gemma2 = GemmaFamily(
    name: "gemma2", modelTypes: ["gemma2"], ggufArchitectures: ["gemma2"], windowPattern: 2,
    defaultCaps: (attention: 50, logits: 30))

  static let gemma3 = GemmaFamily(
    name: "gemma3", modelTypes: ["gemma3_text"], ggufArchitectures: ["gemma3"],
    hasHeadNorms: true, windowPattern: 6, hasLocalRope: true, vocabulary: 262_208,
    context: 131_072)

  var knownKeys: Set<String> {
    var keys = HuggingFaceKeys.decoder.union(["hidden_activation", "use_bidirectional_attention"])
    if windowPattern != nil {
      keys.formUnion([
        "layer_types", "sliding_window", "sliding_window_pattern", "query_pre_attn_scalar",
        "attn_logit_softcapping", "final_logit_softcapping", "cache_implementation",
        // Beside sliding_window, which is what counts.
        "sliding_window_size",
      ])
    }
    if hasLocalRope { keys.insert("rope_local_base_freq") }
    return keys
  }

  func describe(_ model: HuggingFaceModel) throws -> ModelDescription {
    try GemmaHuggingFace(model, self).describe()
  }

  func describe(_ file: GGUFFile) throws -> ModelDescription {
    try GemmaGGUF(file, self).describe()
  }
}

/// A Gemma model's `config.json`.
private struct GemmaHuggingFace {
  private let model: HuggingFaceModel
  private let family: GemmaFamily
  private let sizes: DecoderSizes
  private let epsilon: Double
  private let width: Int
  private let activation: ModelDescription.Activation
  private let hasBias: Bool
  private let windows: [Int?]
  private let scale: Double
  private let attentionCap: Double?

  init(_ model: HuggingFaceModel, _ family: GemmaFamily) throws {
    (self.model, self.family) = (model, family)
    let config = model.config
    sizes = try DecoderSizes(
      model, vocabulary: family.vocabulary, hidden: family.hidden, layers: family.layers,
      heads: family.heads, headDimension: 256, keyValueHeads: family.keyValueHeads,
      context: family.context)
    epsilon = try config.optionalDouble("rms_norm_eps") ?? 1e-6
    width = try model.size(
      "intermediate_size", ModelDescription.Limit.hidden, default: family.width)
    // Gemma's "gelu" means the tanh form, as transformers reads it.
    let key = family.windowPattern == nil ? "hidden_act" : "hidden_activation"
    let found = try model.activation(key, default: "gelu_pytorch_tanh")
    activation = found == .gelu && family.windowPattern == nil ? .geluTanh : found
    hasBias = try model.flag("attention_bias", default: false)
    try model.require("use_bidirectional_attention", .bool(false))
    windows = try Self.windows(model, family, sizes.layers)
    let base =
      try family.windowPattern == nil
      ? Double(sizes.headDimension) : config.optionalDouble("query_pre_attn_scalar") ?? 256
    guard base > 0 else {
      throw config.error(.limitExceeded, "query_pre_attn_scalar", "is \(base)")
    }
    scale = 1 / base.squareRoot()
    attentionCap = try Self.cap(model, "attn_logit_softcapping", family.defaultCaps?.attention)
  }

  func describe() throws -> ModelDescription {
    let rope = HuggingFaceRope(model: model, contextLength: sizes.context)
    return ModelDescription(
      family: family.name, vocabularySize: sizes.vocabulary, hiddenSize: sizes.hidden,
      contextLength: sizes.context,
      endOfSequenceIds: try model.endOfSequenceIds(vocabularySize: sizes.vocabulary),
      embedding: .init(
        weight: model.prefix + "embed_tokens.weight",
        multiplier: Double(sizes.hidden).squareRoot()),
      ropes: try ropes(rope), layers: (0..<sizes.layers).map(layer),
      finalNorm: norm("\(model.prefix)norm", sizes.hidden),
      output: try model.output(
        hidden: sizes.hidden, vocabulary: sizes.vocabulary, isTiedByDefault: true),
      logitCap: try Self.cap(model, "final_logit_softcapping", family.defaultCaps?.logits))
  }

  private static func cap(
    _ model: HuggingFaceModel, _ key: String, _ fallback: Double?
  ) throws -> Double? {
    model.config.isNull(key) ? nil : try model.cap(key) ?? fallback
  }

  private static func windows(
    _ model: HuggingFaceModel, _ family: GemmaFamily, _ layers: Int
  ) throws -> [Int?] {
    guard let pattern = family.windowPattern else { return Array(repeating: nil, count: layers) }
    let config = model.config
    let size =
      try config.isNull("sliding_window")
      ? nil
      : config.optionalPositive("sliding_window", limit: ModelDescription.Limit.context) ?? 4096
    let known = ["full_attention", "sliding_attention"]
    if let types = try model.layerTypes(layers, known: known) {
      return types.map { $0 == "sliding_attention" ? size : nil }
    }
    let period = try config.optionalPositive(
      "sliding_window_pattern", limit: ModelDescription.Limit.layers) ?? pattern
    return (0..<layers).map { ($0 + 1) % period != 0 ? size : nil }
  }

  /// Of layers that see everything, then of those with a window.
  private func ropes(_ rope: HuggingFaceRope) throws -> [ModelDescription.Rope] {
    let dimension = sizes.headDimension
    guard family.hasLocalRope else { return [try rope.rope(headDimension: dimension)] }
    var global = rope
    global.defaultBase = 1_000_000
    let config = model.config
    let full =
      try global.rope(ofLayers: "full_attention", headDimension: dimension)
      ?? global.rope(config.optionalObject("rope_scaling"), headDimension: dimension)
    let base = try config.optionalDouble("rope_local_base_freq") ?? 10000
    let local =
      try rope.rope(ofLayers: "sliding_attention", headDimension: dimension)
      ?? rope.rope(nil, headDimension: dimension, base: base)
    return [full, local]
  }

  private func norm(_ name: String, _ size: Int) -> ModelDescription.Norm {
    .init(weight: "\(name).weight", epsilon: epsilon, size: size, offset: 1)
  }

  private func layer(_ index: Int) -> ModelDescription.Layer {
    let (name, hidden) = ("\(model.prefix)layers.\(index)", sizes.hidden)
    let mixer = ModelDescription.Mixer.attention(attention("\(name).self_attn", windows[index]))
    let feedForward = ModelDescription.FeedForward.gated(
      model.gated("\(name).mlp", activation, hidden: hidden, width: width))
    guard family.hasOutputNorms else {
      return .init(
        mixerNorm: norm("\(name).input_layernorm", hidden), mixer: mixer,
        feedForwardNorm: norm("\(name).post_attention_layernorm", hidden),
        feedForward: feedForward)
    }
    return .init(
      mixerNorm: norm("\(name).input_layernorm", hidden), mixer: mixer,
      mixerOutputNorm: norm("\(name).post_attention_layernorm", hidden),
      feedForwardNorm: norm("\(name).pre_feedforward_layernorm", hidden),
      feedForward: feedForward,
      feedForwardOutputNorm: norm("\(name).post_feedforward_layernorm", hidden))
  }

  private func attention(_ name: String, _ window: Int?) -> ModelDescription.Attention {
    let (hidden, dimension) = (sizes.hidden, sizes.headDimension)
    let (queries, keys) = (sizes.heads * dimension, sizes.keyValueHeads * dimension)
    return .init(
      heads: sizes.heads, keyValueHeads: sizes.keyValueHeads, keyDimension: dimension,
      valueDimension: dimension, scale: scale, window: window, cap: attentionCap,
      rope: family.hasLocalRope && window != nil ? 1 : 0,
      queryNorm: family.hasHeadNorms ? norm("\(name).q_norm", dimension) : nil,
      keyNorm: family.hasHeadNorms ? norm("\(name).k_norm", dimension) : nil,
      query: model.linear("\(name).q_proj", hasBias: hasBias, hidden, queries),
      key: model.linear("\(name).k_proj", hasBias: hasBias, hidden, keys),
      value: model.linear("\(name).v_proj", hasBias: hasBias, hidden, keys),
      output: model.linear("\(name).o_proj", hasBias: hasBias, queries, hidden))
  }
}
