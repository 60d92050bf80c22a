import ModelFormats

/// A dense decoder's GGUF file (keys: ggml `docs/gguf.md`; tensors: llama.cpp `gguf-py`,
/// `constants.py`).
struct DenseGGUF {
  private let file: GGUFFile
  private let family: DenseFamily
  private let settings: GGUFSettings
  private let tensorNames: Set<String>

  /// - Throws: `FormatError` when the architecture is not a string.
  init(_ file: GGUFFile, family: DenseFamily) throws {
    self.file = file
    self.family = family
    let architecture = try GGUFSettings(file, architecture: "general").string("architecture")
    settings = GGUFSettings(file, architecture: architecture)
    tensorNames = Set(file.tensors.map(\.name))
  }

  func describe() throws -> ModelDescription {
    typealias Limit = ModelDescription.Limit
    if let experts = try settings.optionalInt("expert_count"), experts != 0 {
      throw settings.error(.unsupported, "expert_count", "is \(experts): experts are not supported")
    }
    for key in ["logit_scale", "residual_scale", "embedding_scale", "attention.scale"]
    where settings.has(key) {
      throw settings.error(.unsupported, key, "is not supported")
    }
    let hidden = try settings.positive("embedding_length", limit: Limit.hidden)
    let layers = try settings.positive("block_count", limit: Limit.layers)
    let vocabulary = try vocabularySize()
    let heads = try perLayer("attention.head_count", layers)
    let dimension = try headDimension(hidden: hidden, heads: heads[0])
    let epsilon = try settings.double("attention.layer_norm_rms_epsilon")
    let embedding = "token_embd.weight"
    let output = tensorNames.contains("output.weight") ? "output.weight" : embedding
    let layer = Layer(
      hidden: hidden, dimension: dimension, epsilon: epsilon, hasHeadNorms: family.hasHeadNorms,
      tensorNames: tensorNames)
    let keyValueHeads = try perLayer("attention.head_count_kv", layers, default: heads)
    let widths = try perLayer("feed_forward_length", layers)
    return ModelDescription(
      family: family.name, vocabularySize: vocabulary, hiddenSize: hidden,
      contextLength: try settings.positive("context_length", limit: Limit.context),
      endOfSequenceIds: try endOfSequenceIds(vocabulary), embedding: .init(weight: embedding),
      ropes: [try rope(dimension)],
      layers: (0..<layers).map { index in
        layer.describe(
          index, heads: heads[index], keyValueHeads: keyValueHeads[index], width: widths[index])
      },
      finalNorm: .init(weight: "output_norm.weight", epsilon: epsilon, size: hidden),
      output: .init(weight: output, inputs: hidden, outputs: vocabulary))
  }

  /// One value a layer, from 1 to the limit of heads and widths.
  private func perLayer(
    _ key: String, _ layers: Int, default defaultValue: [Int]? = nil
  ) throws -> [Int] {
    guard let values = try settings.optionalPerLayer(key, layers: layers) ?? defaultValue else {
      throw settings.error(.missing, key, "is missing")
    }
    for value in values where value < 1 || value > ModelDescription.Limit.hidden {
      throw settings.error(.limitExceeded, key, "is \(value)")
    }
    return values
  }

  /// The rows of the embedding matrix, which is what the model computes with.
  private func vocabularySize() throws -> Int {
    guard let rows = file.tensors.first(where: { $0.name == "token_embd.weight" })?.shape.first
    else {
      throw FormatError(
        .missing, file: file.name, reason: "there is no tensor \"token_embd.weight\"")
    }
    return rows
  }

  private func headDimension(hidden: Int, heads: Int) throws -> Int {
    let limit = ModelDescription.Limit.headDimension
    guard let keys = try settings.optionalInt("attention.key_length") else {
      guard hidden % heads == 0 else {
        throw settings.error(
          .malformed, "embedding_length", "\(hidden) is not a multiple of \(heads) heads")
      }
      return hidden / heads
    }
    guard keys >= 1, keys <= limit else {
      throw settings.error(.limitExceeded, "attention.key_length", "is \(keys)")
    }
    if let values = try settings.optionalInt("attention.value_length"), values != keys {
      throw settings.error(
        .unsupported, "attention.value_length", "is \(values), unlike the key length \(keys)")
    }
    return keys
  }

