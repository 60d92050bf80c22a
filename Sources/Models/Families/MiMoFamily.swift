import Kernels
import ModelFormats

/// MiMo-V2 (Xiaomi 2025; transformers `MiMoV2FlashForCausalLM`): layers with a window have sinks, a
/// rotation of their own and twice the key/value heads; values are scaled; experts are scored by
/// sigmoids.
struct MiMoFamily: GGUFModelFamily {
  let modelTypes = ["mimo_v2_flash", "mimo_v2"]
  let ggufArchitectures = ["mimo2"]

  var knownKeys: Set<String> {
    // What those that also see and hear have beside the text model is at the top, as its settings
    // are.
    HuggingFaceKeys.decoder.union(HuggingFaceKeys.otherThings).union([
      "add_full_attention_sink_bias", "add_swa_attention_sink_bias", "attention_chunk_size",
      // Tensors tell.
      "attention_projection_layout",
      "attention_value_scale", "hybrid_block_size", "hybrid_layer_pattern", "layer_types",
      "layernorm_epsilon", "mlp_layer_types", "moe_intermediate_size", "moe_layer_freq",
      "n_group", "n_routed_experts", "n_shared_experts", "norm_topk_prob",
      "num_experts_per_tok", "routed_scaling_factor", "scoring_func", "sliding_window",
      "sliding_window_size", "swa_head_dim", "swa_num_attention_heads",
      "swa_num_key_value_heads", "swa_rope_theta", "swa_v_head_dim", "topk_group", "topk_method",
      "v_head_dim",
    ])
  }

  func describe(_ model: HuggingFaceModel) throws -> ModelDescription {
    try MiMoHuggingFace(model).describe()
  }

  func describe(_ file: GGUFFile) throws -> ModelDescription { try MiMoGGUF(file).describe() }
}

private struct MiMoHuggingFace {
  private typealias Limit = ModelDescription.Limit

  private let model: HuggingFaceModel
  private let sizes: DecoderSizes
  private let epsilon: Double
  private let global: Heads
  private let local: Heads
  private let activation: ModelDescription.Activation
  private let hasBias: Bool
  private let isWindowed: [Bool]
  private let isSparse: [Bool]
  private let window: Int

  /// The heads of one kind of layer.
  private struct Heads {
    var heads: Int
    var keyValueHeads: Int
    var keyDimension: Int
    var valueDimension: Int
    var hasSinks: Bool
  }

  init(_ model: HuggingFaceModel) throws {
    self.model = model
    let config = model.config
    sizes = try DecoderSizes(
      model, vocabulary: 152_576, hidden: 4096, layers: 48, heads: 64, headDimension: 192,
      keyValueHeads: 4, context: 131_072)
    // The first is transformers' name, the second that of the hub.
    epsilon =
      try config.optionalDouble("rms_norm_eps") ?? config.optionalDouble("layernorm_epsilon")
      ?? 1e-5
    try model.require("scoring_func", .string("sigmoid"))
    try model.require("topk_method", .string("noaux_tc"))
    try model.require("n_shared_experts", .int(0))
    let values = try model.size("v_head_dim", Limit.headDimension, default: 128)
    global = Heads(
      heads: sizes.heads, keyValueHeads: sizes.keyValueHeads,
      keyDimension: sizes.headDimension, valueDimension: values,
      hasSinks: try model.flag("add_full_attention_sink_bias", default: false))
    local = Heads(
      heads: try model.size("swa_num_attention_heads", Limit.heads, default: sizes.heads),
      keyValueHeads: try model.size(
        "swa_num_key_value_heads", Limit.heads, default: 2 * sizes.keyValueHeads),
      keyDimension: try model.size(
        "swa_head_dim", Limit.headDimension, default: sizes.headDimension),
      valueDimension: try model.size("swa_v_head_dim", Limit.headDimension, default: values),
      hasSinks: try model.flag("add_swa_attention_sink_bias", default: true))
    activation = try model.activation()
    hasBias = try model.flag("attention_bias", default: false)
    let layers = sizes.layers
    let known = ["full_attention", "sliding_attention"]
    isWindowed =
      try model.layerTypes(layers, known: known).map { $0.map { $0 == known[1] } }
      ?? Self.flags(model, "hybrid_layer_pattern", layers)
      ?? (0..<layers).map { $0 != 0 && ($0 + 1) % 6 != 0 }
    let sparse = try model.layerTypes(layers, key: "mlp_layer_types", known: ["dense", "sparse"])
    isSparse =
      try sparse.map { $0.map { $0 == "sparse" } } ?? Self.flags(model, "moe_layer_freq", layers)
      ?? (0..<layers).map { $0 != 0 }
    // The one counts the query itself, the other does not.
    let others = try config.optionalPositive("sliding_window_size", limit: Limit.context - 1)
    window = try others.map { $0 + 1 } ?? model.size("sliding_window", Limit.context, default: 129)
  }

