import ModelFormats

/// What the families' `config.json` files have in common, in the spellings of transformers 4 and 5.
struct HuggingFaceConfig {
  let config: ConfigObject
  let generationConfig: ConfigObject?

  init(_ folder: HuggingFaceFolder) {
    config = folder.config
    generationConfig = folder.generationConfig
  }

  /// Throws for settings that change the computation in ways that are not supported.
  func refuse(_ keys: [String]) throws {
    for key in keys where config.has(key) {
      throw config.error(.unsupported, key, "is not supported")
    }
  }

  func activation(_ key: String = "hidden_act") throws -> ModelDescription.Activation {
    let name = try config.optionalString(key) ?? "silu"
    switch name {
    case "silu", "swish": return .silu
    case "gelu_pytorch_tanh", "gelu_new": return .geluTanh
    default: throw config.error(.unsupported, key, "\(quoted(name)) is not supported")
    }
  }

  /// Those of `generation_config.json` if it has any, as `generate` of transformers does, else
  /// those of `config.json`.
  func endOfSequenceIds(vocabularySize: Int) throws -> [Int] {
    let ids =
      try generationConfig?.optionalInts("eos_token_id") ?? config.optionalInts("eos_token_id")
      ?? []
    // An id outside the vocabulary can never be generated.
    return Set(ids.filter { $0 >= 0 && $0 < vocabularySize }).sorted()
  }

  /// The rotation of heads of `headDimension`.
  ///
  /// transformers 5 has `rope_parameters` with `rope_theta` and `rope_type`; transformers 4 has
  /// `rope_theta` at the top and `rope_scaling`, whose type is called `rope_type` or, in older
  /// files, `type`.
  ///
  /// - Parameter contextLength: what `original_max_position_embeddings` defaults to.
  func rope(headDimension: Int, contextLength: Int) throws -> ModelDescription.Rope {
    let parameters = try config.optionalObject("rope_parameters")
    let scaling = try parameters ?? config.optionalObject("rope_scaling")
    let base =
      try parameters?.optionalDouble("rope_theta") ?? config.optionalDouble("rope_theta") ?? 10000
    let fraction =
      try parameters?.optionalDouble("partial_rotary_factor")
      ?? config.optionalDouble("partial_rotary_factor") ?? 1
    guard fraction > 0, fraction <= 1 else {
      throw config.error(.limitExceeded, "partial_rotary_factor", "is \(fraction)")
    }
    return ModelDescription.Rope(
      style: .halves, dimensions: Int(Double(headDimension) * fraction), base: base,
      scaling: try scaling.map { try ropeScaling($0, contextLength: contextLength) } ?? .none)
  }

  private func ropeScaling(
    _ parameters: ConfigObject, contextLength: Int
  ) throws -> ModelDescription.Rope.Scaling {
    let key = parameters.has("rope_type") ? "rope_type" : "type"
    let type = try parameters.optionalString(key) ?? "default"
    switch type {
    // Dynamic scaling begins where a sequence exceeds the context, which none does here.
    case "default", "dynamic": return .none
    case "linear": return .linear(factor: try parameters.double("factor"))
    case "llama3":
      return .llama3(
        factor: try parameters.double("factor"),
        lowFrequencyFactor: try parameters.double("low_freq_factor"),
        highFrequencyFactor: try parameters.double("high_freq_factor"),
        originalContextLength: try parameters.optionalDouble("original_max_position_embeddings")
          ?? Double(contextLength))
    default:
      throw parameters.error(
        .unsupported, key,
        "\(quoted(type)) is not supported (default, dynamic, linear and llama3 are)")
    }
  }
}
