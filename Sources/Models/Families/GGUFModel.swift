import ModelFormats

/// What the GGUF files of all families have in common: sizes, and tensors by llama.cpp's names.
struct GGUFModel {
  private typealias Limit = ModelDescription.Limit

  let settings: GGUFSettings
  let tensors: DecoderGGUFTensors
  let vocabulary: Int
  let hidden: Int
  let layers: Int
  let context: Int
  /// Those of the file's blocks, some of which may foresee more than the next token: they come
  /// last, and are not used.
  private let blocks: Int

  /// - Throws: `FormatError`.
  init(_ file: GGUFFile, hasHeadNorms: Bool = false) throws {
    let architecture = try GGUFSettings(file, architecture: "general").string("architecture")
    settings = GGUFSettings(file, architecture: architecture)
    for key in ["logit_scale", "residual_scale", "embedding_scale", "attention.scale"]
    where settings.has(key) {
      throw settings.error(.unsupported, key, "is not supported")
    }
    tensors = try DecoderGGUFTensors(
      settings, names: Set(file.tensors.map(\.name)), hasHeadNorms: hasHeadNorms)
    hidden = try settings.positive("embedding_length", limit: Limit.hidden)
    blocks = try settings.positive("block_count", limit: Limit.layers)
    let more = try settings.optionalInt("nextn_predict_layers") ?? 0
    guard more >= 0, more < blocks else {
      throw settings.error(.limitExceeded, "nextn_predict_layers", "is \(more)")
    }
    layers = blocks - more
    vocabulary = try settings.vocabularySize()
    context = try settings.positive("context_length", limit: Limit.context)
  }

  func has(_ tensor: String) -> Bool { tensors.names.contains(tensor) }

  /// One value a layer, from 1 to the limit of heads and widths.
  func perLayer(_ key: String, default defaultValue: [Int]? = nil) throws -> [Int] {
    guard let all = try settings.optionalPerLayer(key, layers: blocks) ?? defaultValue else {
      throw settings.error(.missing, key, "is missing")
    }
    let values = Array(all.prefix(layers))
    for value in values where value < 1 || value > Limit.hidden {
      throw settings.error(.limitExceeded, key, "is \(value)")
    }
    return values
  }

  /// One flag a layer; nil where the key is missing.
  func flags(_ key: String) throws -> [Bool]? {
    try settings.optionalFlags(key, layers: blocks).map { Array($0.prefix(layers)) }
  }

  func describe(
    family: String, embedding: ModelDescription.Embedding? = nil, ropes: [ModelDescription.Rope],
    layers: [ModelDescription.Layer], logitCap: Double? = nil
  ) throws -> ModelDescription {
    ModelDescription(
      family: family, vocabularySize: vocabulary, hiddenSize: hidden, contextLength: context,
      endOfSequenceIds: try settings.endOfSequenceIds(vocabulary),
      embedding: embedding ?? .init(weight: "token_embd.weight"), ropes: ropes, layers: layers,
      finalNorm: tensors.norm("output_norm", hidden),
      output: tensors.output(hidden: hidden, vocabulary: vocabulary), logitCap: logitCap)
  }

  /// Zero means none.
  func cap(_ key: String, _ fallback: Double? = nil) throws -> Double? {
    let value = try settings.optionalDouble(key) ?? fallback
    return value == 0 ? nil : value
  }
}

/// A rotation's settings in a GGUF file.
struct GGUFRope {
  let model: GGUFModel
  /// Whether the file gives its multiplier of the logarithm times 0.1.
  var hasSmallLogMultiplier = false

  private var settings: GGUFSettings { model.settings }

  /// - Parameters:
  ///   - style: how the converter leaves the rows of query and key matrices.
  ///   - base: nil: as the file says.
  func rope(
    _ style: ModelDescription.Rope.Style, dimensions: Int, base: Double? = nil
  ) throws -> ModelDescription.Rope {
    let base = try base ?? settings.optionalDouble("rope.freq_base") ?? 10000
    var rope = ModelDescription.Rope(style: style, dimensions: dimensions, base: base)
    let type = try settings.optionalString("rope.scaling.type") ?? "linear"
    // `rope.scale_linear` is the spelling of old files; 0 means none.
    let stated =
      try settings.optionalDouble("rope.scaling.factor")
      ?? settings.optionalDouble("rope.scale_linear") ?? 0
    let factor = stated == 0 ? 1 : stated
    let tensor = model.has("rope_freqs.weight") ? "rope_freqs.weight" : nil
    if let tensor { rope.scaling = .tensor(name: tensor) }
    switch type {
    case "none": break
    case "linear":
      guard factor != 1 else { break }
      try refuse(tensor, with: type)
      rope.scaling = .linear(factor: factor)
    case "yarn":
      try refuse(tensor, with: type)
      rope.scaling = .yarn(
        factor: factor, fast: try settings.optionalDouble("rope.scaling.yarn_beta_fast") ?? 32,
        slow: try settings.optionalDouble("rope.scaling.yarn_beta_slow") ?? 1,
        originalContextLength: try originalContext(), isTruncated: true)
      rope.attentionFactor = try attentionFactor(factor)
    default:
      throw settings.error(
        .unsupported, "rope.scaling.type",
        "\(quoted(type)) is not supported (none, linear and yarn are)")
    }
    return rope
  }

  private func refuse(_ tensor: String?, with type: String) throws {
    guard let tensor else { return }
    throw settings.error(
      .unsupported, "rope.scaling.type", "\(quoted(type)) together with \(tensor)")
  }

  /// The context that the model was made for before it was stretched.
  func originalContext() throws -> Double {
    try settings.optionalDouble("rope.scaling.original_context_length") ?? Double(model.context)
  }

  /// transformers' `mscale_all_dim`; 0 where the file has none.
  private func logMultiplier() throws -> Double {
    let stored = try settings.optionalDouble("rope.scaling.yarn_log_multiplier") ?? 0
    return hasSmallLogMultiplier ? stored * 10 : stored
  }

  /// As llama.cpp has it (`llama-context.cpp`), unless the file gives it: transformers' `mscale` is
  /// not in the file, and taken for 1, or with the small multiplier for `mscale_all_dim`.
  private func attentionFactor(_ factor: Double) throws -> Double {
    if let stated = try settings.optionalDouble("rope.scaling.yarn_attn_factor") { return stated }
    let all = try logMultiplier()
    let implied = HuggingFaceRope.magnitude(factor, 1)
    if all == 0 { return implied }
    return hasSmallLogMultiplier ? 1 : implied / HuggingFaceRope.magnitude(factor, all)
  }

  /// What scores of latent attention are multiplied with besides.
  func latentScale() throws -> Double {
    guard try settings.optionalString("rope.scaling.type") == "yarn" else { return 1 }
    let all = try logMultiplier()
    guard all != 0 else { return 1 }
    let scale = HuggingFaceRope.magnitude(try settings.double("rope.scaling.factor"), all)
    return scale * scale
  }
}
