import ModelFormats

/// The tensors of a GGUF file by llama.cpp's names (`gguf-py`, `constants.py`).
struct DecoderGGUFTensors {
  let names: Set<String>
  private let epsilon: Double
  private let hasHeadNorms: Bool

  init(_ settings: GGUFSettings, names: Set<String>, hasHeadNorms: Bool) throws {
    (self.names, self.hasHeadNorms) = (names, hasHeadNorms)
    epsilon = try settings.double("attention.layer_norm_rms_epsilon")
  }

  /// - Parameter rows: which of the tensor's rows make up the matrix; nil: all.
  func linear(
    _ name: String, _ inputs: Int, _ outputs: Int,
    rows: ModelDescription.RowSelection? = nil
  ) -> ModelDescription.Linear {
    .init(
      weight: "\(name).weight", bias: names.contains("\(name).bias") ? "\(name).bias" : nil,
      inputs: inputs, outputs: outputs, rows: rows)
  }

  /// Matrices of one input: each in a tensor of its own, or, where there is the fused tensor, one
  /// after the other in that.
  func linears(
    _ matrices: [(name: String, outputs: Int)], fused: String, _ inputs: Int
  ) -> [ModelDescription.Linear] {
    guard names.contains("\(fused).weight") else {
      return matrices.map { linear($0.name, inputs, $0.outputs) }
    }
    let total = matrices.reduce(0) { $0 + $1.outputs }
    var start = 0
    return matrices.map { matrix in
      defer { start += matrix.outputs }
      return linear(
        fused, inputs, matrix.outputs,
        rows: .init(
          of: total, [.init(start: start, count: matrix.outputs, period: 0, repeats: 1)]))
    }
  }

  func norm(_ name: String, _ size: Int) -> ModelDescription.Norm {
    .init(weight: "\(name).weight", epsilon: epsilon, size: size)
  }

  /// The embedding where there is no output matrix.
  func output(hidden: Int, vocabulary: Int) -> ModelDescription.Linear {
    let name = names.contains("output.weight") ? "output.weight" : "token_embd.weight"
    return .init(weight: name, inputs: hidden, outputs: vocabulary)
  }

  func attention(
    _ name: String, hidden: Int, heads: Int, keyValueHeads: Int, dimension: Int, scale: Double
  ) -> ModelDescription.Attention {
    let keys = keyValueHeads * dimension
    return attention(
      name, queryKeyValue(name, hidden, [heads * dimension, keys, keys]), hidden: hidden,
      heads: heads, keyValueHeads: keyValueHeads, dimension: dimension, scale: scale)
  }

  /// - Parameter inputs: queries, keys and values.
  func attention(
    _ name: String, _ inputs: [ModelDescription.Linear], hidden: Int, heads: Int,
    keyValueHeads: Int, dimension: Int, scale: Double
  ) -> ModelDescription.Attention {
    .init(
      heads: heads, keyValueHeads: keyValueHeads, keyDimension: dimension,
      valueDimension: dimension, scale: scale, rope: 0,
      queryNorm: hasHeadNorms ? norm("\(name).attn_q_norm", dimension) : nil,
      keyNorm: hasHeadNorms ? norm("\(name).attn_k_norm", dimension) : nil, query: inputs[0],
      key: inputs[1], value: inputs[2],
      output: linear("\(name).attn_output", heads * dimension, hidden))
  }

  /// Queries, keys and values.
  func queryKeyValue(
    _ name: String, _ hidden: Int, _ outputs: [Int]
  ) -> [ModelDescription.Linear] {
    linears(
      zip(["attn_q", "attn_k", "attn_v"], outputs).map { ("\(name).\($0)", $1) },
      fused: "\(name).attn_qkv", hidden)
  }

  /// - Parameter suffix: of the three matrices, such as `_shexp`.
  func gated(
    _ name: String, suffix: String = "", _ activation: ModelDescription.Activation, hidden: Int,
    width: Int
  ) -> ModelDescription.GatedFeedForward {
    .init(
      activation: activation, gate: linear("\(name).ffn_gate\(suffix)", hidden, width),
      up: linear("\(name).ffn_up\(suffix)", hidden, width),
      down: linear("\(name).ffn_down\(suffix)", width, hidden))
  }

  /// The matrices of experts: in one tensor, gates and ups together or apart, or, in old files,
  /// each in its own.
  func experts(
    _ name: String, count: Int, hidden: Int, width: Int
  ) -> (
    gate: ModelDescription.MatrixStack, up: ModelDescription.MatrixStack,
    down: ModelDescription.MatrixStack
  ) {
    let down = experts("\(name).ffn_down", count, width, hidden)
    let fused = "\(name).ffn_gate_up_exps.weight"
    guard names.contains(fused) else {
      return (
        experts("\(name).ffn_gate", count, hidden, width),
        experts("\(name).ffn_up", count, hidden, width), down
      )
    }
    func half(_ start: Int) -> ModelDescription.MatrixStack {
      .init(
        .stacked(
          weight: fused, scales: nil, shape: [count, 2 * width, hidden], start: start,
          period: 2 * width),
        count: count, outputs: width, inputs: hidden)
    }
    return (half(0), half(width), down)
  }

  private func experts(
    _ name: String, _ count: Int, _ inputs: Int, _ outputs: Int
  ) -> ModelDescription.MatrixStack {
    let stacked = "\(name)_exps.weight"
    let storage: ModelDescription.MatrixStack.Storage =
      names.contains(stacked) || !names.contains("\(name).0.weight")
      ? .stacked(
        weight: stacked, scales: nil, shape: [count, outputs, inputs], start: 0, period: outputs)
      : .separate(prefix: "\(name).", suffix: ".weight", scales: nil)
    return .init(storage, count: count, outputs: outputs, inputs: inputs)
  }
}

