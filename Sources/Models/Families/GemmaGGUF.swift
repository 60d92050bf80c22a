import ModelFormats

/// A GGUF file of Gemma 1 to 3. The converter has added the one to the weights of norms.
struct GemmaGGUF {
  private typealias Limit = ModelDescription.Limit

  private let model: GGUFModel
  private let family: GemmaFamily

  init(_ file: GGUFFile, _ family: GemmaFamily) throws {
    self.family = family
    model = try GGUFModel(file, hasHeadNorms: family.hasHeadNorms)
  }

  private var settings: GGUFSettings { model.settings }

  func describe() throws -> ModelDescription {
    let (hidden, layers, tensors) = (model.hidden, model.layers, model.tensors)
    let heads = try settings.positive("attention.head_count", limit: Limit.heads)
    let groups =
      try settings.optionalInt("attention.head_count_kv") == nil
      ? heads : settings.positive("attention.head_count_kv", limit: Limit.heads)
    let dimension = try settings.headDimension(hidden: hidden, heads: heads)
    let width = try settings.positive("feed_forward_length", limit: Limit.hidden)
    let windows = try windows(layers)
    // Nothing in the file tells the largest models, whose scores are scaled otherwise, from the
    // others but the number of their layers; llama.cpp goes by that too.
    let isLargest = [46, 62].contains(layers) && family.windowPattern != nil
    let scale = 1 / Double(isLargest ? hidden / heads : dimension).squareRoot()
    let attentionCap = try model.cap("attn_logit_softcapping", family.defaultCaps?.attention)
    return try model.describe(
      family: family.name,
      embedding: .init(
        weight: "token_embd.weight", multiplier: Double(hidden).squareRoot()),
      ropes: try ropes(dimension),
      layers: (0..<layers).map { index in
        let name = "blk.\(index)"
        var attention = tensors.attention(
          name, hidden: hidden, heads: heads, keyValueHeads: groups, dimension: dimension,
          scale: scale)
        attention.window = windows[index]
        attention.cap = attentionCap
        if family.hasLocalRope, windows[index] != nil { attention.rope = 1 }
        return .init(
          mixerNorm: tensors.norm("\(name).attn_norm", hidden), mixer: .attention(attention),
          mixerOutputNorm: outputNorm("\(name).post_attention_norm", hidden),
          feedForwardNorm: tensors.norm("\(name).ffn_norm", hidden),
          feedForward: .gated(tensors.gated(name, .geluTanh, hidden: hidden, width: width)),
          feedForwardOutputNorm: outputNorm("\(name).post_ffw_norm", hidden))
      },
      logitCap: try model.cap("final_logit_softcapping", family.defaultCaps?.logits))
  }

  private func outputNorm(_ name: String, _ size: Int) -> ModelDescription.Norm? {
    family.hasOutputNorms ? model.tensors.norm(name, size) : nil
  }

  private func windows(_ layers: Int) throws -> [Int?] {
    guard let pattern = family.windowPattern,
      let size = try settings.optionalInt("attention.sliding_window"), size != 0
    else { return Array(repeating: nil, count: layers) }
    let checked = try settings.positive("attention.sliding_window", limit: Limit.context)
    return (0..<layers).map { ($0 + 1) % pattern != 0 ? checked : nil }
  }

  /// Of layers that see everything, then of those with a window.
  private func ropes(_ dimension: Int) throws -> [ModelDescription.Rope] {
    let base =
      try settings.optionalDouble("rope.freq_base") ?? (family.hasLocalRope ? 1_000_000 : 10000)
    let global = try GGUFRope(model: model).rope(.halves, dimensions: dimension, base: base)
    guard family.hasLocalRope else { return [global] }
    let local = try settings.optionalDouble("rope.freq_base_swa") ?? 10000
    return [global, .init(style: .halves, dimensions: dimension, base: local)]
  }
}
