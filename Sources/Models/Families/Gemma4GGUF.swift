import ModelFormats

/// A Gemma 4 model's GGUF file (llama.cpp's `gemma4`).
struct Gemma4GGUF {
  private typealias Limit = ModelDescription.Limit

  private let model: GGUFModel
  private let isGlobal: [Bool]
  private let window: Int
  private let heads: [Int]
  private let keyValueHeads: [Int]
  private let dimensions: (global: Int, local: Int)
  private let widths: [Int]
  private let firstShared: Int
  /// P, or 0.
  private let inputSize: Int
  private let experts: GGUFExperts?

  init(_ file: GGUFFile) throws {
    model = try GGUFModel(file)
    let settings = model.settings
    guard let isWindowed = try model.flags("attention.sliding_window_pattern") else {
      throw settings.error(.missing, "attention.sliding_window_pattern", "is missing")
    }
    isGlobal = isWindowed.map { !$0 }
    window = try settings.positive("attention.sliding_window", limit: Limit.context)
    heads = try model.perLayer("attention.head_count")
    keyValueHeads = try model.perLayer("attention.head_count_kv", default: heads)
    func dimension(_ suffix: String) throws -> Int {
      let keys = try settings.positive("attention.key_length\(suffix)", limit: Limit.headDimension)
      let values = try settings.int("attention.value_length\(suffix)")
      guard keys == values else {
        throw settings.error(
          .unsupported, "attention.value_length\(suffix)", "is \(values), keys have \(keys)")
      }
      return keys
    }
    dimensions = (try dimension(""), try dimension("_swa"))
    widths = try model.perLayer("feed_forward_length")
    let shared = try settings.optionalInt("attention.shared_kv_layers") ?? 0
    guard shared >= 0, shared < model.layers else {
      throw settings.error(.limitExceeded, "attention.shared_kv_layers", "is \(shared)")
    }
    firstShared = model.layers - shared
    let size = try settings.optionalInt("embedding_length_per_layer_input") ?? 0
    guard size >= 0, size <= Limit.hidden else {
      throw settings.error(.limitExceeded, "embedding_length_per_layer_input", "is \(size)")
    }
    inputSize = size
    experts = try GGUFExperts(model, GGUFExperts.Rule())
  }

  func describe() throws -> ModelDescription {
    let (settings, hidden) = (model.settings, model.hidden)
    let rope = GGUFRope(model: model)
    // The tensor of factors, which leaves most components of wide heads as they are, is not theirs.
    let local = ModelDescription.Rope(
      style: .halves,
      dimensions: try settings.optionalInt("rope.dimension_count_swa") ?? dimensions.local,
      base: try settings.optionalDouble("rope.freq_base_swa") ?? 10000)
    return try model.describe(
      family: "gemma4",
      embedding: .init(
        weight: "token_embd.weight", multiplier: Double(hidden).squareRoot(),
        perLayer: try inputSize == 0 ? nil : perLayer()),
      ropes: [try rope.rope(.halves, dimensions: dimensions.global), local],
      layers: try (0..<model.layers).map(layer),
      logitCap: try model.cap("final_logit_softcapping"))
  }

  private func perLayer() throws -> ModelDescription.PerLayerEmbedding {
    let (size, hidden) = (inputSize, model.hidden)
    let name = "per_layer_token_embd.weight"
    guard let rows = model.settings.file.tensors.first(where: { $0.name == name })?.shape.first
    else {
      throw FormatError(
        .missing, file: model.settings.file.name, reason: "there is no tensor \(quoted(name))")
    }
    return .init(
      weight: name, rows: rows, size: size, multiplier: Double(size).squareRoot(),
      projection: model.tensors.linear("per_layer_model_proj", hidden, model.layers * size),
      projectionScale: 1 / Double(hidden).squareRoot(),
      norm: model.tensors.norm("per_layer_proj_norm", size), scale: 1 / 2.0.squareRoot())
  }