  /// The converter permutes Llama's query and key rows so that rotated pairs lie side by side.
  private func rope(_ headDimension: Int) throws -> ModelDescription.Rope {
    .init(
      style: family.ggufRopeStyle,
      dimensions: try settings.optionalInt("rope.dimension_count") ?? headDimension,
      base: try settings.optionalDouble("rope.freq_base") ?? 10000, scaling: try ropeScaling())
  }

  private func ropeScaling() throws -> ModelDescription.Rope.Scaling {
    let type = try settings.optionalString("rope.scaling.type") ?? "none"
    // `rope.scale_linear` is the spelling of old files.
    let factor =
      try settings.optionalDouble("rope.scaling.factor")
      ?? settings.optionalDouble("rope.scale_linear") ?? 1
    let hasTensor = tensorNames.contains("rope_freqs.weight")
    switch type {
    case "none": return hasTensor ? .tensor(name: "rope_freqs.weight") : .none
    case "linear":
      guard !hasTensor || factor == 1 else {
        throw settings.error(
          .unsupported, "rope.scaling.type", "\"linear\" together with rope_freqs.weight")
      }
      if hasTensor { return .tensor(name: "rope_freqs.weight") }
      return factor == 1 ? .none : .linear(factor: factor)
    default:
      throw settings.error(
        .unsupported, "rope.scaling.type",
        "\(quoted(type)) is not supported (none and linear are)")
    }
  }

  /// What llama.cpp takes as ends of a generation: end of sequence, of turn and of message.
  private func endOfSequenceIds(_ vocabulary: Int) throws -> [Int] {
    let tokenizer = GGUFSettings(file, architecture: "tokenizer.ggml")
    let ids = try ["eos_token_id", "eot_token_id", "eom_token_id"].compactMap {
      try tokenizer.optionalInt($0)
    }
    return Set(ids.filter { $0 >= 0 && $0 < vocabulary }).sorted()
  }

  /// What the layers have in common.
  private struct Layer {
    let hidden: Int
    let dimension: Int
    let epsilon: Double
    let hasHeadNorms: Bool
    let tensorNames: Set<String>

    private func linear(_ name: String, _ inputs: Int, _ outputs: Int) -> ModelDescription.Linear {
      .init(
        weight: "\(name).weight", bias: tensorNames.contains("\(name).bias") ? "\(name).bias" : nil,
        inputs: inputs, outputs: outputs)
    }

    private func norm(_ name: String, _ size: Int) -> ModelDescription.Norm {
      .init(weight: "\(name).weight", epsilon: epsilon, size: size)
    }

    func describe(
      _ index: Int, heads: Int, keyValueHeads: Int, width: Int
    ) -> ModelDescription.Layer {
      let name = "blk.\(index)"
      let attention = ModelDescription.Attention(
        heads: heads, keyValueHeads: keyValueHeads, keyDimension: dimension,
        valueDimension: dimension, scale: 1 / Double(dimension).squareRoot(), rope: 0,
        queryNorm: hasHeadNorms ? norm("\(name).attn_q_norm", dimension) : nil,
        keyNorm: hasHeadNorms ? norm("\(name).attn_k_norm", dimension) : nil,
        query: linear("\(name).attn_q", hidden, heads * dimension),
        key: linear("\(name).attn_k", hidden, keyValueHeads * dimension),
        value: linear("\(name).attn_v", hidden, keyValueHeads * dimension),
        output: linear("\(name).attn_output", heads * dimension, hidden))
      let gated = ModelDescription.GatedFeedForward(
        activation: .silu, gate: linear("\(name).ffn_gate", hidden, width),
        up: linear("\(name).ffn_up", hidden, width),
        down: linear("\(name).ffn_down", width, hidden))
      return .init(
        mixerNorm: norm("\(name).attn_norm", hidden),
        mixer: .attention(attention),
        feedForwardNorm: norm("\(name).ffn_norm", hidden),
        feedForward: .gated(gated))
    }
  }
}