  /// Zeros and ones, one for each layer.
  private static func flags(
    _ model: HuggingFaceModel, _ key: String, _ layers: Int
  ) throws -> [Bool]? {
    guard let values = try model.config.optionalInts(key) else { return nil }
    guard values.count == layers, values.allSatisfy({ $0 == 0 || $0 == 1 }) else {
      throw model.config.error(.malformed, key, "is not 0 or 1 for each of \(layers) layers")
    }
    return values.map { $0 == 1 }
  }

  func describe() throws -> ModelDescription {
    let rope = HuggingFaceRope(
      model: model, contextLength: sizes.context, defaultBase: 5_000_000, defaultFraction: 0.334)
    let localBase = try model.config.optionalDouble("swa_rope_theta") ?? 10000
    return ModelDescription(
      family: "mimo_v2", vocabularySize: sizes.vocabulary, hiddenSize: sizes.hidden,
      contextLength: sizes.context,
      endOfSequenceIds: try model.endOfSequenceIds(vocabularySize: sizes.vocabulary),
      embedding: .init(weight: model.prefix + "embed_tokens.weight"),
      ropes: [
        try rope.rope(ofLayers: "full_attention", headDimension: global.keyDimension)
          ?? rope.rope(nil, headDimension: global.keyDimension),
        try rope.rope(ofLayers: "sliding_attention", headDimension: local.keyDimension)
          ?? rope.rope(nil, headDimension: local.keyDimension, base: localBase),
      ],
      layers: try (0..<sizes.layers).map(layer),
      finalNorm: norm("\(model.prefix)norm", sizes.hidden),
      output: try model.output(hidden: sizes.hidden, vocabulary: sizes.vocabulary))
  }

  private func norm(_ name: String, _ size: Int) -> ModelDescription.Norm {
    .init(weight: "\(name).weight", epsilon: epsilon, size: size)
  }

  private func layer(_ index: Int) throws -> ModelDescription.Layer {
    let (name, hidden) = ("\(model.prefix)layers.\(index)", sizes.hidden)
    let width = try isSparse[index] ? 0 : model.size("intermediate_size", Limit.hidden)
    return .init(
      mixerNorm: norm("\(name).input_layernorm", hidden),
      mixer: .attention(try attention("\(name).self_attn", isWindowed: isWindowed[index])),
      feedForwardNorm: norm("\(name).post_attention_layernorm", hidden),
      feedForward: try isSparse[index]
        ? .experts(SigmoidExperts(model).describe("\(name).mlp", hidden: hidden, activation))
        : .gated(model.gated("\(name).mlp", activation, hidden: hidden, width: width)))
  }

  private func attention(_ name: String, isWindowed: Bool) throws -> ModelDescription.Attention {
    let (hidden, own) = (sizes.hidden, isWindowed ? local : global)
    let (keys, values) = (own.keyDimension, own.valueDimension)
    // The hub's name, and that of checkpoints which transformers 5 has saved.
    let sinks = ["attention_sink_bias", "sinks"].map { "\(name).\($0)" }
    let scale = try model.config.isNull("attention_value_scale")
      ? 1 : model.config.optionalDouble("attention_value_scale") ?? 0.707
    let inputs = try inputs(name, outputs(isWindowed: isWindowed))
    return .init(
      heads: own.heads, keyValueHeads: own.keyValueHeads, keyDimension: keys,
      valueDimension: values, scale: 1 / Double(keys).squareRoot(),
      window: isWindowed ? window : nil,
      sinks: own.hasSinks ? sinks.first(where: model.hasTensor) ?? sinks[0] : nil,
      rope: isWindowed ? 1 : 0, valueScale: scale == 1 ? nil : scale, query: inputs[0],
      key: inputs[1], value: inputs[2],
      output: model.linear("\(name).o_proj", own.heads * values, hidden))
  }

