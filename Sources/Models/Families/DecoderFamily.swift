import ModelFormats

/// Decoders of one shape, of which Llama is the oldest: pre-norm layers of grouped-query attention
/// and a gated feed-forward or experts. The families differ in the few settings below.
struct DecoderFamily: GGUFModelFamily {
  /// Which attention matrices have biases in Hugging Face checkpoints.
  enum AttentionBias: Sendable {
    /// Query, key, value and output if `attention_bias` says so.
    case configured
    /// Query, key and value.
    case queryKeyValue
    /// Query, key and value unless `qkv_bias` denies it.
    case queryKeyValueConfigured
    case none
  }

  /// Where the size of the attention window comes from in `config.json`.
  enum Window: Sendable {
    case none
    /// `sliding_window` for all layers: the default if the key is absent, none if it is null.
    case allLayers(default: Int?)
    /// `sliding_window` for the layers that `layer_types` calls `sliding_attention`; without that
    /// list, for all.
    case typedLayers(default: Int?)
    /// `sliding_window` if `use_sliding_window`, for all layers.
    case optional
    /// The same for the layers that `layer_types` calls `sliding_attention`, or those from
    /// `max_window_layers` on.
    case someLayers
  }

  /// What experts there are, and how `config.json` and tensors call them.
  enum Experts: Sendable {
    case none
    /// In every layer; weights are normalised.
    case mixtral
    /// In the layers that `decoder_sparse_step` and `mlp_only_layers` leave.
    case qwen(hasShared: Bool)
  }

  let name: String
  let modelTypes: [String]
  let ggufArchitectures: [String]
  var attentionBias = AttentionBias.none
  var window = Window.none
  var experts = Experts.none
  /// Queries and keys are normalised head by head.
  var hasHeadNorms = false
  /// `head_dim` if it is absent; nil: hidden size / heads.
  var defaultHeadDimension: Int?
  /// `num_key_value_heads` if it is absent; nil: as many as heads.
  var defaultKeyValueHeads: Int?
  var defaultContext = 2048
  var defaultBase = 10000.0
  var defaultEpsilon = 1e-6
  /// Whether queries grow with their position, as `llama_4_scaling_beta` says.
  var hasQueryGrowth = false
  /// How the GGUF converter leaves the rows of query and key matrices.
  var ggufRopeStyle = ModelDescription.Rope.Style.halves

  /// Llama 2 and 3, SmolLM2 and their like (Touvron et al. 2023, arXiv:2307.09288; transformers
  /// `LlamaForCausalLM`). GGUF files of the architecture `llama` hold Mistral and Mixtral too.
  static let llama = DecoderFamily(
    name: "llama", modelTypes: ["llama"], ggufArchitectures: ["llama"],
    attentionBias: .configured, ggufRopeStyle: .interleaved)

  /// Mistral 7B (Jiang et al. 2023, arXiv:2310.06825).
  static let mistral = DecoderFamily(
    name: "mistral", modelTypes: ["mistral"], ggufArchitectures: [],
    window: .allLayers(default: 4096), defaultKeyValueHeads: 8, defaultContext: 131072)

  /// Ministral 8B (2024).
  static let ministral = DecoderFamily(
    name: "ministral", modelTypes: ["ministral"], ggufArchitectures: [],
    window: .typedLayers(default: 4096), defaultKeyValueHeads: 8, defaultContext: 131072)

  /// Ministral 3 (2025).
  static let ministral3 = DecoderFamily(
    name: "ministral3", modelTypes: ["ministral3"], ggufArchitectures: ["mistral3"],
    window: .allLayers(default: nil), defaultHeadDimension: 128, defaultKeyValueHeads: 8,
    defaultContext: 262144, defaultBase: 1_000_000, defaultEpsilon: 1e-5, hasQueryGrowth: true,
    ggufRopeStyle: .interleaved)

  /// Mixtral (Jiang et al. 2024, arXiv:2401.04088).
  static let mixtral = DecoderFamily(
    name: "mixtral", modelTypes: ["mixtral"], ggufArchitectures: [],
    window: .allLayers(default: nil), experts: .mixtral, defaultKeyValueHeads: 8,
    defaultContext: 131072, defaultBase: 1_000_000, defaultEpsilon: 1e-5)

  /// Qwen 2 and 2.5 (arXiv:2407.10671).
  static let qwen2 = DecoderFamily(
    name: "qwen2", modelTypes: ["qwen2"], ggufArchitectures: ["qwen2"],
    attentionBias: .queryKeyValue, window: .someLayers, defaultKeyValueHeads: 32,
    defaultContext: 32768)

  /// Qwen 1.5 and 2 with experts (arXiv:2407.10671).
  static let qwen2Experts = DecoderFamily(
    name: "qwen2_moe", modelTypes: ["qwen2_moe"], ggufArchitectures: ["qwen2moe"],
    attentionBias: .queryKeyValueConfigured, window: .someLayers, experts: .qwen(hasShared: true),
    defaultKeyValueHeads: 16, defaultContext: 32768)

  /// Qwen 3 (arXiv:2505.09388).
  static let qwen3 = DecoderFamily(
    name: "qwen3", modelTypes: ["qwen3"], ggufArchitectures: ["qwen3"],
    attentionBias: .configured, window: .someLayers, hasHeadNorms: true,
    defaultHeadDimension: 128, defaultKeyValueHeads: 32, defaultContext: 32768)

  /// Qwen 3 with experts (arXiv:2505.09388).
  static let qwen3Experts = DecoderFamily(
    name: "qwen3_moe", modelTypes: ["qwen3_moe"], ggufArchitectures: ["qwen3moe"],
    attentionBias: .configured, window: .optional, experts: .qwen(hasShared: false),
    hasHeadNorms: true, defaultKeyValueHeads: 4, defaultContext: 32768)

  func describe(_ model: HuggingFaceModel) throws -> ModelDescription {
    try DecoderHuggingFace(model, family: self).describe()
  }

  func describe(_ file: GGUFFile) throws -> ModelDescription {
    try DecoderGGUF(file, family: self).describe()
  }

  /// Settings in `config.json` that are read.
  var knownKeys: Set<String> {
    var keys = HuggingFaceKeys.decoder.union(["mlp_bias", "rope_interleaved"])
    switch window {
    case .none: break
    case .allLayers: keys.formUnion(["sliding_window"])
    case .typedLayers: keys.formUnion(["sliding_window", "layer_types"])
    case .optional: keys.formUnion(["sliding_window", "use_sliding_window", "max_window_layers"])
    case .someLayers:
      keys.formUnion(["sliding_window", "use_sliding_window", "layer_types", "max_window_layers"])
    }
    switch experts {
    case .none: break
    case .mixtral: keys.formUnion(["num_local_experts", "num_experts", "num_experts_per_tok"])
    case .qwen(let hasShared):
      keys.formUnion([
        "num_experts", "num_local_experts", "num_experts_per_tok", "norm_topk_prob",
        "decoder_sparse_step", "mlp_only_layers", "moe_intermediate_size",
      ])
      if hasShared { keys.formUnion(["shared_expert_intermediate_size", "qkv_bias"]) }
    }
    return keys
  }
}
