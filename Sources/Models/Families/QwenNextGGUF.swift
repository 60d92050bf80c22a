import ModelFormats

/// A GGUF file of Qwen 3-Next or 3.5 (llama.cpp's `qwen3next`, `qwen35` and `qwen35moe`). The
/// converter has added the one to the weights of norms.
struct QwenNextGGUF {
  private typealias Limit = ModelDescription.Limit

  private let model: GGUFModel
  private let family: QwenNextFamily
  private let linear: LinearShape

  init(_ file: GGUFFile, _ family: QwenNextFamily) throws {
    self.family = family
    model = try GGUFModel(file, hasHeadNorms: true)
    let settings = model.settings
    let valueHeads = try settings.positive("ssm.time_step_rank", limit: Limit.heads)
    let inner = try settings.positive("ssm.inner_size", limit: Limit.hidden)
    linear = LinearShape(
      keyHeads: try settings.positive("ssm.group_count", limit: Limit.heads),
      valueHeads: valueHeads,
      keyDimension: try settings.positive("ssm.state_size", limit: Limit.headDimension),
      valueDimension: inner / valueHeads,
      taps: try settings.positive("ssm.conv_kernel", limit: Limit.taps))
    guard linear.valueHeads % linear.keyHeads == 0, inner % valueHeads == 0, inner >= valueHeads
    else {
      throw settings.error(
        .malformed, "ssm.time_step_rank",
        "\(valueHeads) is not a multiple of ssm.group_count, or no divisor of ssm.inner_size")
    }
  }

  func describe() throws -> ModelDescription {
    let settings = model.settings
    let heads = try settings.positive("attention.head_count", limit: Limit.heads)
    let keyValueHeads = try model.perLayer("attention.head_count_kv", default: nil)
    let dimension = try settings.headDimension(hidden: model.hidden, heads: heads)
    let interval = try settings.optionalInt("full_attention_interval") ?? 4
    guard interval >= 1 else {
      throw settings.error(.limitExceeded, "full_attention_interval", "is \(interval)")
    }
    let isLinear =
      try model.flags("attention.recurrent_layers")
      ?? (0..<model.layers).map { ($0 + 1) % interval != 0 }
    let experts = try family.experts == nil
      ? nil : GGUFExperts(model, GGUFExperts.Rule(hasSharedGate: true))
    let widths = try experts == nil ? model.perLayer("feed_forward_length") : []
    let rotated = try settings.positive("rope.dimension_count", limit: dimension)
    let tensors = model.tensors
    return try model.describe(
      family: family.name,
      ropes: [try GGUFRope(model: model).rope(.halves, dimensions: rotated)],
      layers: try (0..<model.layers).map { index in
        let name = "blk.\(index)"
        return .init(
          mixerNorm: tensors.norm("\(name).attn_norm", model.hidden),
          mixer: isLinear[index]
            ? .linear(linearAttention(name))
            : .attention(attention(name, heads, keyValueHeads[index], dimension)),
          feedForwardNorm: tensors.norm("\(name).post_attention_norm", model.hidden),
          feedForward: try experts?.describe(name, width: 0)
            ?? .gated(tensors.gated(name, .silu, hidden: model.hidden, width: widths[index])))
      })
  }

  /// Head by head, queries and their gates are one matrix.
  private func attention(
    _ name: String, _ heads: Int, _ keyValueHeads: Int, _ dimension: Int
  ) -> ModelDescription.Attention {
    let keys = keyValueHeads * dimension
    let inputs = model.tensors.queryKeyValue(
      name, model.hidden, [2 * heads * dimension, keys, keys])
    func half(_ start: Int) -> ModelDescription.Linear {
      var half = inputs[0]
      half.outputs = heads * dimension
      // In a fused tensor they come first.
      half.rows = .init(
        of: half.rows?.of ?? 2 * heads * dimension,
        [.init(start: start, count: dimension, period: 2 * dimension, repeats: heads)])
      return half
    }
    var attention = model.tensors.attention(
      name, [half(0), inputs[1], inputs[2]], hidden: model.hidden, heads: heads,
      keyValueHeads: keyValueHeads, dimension: dimension,
      scale: 1 / Double(dimension).squareRoot())
    attention.gate = half(dimension)
    return attention
  }

  private func linearAttention(_ name: String) -> ModelDescription.LinearAttention {
    let tensors = model.tensors
    let inputs = linear.inputs(
      isGrouped: model.has("\(name).ssm_in.weight"), isSmallGrouped: family.hasGroupedInputs
    ) {
      matrix, outputs, rows in
      let own =
        switch matrix {
        case .joint: "ssm_in"
        case .mixed: "attn_qkv"
        case .gate: "attn_gate"
        case .jointSmall: "ssm_ba"
        case .learning: "ssm_beta"
        case .decay: "ssm_alpha"
        }
      return tensors.linear("\(name).\(own)", model.hidden, outputs, rows: rows)
    }
    return .init(
      keyHeads: linear.keyHeads, valueHeads: linear.valueHeads,
      // The converter has put the value heads of all first key heads first, and so on.
      areValueHeadsTiled: !family.hasGroupedInputs && linear.valueHeads != linear.keyHeads
        ? true : nil,
      keyDimension: linear.keyDimension, valueDimension: linear.valueDimension,
      taps: linear.taps, mixed: inputs.mixed,
      convolution: .init("\(name).ssm_conv1d.weight", [linear.channels, linear.taps]),
      decay: inputs.decay, decayRate: "\(name).ssm_a", isRateLogarithm: false,
      decayBias: "\(name).ssm_dt.bias", learning: inputs.learning, gate: inputs.gate,
      norm: tensors.norm("\(name).ssm_norm", linear.valueDimension),
      output: tensors.linear(
        "\(name).ssm_out", linear.valueHeads * linear.valueDimension, model.hidden))
  }
}
