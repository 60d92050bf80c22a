import ModelFormats

/// Llama 2 and 3, SmolLM2 and everything else of their shape (Touvron et al. 2023,
/// arXiv:2307.09288; transformers `LlamaForCausalLM`; llama.cpp architecture `llama` without
/// experts).
struct LlamaFamily: ModelFamily {
  let modelTypes = ["llama"]
  let ggufArchitectures = ["llama"]

  func describe(_ folder: HuggingFaceFolder) throws -> ModelDescription {
    let shared = HuggingFaceConfig(folder)
    let config = folder.config
    try shared.refuse(["quantization_config"])
    let sizes = try DenseSizes(config)
    let embedding = "model.embed_tokens.weight"
    let isTied = try config.optionalBool("tie_word_embeddings") ?? false
    let layer = HuggingFaceDenseLayer(
      sizes: sizes, epsilon: try config.optionalDouble("rms_norm_eps") ?? 1e-6,
      activation: try shared.activation(),
      hasAttentionBias: try config.optionalBool("attention_bias") ?? false,
      hasFeedForwardBias: try config.optionalBool("mlp_bias") ?? false)
    return ModelDescription(
      family: "llama", vocabularySize: sizes.vocabulary, hiddenSize: sizes.hidden,
      contextLength: sizes.context,
      endOfSequenceIds: try shared.endOfSequenceIds(vocabularySize: sizes.vocabulary),
      embedding: .init(weight: embedding),
      ropes: [
        try shared.rope(headDimension: sizes.headDimension, contextLength: sizes.context)
      ],
      layers: (0..<sizes.layers).map(layer.describe),
      finalNorm: layer.norm("model.norm"),
      output: .init(
        weight: isTied ? embedding : "lm_head.weight", inputs: sizes.hidden,
        outputs: sizes.vocabulary))
  }

  func describe(_ file: GGUFFile) throws -> ModelDescription {
    try LlamaGGUF(file).describe()
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

  init(_ config: ConfigObject) throws {
    typealias Limit = ModelDescription.Limit
    vocabulary = try config.positive("vocab_size", limit: Limit.vocabulary)
    hidden = try config.positive("hidden_size", limit: Limit.hidden)
    feedForward = try config.positive("intermediate_size", limit: Limit.hidden)
    layers = try config.positive("num_hidden_layers", limit: Limit.layers)
    heads = try config.positive("num_attention_heads", limit: Limit.heads)
    keyValueHeads =
      try config.optionalPositive("num_key_value_heads", limit: Limit.heads) ?? heads
    if let explicit = try config.optionalPositive("head_dim", limit: Limit.headDimension) {
      headDimension = explicit
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

/// A layer of a dense decoder, with tensors named as transformers names them.
struct HuggingFaceDenseLayer {
  let sizes: DenseSizes
  let epsilon: Double
  let activation: ModelDescription.Activation
  let hasAttentionBias: Bool
  let hasFeedForwardBias: Bool

  func norm(_ name: String) -> ModelDescription.Norm {
    .init(weight: "\(name).weight", epsilon: epsilon, size: sizes.hidden)
  }

  private func linear(
    _ name: String, hasBias: Bool, _ inputs: Int, _ outputs: Int
  ) -> ModelDescription.Linear {
    .init(
      weight: "\(name).weight", bias: hasBias ? "\(name).bias" : nil, inputs: inputs,
      outputs: outputs)
  }

  func describe(_ index: Int) -> ModelDescription.Layer {
    let name = "model.layers.\(index)"
    let dimension = sizes.headDimension
    let (queries, keys) = (sizes.heads * dimension, sizes.keyValueHeads * dimension)
    let attention = ModelDescription.Attention(
      heads: sizes.heads, keyValueHeads: sizes.keyValueHeads, keyDimension: dimension,
      valueDimension: dimension, scale: 1 / Double(dimension).squareRoot(), rope: 0,
      query: linear("\(name).self_attn.q_proj", hasBias: hasAttentionBias, sizes.hidden, queries),
      key: linear("\(name).self_attn.k_proj", hasBias: hasAttentionBias, sizes.hidden, keys),
      value: linear("\(name).self_attn.v_proj", hasBias: hasAttentionBias, sizes.hidden, keys),
      output: linear(
        "\(name).self_attn.o_proj", hasBias: hasAttentionBias, queries, sizes.hidden))
    let gated = ModelDescription.GatedFeedForward(
      activation: activation,
      gate: linear(
        "\(name).mlp.gate_proj", hasBias: hasFeedForwardBias, sizes.hidden, sizes.feedForward),
      up: linear(
        "\(name).mlp.up_proj", hasBias: hasFeedForwardBias, sizes.hidden, sizes.feedForward),
      down: linear(
        "\(name).mlp.down_proj", hasBias: hasFeedForwardBias, sizes.feedForward, sizes.hidden))
    return .init(
      mixerNorm: norm("\(name).input_layernorm"), mixer: .attention(attention),
      feedForwardNorm: norm("\(name).post_attention_layernorm"), feedForward: .gated(gated))
  }
}
