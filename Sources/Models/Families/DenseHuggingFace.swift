import ModelFormats

/// A dense decoder's `config.json`, with tensors named as transformers names them.
struct DenseHuggingFace {
  private let family: DenseFamily
  private let config: ConfigObject
  private let shared: HuggingFaceConfig
  private let sizes: DenseSizes
  private let epsilon: Double
  private let activation: ModelDescription.Activation
  private let hasAttentionBias: Bool
  private let hasFeedForwardBias: Bool
  private let windows: [Int?]

  init(_ folder: HuggingFaceFolder, family: DenseFamily) throws {
    self.family = family
    shared = HuggingFaceConfig(folder)
    config = folder.config
    try shared.refuse(["quantization_config"])
    sizes = try DenseSizes(config, defaultHeadDimension: family.defaultHeadDimension)
    epsilon = try config.optionalDouble("rms_norm_eps") ?? 1e-6
    activation = try shared.activation()
    hasAttentionBias = try config.optionalBool("attention_bias") ?? false
    hasFeedForwardBias = try config.optionalBool("mlp_bias") ?? false
    windows = try Self.windows(family.window, config, layers: sizes.layers)
  }

  func describe() throws -> ModelDescription {
    let embedding = "model.embed_tokens.weight"
    let isTied = try config.optionalBool("tie_word_embeddings") ?? false
    return ModelDescription(
      family: family.name, vocabularySize: sizes.vocabulary, hiddenSize: sizes.hidden,
      contextLength: sizes.context,
      endOfSequenceIds: try shared.endOfSequenceIds(vocabularySize: sizes.vocabulary),
      embedding: .init(weight: embedding),
      ropes: [
        try shared.rope(headDimension: sizes.headDimension, contextLength: sizes.context)
      ],
      layers: (0..<sizes.layers).map(layer), finalNorm: norm("model.norm", sizes.hidden),
      output: .init(
        weight: isTied ? embedding : "lm_head.weight", inputs: sizes.hidden,
        outputs: sizes.vocabulary))
  }

  /// The window of each layer, nil where it sees everything.
  private static func windows(
    _ rule: DenseFamily.Window, _ config: ConfigObject, layers: Int
  ) throws -> [Int?] {
    let limit = ModelDescription.Limit.context
    let size = try config.optionalPositive("sliding_window", limit: limit)
    switch rule {
    case .none: return Array(repeating: nil, count: layers)
    case .allLayers:
      let window = config.isNull("sliding_window") ? nil : size ?? 4096
      return Array(repeating: window, count: layers)
    case .someLayers:
      guard try config.optionalBool("use_sliding_window") ?? false else {
        return Array(repeating: nil, count: layers)
      }
      let window = config.isNull("sliding_window") ? nil : size ?? 4096
      guard let types = try config.optionalStrings("layer_types") else {
        let first = try config.optionalInt("max_window_layers") ?? 28
        return (0..<layers).map { $0 >= first ? window : nil }
      }
      let known = ["full_attention", "sliding_attention"]
      guard types.count == layers, types.allSatisfy(known.contains) else {
        throw config.error(
          .malformed, "layer_types", "is not one of \(known) for each of \(layers) layers")
      }
      return types.map { $0 == "sliding_attention" ? window : nil }
    }
  }

  private func norm(_ name: String, _ size: Int) -> ModelDescription.Norm {
    .init(weight: "\(name).weight", epsilon: epsilon, size: size)
  }

  private func linear(
    _ name: String, hasBias: Bool, _ inputs: Int, _ outputs: Int
  ) -> ModelDescription.Linear {
    .init(
      weight: "\(name).weight", bias: hasBias ? "\(name).bias" : nil, inputs: inputs,
      outputs: outputs)
  }

  private func layer(_ index: Int) -> ModelDescription.Layer {
    let name = "model.layers.\(index)"
    let (hidden, width) = (sizes.hidden, sizes.feedForward)
    let gated = ModelDescription.GatedFeedForward(
      activation: activation,
      gate: linear("\(name).mlp.gate_proj", hasBias: hasFeedForwardBias, hidden, width),
      up: linear("\(name).mlp.up_proj", hasBias: hasFeedForwardBias, hidden, width),
      down: linear("\(name).mlp.down_proj", hasBias: hasFeedForwardBias, width, hidden))
    return .init(
      mixerNorm: norm("\(name).input_layernorm", hidden),
      mixer: .attention(attention("\(name).self_attn", window: windows[index])),
      feedForwardNorm: norm("\(name).post_attention_layernorm", hidden),
      feedForward: .gated(gated))
  }

  private func attention(_ name: String, window: Int?) -> ModelDescription.Attention {
    let dimension = sizes.headDimension
    let (queries, keys) = (sizes.heads * dimension, sizes.keyValueHeads * dimension)
    let (inputBias, outputBias) =
      switch family.attentionBias {
      case .configured: (hasAttentionBias, hasAttentionBias)
      case .queryKeyValue: (true, false)
      case .none: (false, false)
      }
    return .init(
      heads: sizes.heads, keyValueHeads: sizes.keyValueHeads, keyDimension: dimension,
      valueDimension: dimension, scale: 1 / Double(dimension).squareRoot(), window: window,
      rope: 0, queryNorm: family.hasHeadNorms ? norm("\(name).q_norm", dimension) : nil,
      keyNorm: family.hasHeadNorms ? norm("\(name).k_norm", dimension) : nil,
      query: linear("\(name).q_proj", hasBias: inputBias, sizes.hidden, queries),
      key: linear("\(name).k_proj", hasBias: inputBias, sizes.hidden, keys),
      value: linear("\(name).v_proj", hasBias: inputBias, sizes.hidden, keys),
      output: linear("\(name).o_proj", hasBias: outputBias, queries, sizes.hidden))
  }
}

/// The sizes that a dense decoder's `config.json` gives.
struct DenseSizes {
  let vocabulary: Int
  let hidden: Int
  let feedForward: Int
  let layers: Int
  let heads: Int
  let keyValueHeads: Int
  let headDimension: Int
  let context: Int

  init(_ config: ConfigObject, defaultHeadDimension: Int?) throws {
    typealias Limit = ModelDescription.Limit
    vocabulary = try config.positive("vocab_size", limit: Limit.vocabulary)
    hidden = try config.positive("hidden_size", limit: Limit.hidden)
    feedForward = try config.positive("intermediate_size", limit: Limit.hidden)
    layers = try config.positive("num_hidden_layers", limit: Limit.layers)
    heads = try config.positive("num_attention_heads", limit: Limit.heads)
    keyValueHeads =
      try config.optionalPositive("num_key_value_heads", limit: Limit.heads) ?? heads
    let explicit = try config.optionalPositive("head_dim", limit: Limit.headDimension)
    if let dimension = explicit ?? defaultHeadDimension {
      headDimension = dimension
    } else {
      guard hidden % heads == 0 else {
        throw config.error(
          .malformed, "hidden_size", "\(hidden) is not a multiple of num_attention_heads \(heads)")
      }
      headDimension = hidden / heads
    }
    context =
      try config.optionalPositive("max_position_embeddings", limit: Limit.context) ?? 2048
  }
}
