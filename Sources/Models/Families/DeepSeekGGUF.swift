import ModelFormats

/// A DeepSeek V2 or V3 model's GGUF file (llama.cpp's `deepseek2`).
struct DeepSeekGGUF {
  private typealias Limit = ModelDescription.Limit

  private let model: GGUFModel
  private let heads: Int
  private let plain: Int
  private let rotated: Int
  private let valueDimension: Int
  private let latent: Int
  private let queryRank: Int?

  init(_ file: GGUFFile) throws {
    model = try GGUFModel(file)
    let settings = model.settings
    let growth = try settings.optionalDouble("attention.temperature_scale") ?? 0
    guard growth == 0 else {
      throw settings.error(.unsupported, "attention.temperature_scale", "is \(growth)")
    }
    heads = try settings.positive("attention.head_count", limit: Limit.heads)
    rotated = try settings.positive("rope.dimension_count", limit: Limit.headDimension)
    // Old files have no absorbed matrices, and give the heads' own sizes under the plain names.
    func size(_ key: String) throws -> Int {
      try settings.positive(
        settings.has(key + "_mla") ? key + "_mla" : key, limit: Limit.headDimension)
    }
    let keys = try size("attention.key_length")
    guard keys > rotated else {
      throw settings.error(
        .malformed, "attention.key_length", "is \(keys), of which \(rotated) are rotated")
    }
    plain = keys - rotated
    valueDimension = try size("attention.value_length")
    latent = try settings.positive("attention.kv_lora_rank", limit: Limit.headDimension)
    queryRank = try model.has("blk.0.attn_q_a.weight")
      ? settings.positive("attention.q_lora_rank", limit: Limit.hidden) : nil
  }

  func describe() throws -> ModelDescription {
    let rope = GGUFRope(model: model, hasSmallLogMultiplier: true)
    let scale = try rope.latentScale() / Double(plain + rotated).squareRoot()
    let experts = try GGUFExperts(
      model, GGUFExperts.Rule(scoring: nil, isNormalisedByDefault: false))
    let widths = try model.perLayer("feed_forward_length")
    let (tensors, hidden) = (model.tensors, model.hidden)
    return try model.describe(
      family: experts?.hasCorrection == true ? "deepseek_v3" : "deepseek_v2",
      ropes: [try rope.rope(.interleaved, dimensions: rotated)],
      layers: try (0..<model.layers).map { index in
        let name = "blk.\(index)"
        let isSparse = model.has("\(name).ffn_gate_inp.weight")
        return .init(
          mixerNorm: tensors.norm("\(name).attn_norm", hidden),
          mixer: .latent(attention(name, scale: scale)),
          feedForwardNorm: tensors.norm("\(name).ffn_norm", hidden),
          feedForward: try (isSparse ? experts : nil)?.describe(name, width: widths[index])
            ?? .gated(tensors.gated(name, .silu, hidden: hidden, width: widths[index])))
      })
  }

  private func attention(_ name: String, scale: Double) -> ModelDescription.LatentAttention {
    let (tensors, hidden) = (model.tensors, model.hidden)
    // transformers gives these two norms its default epsilon, not that of the model.
    func norm(_ name: String, _ size: Int) -> ModelDescription.Norm {
      .init(weight: "\(name).weight", epsilon: 1e-6, size: size)
    }
    let shape = LatentShape(
      hidden: hidden, heads: heads, plain: plain, rotated: rotated,
      valueDimension: valueDimension, latent: latent, queryRank: queryRank)
    return shape.attention(
      scale: scale,
      linear: { matrix, inputs, outputs, rows in
        let own =
          switch matrix {
          case .queryDown: "attn_q_a"
          case .query: queryRank == nil ? "attn_q" : "attn_q_b"
          case .down: "attn_kv_a_mqa"
          case .output: "attn_output"
          }
        return tensors.linear("\(name).\(own)", inputs, outputs, rows: rows)
      },
      queryDownNorm: norm("\(name).attn_q_a_norm", queryRank ?? 1),
      latentNorm: norm("\(name).attn_kv_a_norm", latent), up: up(name))
  }

  /// Two stacks that are absorbed already, or the matrix that they are made from.
  private func up(_ name: String) -> LatentShape.Up {
    guard !model.has("\(name).attn_kv_b.weight") else {
      return .joint(weight: "\(name).attn_kv_b.weight", scales: nil)
    }
    func stack(_ name: String, _ outputs: Int, _ inputs: Int) -> ModelDescription.MatrixStack {
      .init(
        .stacked(
          weight: "\(name).weight", scales: nil, shape: [heads, outputs, inputs], start: 0,
          period: outputs),
        count: heads, outputs: outputs, inputs: inputs)
    }
    return .absorbed(
      key: stack("\(name).attn_k_b", latent, plain),
      value: stack("\(name).attn_v_b", valueDimension, latent))
  }
}
