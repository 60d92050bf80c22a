import ModelFormats

/// A decoder's GGUF file (keys: ggml `docs/gguf.md`; tensors: llama.cpp `gguf-py`,
/// `constants.py`).
struct DecoderGGUF {
  private let family: DecoderFamily
  private let model: GGUFModel

  /// - Throws: `FormatError`.
  init(_ file: GGUFFile, family: DecoderFamily) throws {
    self.family = family
    model = try GGUFModel(file, hasHeadNorms: family.hasHeadNorms)
  }

  func describe() throws -> ModelDescription {
    let (settings, tensors, hidden) = (model.settings, model.tensors, model.hidden)
    let heads = try model.perLayer("attention.head_count")
    let dimension = try settings.headDimension(hidden: hidden, heads: heads[0])
    let keyValueHeads = try model.perLayer("attention.head_count_kv", default: heads)
    let experts = try GGUFExperts(model, family.experts)
    let widths = try model.perLayer("feed_forward_length")
    // The converter permutes Llama's query and key rows so that rotated pairs lie side by side.
    let rope = GGUFRope(model: model)
    let growth = try queryGrowth(rope)
    return try model.describe(
      family: family.name,
      ropes: [
        try rope.rope(
          family.ggufRopeStyle,
          dimensions: try settings.optionalInt("rope.dimension_count") ?? dimension)
      ],
      layers: try (0..<model.layers).map { index in
        let name = "blk.\(index)"
        var attention = tensors.attention(
          name, hidden: hidden, heads: heads[index], keyValueHeads: keyValueHeads[index],
          dimension: dimension, scale: 1 / Double(dimension).squareRoot())
        attention.queryGrowth = growth
        return .init(
          mixerNorm: tensors.norm("\(name).attn_norm", hidden), mixer: .attention(attention),
          feedForwardNorm: tensors.norm("\(name).ffn_norm", hidden),
          feedForward: try experts?.describe(name, width: widths[index])
            ?? .gated(tensors.gated(name, .silu, hidden: hidden, width: widths[index])))
      })
  }

  private func queryGrowth(_ rope: GGUFRope) throws -> ModelDescription.QueryGrowth? {
    guard family.hasQueryGrowth,
      let beta = try model.settings.optionalDouble("attention.temperature_scale"), beta != 0
    else { return nil }
    return .init(beta: beta, length: try rope.originalContext())
  }
}