  /// Queries, keys and values: a matrix each, or one after the other in one.
  private func inputs(
    _ name: String, _ outputs: [Int]
  ) throws -> [ModelDescription.Linear] {
    let fused = "\(name).qkv_proj"
    guard model.hasTensor("\(fused).weight") else {
      return zip(["q_proj", "k_proj", "v_proj"], outputs).map {
        model.linear("\(name).\($0)", hasBias: hasBias, sizes.hidden, $1)
      }
    }
    let total = outputs.reduce(0, +)
    let weight = "\(fused).weight"
    guard let scales = model.scales(of: weight) else {
      return outputs.indices.map { index in
        let start = outputs[..<index].reduce(0, +)
        return model.linear(
          fused, hasBias: hasBias, sizes.hidden, outputs[index],
          rows: .init(
            of: total, [.init(start: start, count: outputs[index], period: 0, repeats: 1)]))
      }
    }
    let parts = try parts()
    let period = total / parts
    return outputs.indices.map { index in
      let start = outputs[..<index].reduce(0, +) / parts
      return .init(
        weight: weight, bias: hasBias ? "\(fused).bias" : nil, inputs: sizes.hidden,
        outputs: outputs[index],
        rows: .init(
          of: total,
          [.init(start: start, count: outputs[index] / parts, period: period, repeats: parts)]),
        scales: scales, scalesPeriod: period)
    }
  }

  /// Published FP8 matrices are cut for several processors: each has its queries, keys and values,
  /// and blocks of scales that begin anew. For how many, only the number of those tells (llama.cpp,
  /// `conversion/mimo.py`), in all layers together.
  private func parts() throws -> Int {
    var fitting = [8, 4, 1]
    for index in 0..<sizes.layers {
      let name = "\(model.prefix)layers.\(index).self_attn.qkv_proj.weight"
      guard let scales = model.scales(of: name) else { continue }
      let stored = try model.shape(of: scales).first ?? 0
      let own = outputs(isWindowed: isWindowed[index])
      let total = own.reduce(0, +)
      fitting.removeAll { parts in
        own.contains { $0 % parts != 0 }
          || stored != BlockScales.blockRows(outputs: total, period: total / parts)
      }
    }
    guard fitting.count == 1, let parts = fitting.first else {
      throw model.config.error(
        .unsupported, "quantization_config",
        "goes with fused FP8 matrices, such as qkv_proj.weight, that "
          + (fitting.isEmpty ? "no number of parts" : "several numbers of parts \(fitting)")
          + " would fit")
    }
    return parts
  }

  /// Rows of queries, keys and values.
  private func outputs(isWindowed: Bool) -> [Int] {
    let own = isWindowed ? local : global
    return [
      own.heads * own.keyDimension, own.keyValueHeads * own.keyDimension,
      own.keyValueHeads * own.valueDimension,
    ]
  }
}

/// Experts that are scored by sigmoids, chosen with a correction within groups, as in DeepSeek V3
/// and MiMo-V2.
struct SigmoidExperts {
  private typealias Limit = ModelDescription.Limit

  private let model: HuggingFaceModel
  private let count: Int
  private let chosen: Int
  private let width: Int
  private let routing: ModelDescription.Routing

  /// - Parameters:
  ///   - scale: `routed_scaling_factor` if it is absent.
  ///   - groups: `n_group` and `topk_group` if they are absent.
  init(
    _ model: HuggingFaceModel, scale: Double = 1, groups: (count: Int, chosen: Int) = (1, 1)
  ) throws {
    self.model = model
    let config = model.config
    count = try model.size("n_routed_experts", Limit.experts, default: 256)
    chosen = try model.size("num_experts_per_tok", count, default: 8)
    width = try model.size("moe_intermediate_size", Limit.hidden, default: 2048)
    let groupCount = try config.isNull("n_group")
      ? 1 : model.size("n_group", Limit.experts, default: groups.count)
    let groupsChosen = try config.isNull("topk_group")
      ? 1 : model.size("topk_group", Limit.experts, default: groups.chosen)
    let factor = try config.isNull("routed_scaling_factor")
      ? 1 : config.optionalDouble("routed_scaling_factor") ?? scale
    routing = .init(
      scoring: .sigmoid,
      groups: groupCount == 1
        ? nil : .init(count: groupCount, chosen: groupsChosen, measure: .greatestTwo),
      isNormalised: try model.flag("norm_topk_prob", default: true), normalisationEpsilon: 1e-20,
      scale: factor)
  }

  func describe(
    _ name: String, hidden: Int, _ activation: ModelDescription.Activation,
    sharedWidth: Int? = nil
  ) -> ModelDescription.Experts {
    let (gate, up, down) = model.experts(
      "\(name).experts", count: count, hidden: hidden, width: width)
    var routing = routing
    routing.correction = "\(name).gate.e_score_correction_bias"
    return .init(
      count: count, chosen: chosen, routing: routing,
      router: model.linear("\(name).gate", hidden, count), activation: activation, gate: gate,
      up: up, down: down,
      shared: sharedWidth.map {
        model.gated("\(name).shared_experts", activation, hidden: hidden, width: width * $0)
      })
  }
}