  private func layer(_ index: Int) throws -> ModelDescription.Layer {
    let (name, hidden, tensors) = ("blk.\(index)", model.hidden, model.tensors)
    let gated = tensors.gated(name, .geluTanh, hidden: hidden, width: widths[index])
    let scalar = "\(name).layer_output_scale.weight"
    return .init(
      mixerNorm: tensors.norm("\(name).attn_norm", hidden),
      mixer: .attention(try attention(name, index)),
      mixerOutputNorm: tensors.norm("\(name).post_attention_norm", hidden),
      feedForwardNorm: tensors.norm("\(name).ffn_norm", hidden),
      feedForward: both(name, gated, width: widths[index]) ?? .gated(gated),
      feedForwardOutputNorm: tensors.norm("\(name).post_ffw_norm", hidden),
      perLayerInput: inputSize == 0
        ? nil
        : .init(
          gate: tensors.linear("\(name).inp_gate", hidden, inputSize), activation: .geluTanh,
          projection: tensors.linear("\(name).proj", inputSize, hidden),
          norm: tensors.norm("\(name).post_norm", hidden)),
      scalar: model.has(scalar) ? scalar : nil)
  }

  /// nil for a layer without experts.
  private func both(
    _ name: String, _ gated: ModelDescription.GatedFeedForward, width: Int
  ) -> ModelDescription.FeedForward? {
    guard let experts, model.has("\(name).ffn_gate_inp.weight") else { return nil }
    let (tensors, hidden) = (model.tensors, model.hidden)
    var own = experts.experts(name, width: width, .geluTanh)
    let scales = "\(name).ffn_down_exps.scale"
    if model.has(scales) { own.routing.expertScales = scales }
    let router = tensors.norm("\(name).ffn_gate_inp", hidden)
    return .both(
      .init(
        gated: gated, gatedOutputNorm: tensors.norm("\(name).post_ffw_norm_1", hidden),
        routerNorm: .init(
          weight: "\(name).ffn_gate_inp.scale", epsilon: router.epsilon, size: hidden,
          scale: 1 / Double(hidden).squareRoot()),
        expertsNorm: tensors.norm("\(name).pre_ffw_norm_2", hidden), experts: own,
        expertsOutputNorm: tensors.norm("\(name).post_ffw_norm_2", hidden)))
  }

  private func attention(_ name: String, _ index: Int) throws -> ModelDescription.Attention {
    let (tensors, hidden) = (model.tensors, model.hidden)
    let dimension = isGlobal[index] ? dimensions.global : dimensions.local
    let (queries, keys) = (heads[index] * dimension, keyValueHeads[index] * dimension)
    var shared: Int?
    if index >= firstShared {
      // The last of the same kind that has keys and values of its own.
      shared = (0..<firstShared).last { isGlobal[$0] == isGlobal[index] }
      guard shared != nil else {
        throw model.settings.error(
          .malformed, "attention.shared_kv_layers", "leaves no layer to share keys with")
      }
    }
    let hasOwn = shared == nil
    // Without a matrix of their own, values are the keys.
    let isFused = model.has("\(name).attn_qkv.weight")
    let hasValues = isFused || model.has("\(name).attn_v.weight")
    let inputs = isFused
      ? tensors.queryKeyValue(name, hidden, [queries, keys, keys])
      : [
        tensors.linear("\(name).attn_q", hidden, queries),
        tensors.linear("\(name).attn_k", hidden, keys),
        tensors.linear("\(name).attn_v", hidden, keys),
      ]
    let queryNorm = tensors.norm("\(name).attn_q_norm", dimension)
    return .init(
      heads: heads[index], keyValueHeads: keyValueHeads[index], keyDimension: dimension,
      valueDimension: dimension, scale: 1, window: isGlobal[index] ? nil : window,
      rope: isGlobal[index] ? 0 : 1, queryNorm: queryNorm,
      keyNorm: hasOwn ? tensors.norm("\(name).attn_k_norm", dimension) : nil,
      valueNorm: hasOwn ? .init(weight: nil, epsilon: queryNorm.epsilon, size: dimension) : nil,
      query: inputs[0], key: hasOwn ? inputs[1] : nil,
      value: hasOwn && hasValues ? inputs[2] : nil, sharedLayer: shared,
      output: tensors.linear("\(name).attn_output", queries, hidden))
  }
}