/// The experts of a GGUF file.
struct GGUFExperts {
  private typealias Limit = ModelDescription.Limit

  private let model: GGUFModel
  private let count: Int
  private let chosen: Int
  private let width: Int?
  /// Of the expert that every token goes through.
  private let sharedWidth: Int?
  private let hasSharedGate: Bool
  private let scoring: ModelDescription.Routing.Scoring?
  private let isNormalised: Bool
  private let groups: (count: Int, chosen: Int)?
  private let scale: Double?

  /// What the file leaves open.
  struct Rule {
    /// The width of the expert for all is a setting of its own, and it has a gate; else it is that
    /// of `expert_shared_count` experts.
    var hasSharedGate = false
    /// nil: as `expert_gating_func` says, else sigmoids where there is a correction.
    var scoring: ModelDescription.Routing.Scoring? = .softmax
    /// Whether weights are divided by their sum where `expert_weights_norm` is missing.
    var isNormalisedByDefault = true
  }

  /// nil for a file without experts.
  ///
  /// - Parameter rule: of the family; files of the architecture `llama` may have experts though it
  ///   names none.
  init?(_ model: GGUFModel, _ rule: DecoderFamily.Experts) throws {
    var hasShared = false
    if case .qwen(let shared) = rule { hasShared = shared }
    try self.init(model, Rule(hasSharedGate: hasShared, isNormalisedByDefault: !hasShared))
  }

  /// nil for a file without experts.
  init?(_ model: GGUFModel, _ rule: Rule) throws {
    let settings = model.settings
    guard let count = try settings.optionalInt("expert_count"), count != 0 else { return nil }
    self.model = model
    self.count = try settings.positive("expert_count", limit: Limit.experts)
    chosen = try settings.positive("expert_used_count", limit: count)
    width = try settings.has("expert_feed_forward_length")
      ? model.perLayer("expert_feed_forward_length")[0] : nil
    hasSharedGate = rule.hasSharedGate
    let shared = try settings.optionalInt("expert_shared_count") ?? 0
    guard shared >= 0, shared <= Limit.experts else {
      throw settings.error(.limitExceeded, "expert_shared_count", "is \(shared)")
    }
    sharedWidth =
      try hasSharedGate
      ? settings.positive("expert_shared_feed_forward_length", limit: Limit.hidden)
      : shared == 0 ? nil : shared * (width ?? 0)
    // As llama.cpp computes these architectures, unless the file says so.
    isNormalised = try settings.optionalBool("expert_weights_norm") ?? rule.isNormalisedByDefault
    let scale = try settings.optionalDouble("expert_weights_scale") ?? 0
    self.scale = scale == 0 || scale == 1 ? nil : scale
    scoring = try rule.scoring ?? Self.scoring(settings)
    groups = try Self.groups(settings, experts: count)
  }

  /// Whether experts are chosen with a correction, in the layers that have any.
  var hasCorrection: Bool {
    (0..<model.layers).contains { correction("blk.\($0)") != nil }
  }

  private func correction(_ name: String) -> String? {
    ["exp_probs_b.bias", "exp_probs_b"].map { "\(name).\($0)" }.first(where: model.has)
  }

  private static func scoring(
    _ settings: GGUFSettings
  ) throws -> ModelDescription.Routing.Scoring? {
    switch try settings.optionalInt("expert_gating_func") {
    case nil, 0: return nil
    case 1: return .softmax
    case 2: return .sigmoid
    case let other?:
      throw settings.error(.unsupported, "expert_gating_func", "is \(other)")
    }
  }

  private static func groups(
    _ settings: GGUFSettings, experts: Int
  ) throws -> (count: Int, chosen: Int)? {
    guard let count = try settings.optionalInt("expert_group_count"), count > 1 else { return nil }
    return (
      try settings.positive("expert_group_count", limit: experts),
      try settings.positive("expert_group_used_count", limit: count)
    )
  }

  /// The experts of a layer.
  ///
  /// - Parameter width: where the file does not give it on its own.
  func describe(_ name: String, width: Int) throws -> ModelDescription.FeedForward {
    .experts(experts(name, width: width, .silu))
  }

  /// The experts of a layer.
  func experts(
    _ name: String, width: Int, _ activation: ModelDescription.Activation
  ) -> ModelDescription.Experts {
    let (tensors, hidden) = (model.tensors, model.hidden)
    let correction = correction(name)
    let scoring = scoring ?? (correction == nil ? .softmax : .sigmoid)
    let (gate, up, down) = tensors.experts(
      name, count: count, hidden: hidden, width: self.width ?? width)
    return .init(
      count: count, chosen: chosen,
      routing: .init(
        scoring: scoring, correction: correction,
        groups: groups.map {
          .init(
            count: $0.count, chosen: $0.chosen,
            measure: scoring == .sigmoid ? .greatestTwo : .greatest)
        },
        isNormalised: isNormalised, normalisationEpsilon: scoring == .sigmoid ? 1e-20 : nil,
        scale: scale),
      router: tensors.linear("\(name).ffn_gate_inp", hidden, count), activation: activation,
      gate: gate, up: up, down: down,
      shared: sharedWidth.map {
        tensors.gated(name, suffix: "_shexp", activation, hidden: hidden, width: $0)
      },
      sharedGate: hasSharedGate ? tensors.linear("\(name).ffn_gate_inp_shexp", hidden, 1) : nil)
  }
}
