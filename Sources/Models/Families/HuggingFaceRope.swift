import Kernels
import ModelFormats

/// A rotation's settings in `config.json`.
///
/// transformers 5 has `rope_parameters` with `rope_theta` and `rope_type`, one for each type of
/// layer where they differ; transformers 4 has `rope_theta` at the top and `rope_scaling`, whose
/// type is called `rope_type` or, in older files, `type`.
struct HuggingFaceRope {
  let model: HuggingFaceModel
  /// What `original_max_position_embeddings` defaults to.
  let contextLength: Int
  /// `rope_theta` if it is absent.
  var defaultBase = 10000.0
  /// `partial_rotary_factor` if it is absent.
  var defaultFraction = 1.0
  var style = ModelDescription.Rope.Style.halves

  /// The only rotation of heads of `headDimension`.
  func rope(headDimension: Int) throws -> ModelDescription.Rope {
    let parameters = try model.config.optionalObject("rope_parameters")
    let scaling = try model.config.optionalObject("rope_scaling")
    return try rope(scaling ?? parameters, headDimension: headDimension)
  }

  /// The rotation of one type of layer; nil where parameters are not given by type.
  func rope(
    ofLayers type: String, headDimension: Int
  ) throws -> ModelDescription.Rope? {
    guard let all = try model.config.optionalObject("rope_parameters"),
      let parameters = try all.optionalObject(type)
    else { return nil }
    return try rope(parameters, headDimension: headDimension)
  }

  /// - Parameter parameters: nil: plain.
  func rope(
    _ parameters: ConfigObject?, headDimension: Int, base: Double? = nil
  ) throws -> ModelDescription.Rope {
    try parameters?.refuseUnknown(Self.keys)
    let config = model.config
    let base =
      try base ?? parameters?.optionalDouble("rope_theta") ?? config.optionalDouble("rope_theta")
      ?? defaultBase
    let fraction =
      try parameters?.optionalDouble("partial_rotary_factor")
      ?? config.optionalDouble("partial_rotary_factor") ?? defaultFraction
    guard fraction > 0, fraction <= 1 else {
      throw config.error(.limitExceeded, "partial_rotary_factor", "is \(fraction)")
    }
    var rope = ModelDescription.Rope(
      style: style, dimensions: Int(Double(headDimension) * fraction), base: base)
    guard let parameters else { return rope }
    let key = parameters.has("rope_type") ? "rope_type" : "type"
    let type = try parameters.optionalString(key) ?? "default"
    switch type {
    // Dynamic scaling begins where a sequence exceeds the context, which none does here.
    case "default", "dynamic": break
    case "linear": rope.scaling = .linear(factor: try parameters.double("factor"))
    case "llama3":
      rope.scaling = .llama3(
        factor: try parameters.double("factor"),
        lowFrequencyFactor: try parameters.double("low_freq_factor"),
        highFrequencyFactor: try parameters.double("high_freq_factor"),
        originalContextLength: try original(parameters))
    case "yarn": try yarn(parameters, &rope)
    case "proportional":
      rope.dimensions = headDimension
      rope.scaling = .proportional(
        rotated: Int(fraction * Double(headDimension)) / 2,
        factor: try parameters.optionalDouble("factor") ?? 1)
    default:
      throw parameters.error(
        .unsupported, key,
        "\(quoted(type)) is not supported (default, dynamic, linear, llama3, yarn and "
          + "proportional are)")
    }
    return rope
  }

  private func original(_ parameters: ConfigObject) throws -> Double {
    let key = "original_max_position_embeddings"
    return try model.config.optionalDouble(key) ?? parameters.optionalDouble(key)
      ?? Double(contextLength)
  }

  private func yarn(_ parameters: ConfigObject, _ rope: inout ModelDescription.Rope) throws {
    let original = try original(parameters)
    let factor = try parameters.optionalDouble("factor") ?? Double(contextLength) / original
    func positive(_ key: String, _ fallback: Double) throws -> Double {
      let value = try parameters.optionalDouble(key) ?? fallback
      return value == 0 ? fallback : value
    }
    rope.scaling = .yarn(
      factor: factor, fast: try positive("beta_fast", 32), slow: try positive("beta_slow", 1),
      originalContextLength: original,
      isTruncated: try parameters.optionalBool("truncate") ?? true)
    let scale = try parameters.optionalDouble("mscale") ?? 0
    let scaleAll = try parameters.optionalDouble("mscale_all_dim") ?? 0
    let implied =
      scale != 0 && scaleAll != 0
      ? Self.magnitude(factor, scale) / Self.magnitude(factor, scaleAll)
      : Self.magnitude(factor, 1)
    rope.attentionFactor = try parameters.optionalDouble("attention_factor") ?? implied
  }

  /// transformers' `get_mscale`.
  static func magnitude(_ factor: Double, _ scale: Double) -> Double {
    factor <= 1 ? 1 : 0.1 * scale * ExactMath.log(factor) + 1
  }

  /// What scores of latent attention are multiplied with besides (`yarn_apply_mscale`).
  func latentScale() throws -> Double {
    guard
      let parameters = try model.config.optionalObject("rope_scaling")
        ?? model.config.optionalObject("rope_parameters")
    else { return 1 }
    let type = try parameters.optionalString(parameters.has("rope_type") ? "rope_type" : "type")
    let all = try parameters.optionalDouble("mscale_all_dim") ?? 0
    guard type ?? "default" != "default", all != 0 else { return 1 }
    let scale = Self.magnitude(try parameters.double("factor"), all)
    return scale * scale
  }

  private static let keys: Set<String> = [
    "rope_type", "type", "rope_theta", "factor", "low_freq_factor", "high_freq_factor",
    "original_max_position_embeddings", "max_position_embeddings", "partial_rotary_factor",
    "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate",
    "llama_4_scaling_beta",
    // Positions of text are the same in all three parts that images distinguish.
    "mrope_section", "mrope_interleaved",
    // Named in old files that have no use for them.
    "finetuned", "apply_yarn_scaling",
  ]
}
