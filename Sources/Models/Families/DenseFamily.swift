import ModelFormats

/// Decoders of one shape, of which Llama is the oldest: pre-norm layers of grouped-query attention
/// and a gated feed-forward, no experts. The families differ in the few settings below.
struct DenseFamily: ModelFamily {
  /// Which attention matrices have biases in Hugging Face checkpoints.
  enum AttentionBias: Sendable {
    /// Query, key, value and output if `attention_bias` says so.
    case configured
    /// Query, key and value.
    case queryKeyValue
    case none
  }

  /// Where the size of the attention window comes from in `config.json`.
  enum Window: Sendable {
    case none
    /// `sliding_window` for all layers: 4096 if the key is absent, none if it is null.
    case allLayers
    /// `sliding_window` if `use_sliding_window`, for the layers that `layer_types` calls
    /// `sliding_attention`, or those from `max_window_layers` on.
    case someLayers
  }

  let name: String
  let modelTypes: [String]
  let ggufArchitectures: [String]
  var attentionBias = AttentionBias.none
  var window = Window.none
  /// Queries and keys are normalised head by head.
  var hasHeadNorms = false
  /// `head_dim` if it is absent; nil: hidden size / heads.
  var defaultHeadDimension: Int?
  /// How the GGUF converter leaves the rows of query and key matrices.
  var ggufRopeStyle = ModelDescription.Rope.Style.halves

  /// Llama 2 and 3, SmolLM2 and their like (Touvron et al. 2023, arXiv:2307.09288; transformers
  /// `LlamaForCausalLM`).
  static let llama = DenseFamily(
    name: "llama", modelTypes: ["llama"], ggufArchitectures: ["llama"],
    attentionBias: .configured, ggufRopeStyle: .interleaved)

  /// Mistral 7B (Jiang et al. 2023, arXiv:2310.06825). Its GGUF files have the architecture
  /// `llama`.
  static let mistral = DenseFamily(
    name: "mistral", modelTypes: ["mistral"], ggufArchitectures: [], window: .allLayers)

  /// Qwen 2 and 2.5 (arXiv:2407.10671).
  static let qwen2 = DenseFamily(
    name: "qwen2", modelTypes: ["qwen2"], ggufArchitectures: ["qwen2"],
    attentionBias: .queryKeyValue, window: .someLayers)

  /// Qwen 3 (arXiv:2505.09388).
  static let qwen3 = DenseFamily(
    name: "qwen3", modelTypes: ["qwen3"], ggufArchitectures: ["qwen3"],
    attentionBias: .configured, window: .someLayers, hasHeadNorms: true,
    defaultHeadDimension: 128)

  func describe(_ folder: HuggingFaceFolder) throws -> ModelDescription {
    try DenseHuggingFace(folder, family: self).describe()
  }

  func describe(_ file: GGUFFile) throws -> ModelDescription {
    try DenseGGUF(file, family: self).describe()
  }
}
