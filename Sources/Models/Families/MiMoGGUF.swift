import ModelFormats

/// A MiMo-V2 model's GGUF file (llama.cpp's `mimo2`).
struct MiMoGGUF {
  private typealias Limit = ModelDescription.Limit

  private let model: GGUFModel

  init(_ file: GGUFFile) throws { model = try GGUFModel(file) }

  func describe() throws -> ModelDescription {
    let (settings, tensors, hidden) = (model.settings, model.tensors, model.hidden)
    let heads = try model.perLayer("attention.head_count")
    let keyValueHeads = try model.perLayer("attention.head_count_kv", default: heads)
    let widths = try model.perLayer("feed_forward_length")
    let keys = try settings.positive("attention.key_length", limit: Limit.headDimension)
    let values = try settings.positive("attention.value_length", limit: Limit.headDimension)
    let window = try settings.positive("attention.sliding_window", limit: Limit.context)
    guard let isWindowed = try model.flags("attention.sliding_window_pattern") else {
      throw settings.error(.missing, "attention.sliding_window_pattern", "is missing")
    }
    let valueScale = try settings.optionalDouble("attention.value_scale")
    let experts = try GGUFExperts(model, GGUFExperts.Rule(scoring: .sigmoid))
    let rope = GGUFRope(model: model)
    let rotated = try settings.optionalInt("rope.dimension_count") ?? keys
    let localBase = try settings.optionalDouble("rope.freq_base_swa")
    return try model.describe(
      family: "mimo_v2",
      ropes: [
        try rope.rope(.halves, dimensions: rotated),
        try rope.rope(.halves, dimensions: rotated, base: localBase),
      ],
      layers: try (0..<model.layers).map { index in
        let name = "blk.\(index)"
        let inputs = tensors.queryKeyValue(
          name, hidden,
          [heads[index] * keys, keyValueHeads[index] * keys, keyValueHeads[index] * values])
        let sinks = "\(name).attn_sinks.weight"
        let isSparse = model.has("\(name).ffn_gate_inp.weight")
        return .init(
          mixerNorm: tensors.norm("\(name).attn_norm", hidden),
          mixer: .attention(
            .init(
              heads: heads[index], keyValueHeads: keyValueHeads[index], keyDimension: keys,
              valueDimension: values, scale: 1 / Double(keys).squareRoot(),
              window: isWindowed[index] ? window : nil, sinks: model.has(sinks) ? sinks : nil,
              rope: isWindowed[index] ? 1 : 0, valueScale: valueScale == 1 ? nil : valueScale,
              query: inputs[0], key: inputs[1], value: inputs[2],
              output: tensors.linear("\(name).attn_output", heads[index] * values, hidden))),
          feedForwardNorm: tensors.norm("\(name).ffn_norm", hidden),
          feedForward: try (isSparse ? experts : nil)?.describe(name, width: widths[index])
            ?? .gated(tensors.gated(name, .silu, hidden: hidden, width: widths[index])))
      })
  }
}
