import ModelFormats

/// A decoder's GGUF file (keys: ggml `docs/gguf.md`; tensors: llama.cpp `gguf-py`,
/// `constants.py`).
struct DecoderGGUF {
  private let file: GGUFFile
  private let family: DecoderFamily
  private let settings: GGUFSettings
  private let tensorNames: Set<String>

  /// - Throws: `FormatError` when the architecture is not a string.
  init(_ file: GGUFFile, family: DecoderFamily) throws {
    self.file = file
    self.family = family
    let architecture = try GGUFSettings(file, architecture: "general").string("architecture")
    settings = GGUFSettings(file, architecture: architecture)
    tensorNames = Set(file.tensors.map(\.name))
  }

  func describe() throws -> ModelDescription {
    typealias Limit = ModelDescription.Limit
    for key in ["logit_scale", "residual_scale", "embedding_scale", "attention.scale"]
    where settings.has(key) {
      throw settings.error(.unsupported, key, "is not supported")
    }
    let tensors = try DecoderGGUFTensors(
      settings, names: tensorNames, hasHeadNorms: family.hasHeadNorms)
    let hidden = try settings.positive("embedding_length", limit: Limit.hidden)
    let layers = try settings.positive("block_count", limit: Limit.layers)
    let vocabulary = try settings.vocabularySize()
    let heads = try perLayer("attention.head_count", layers)
    let dimension = try settings.headDimension(hidden: hidden, heads: heads[0])
    let keyValueHeads = try perLayer("attention.head_count_kv", layers, default: heads)
    let experts = try GGUFExperts(settings, family.experts, tensors)
    let widths = try perLayer("feed_forward_length", layers)
    return ModelDescription(
      family: family.name, vocabularySize: vocabulary, hiddenSize: hidden,
      contextLength: try settings.positive("context_length", limit: Limit.context),
      endOfSequenceIds: try settings.endOfSequenceIds(vocabulary),
      embedding: .init(weight: "token_embd.weight"),
      ropes: [try rope(dimension)],
      layers: try (0..<layers).map { index in
        let name = "blk.\(index)"
        return .init(
          mixerNorm: tensors.norm("\(name).attn_norm", hidden),
          mixer: .attention(
            tensors.attention(
              name, hidden: hidden, heads: heads[index], keyValueHeads: keyValueHeads[index],
              dimension: dimension, scale: 1 / Double(dimension).squareRoot())),
          feedForwardNorm: tensors.norm("\(name).ffn_norm", hidden),
          feedForward: try experts?.describe(name, hidden: hidden, width: widths[index])
            ?? .gated(tensors.gated(name, .silu, hidden: hidden, width: widths[index])))
      },
      finalNorm: tensors.norm("output_norm", hidden),
      output: tensors.output(hidden: hidden, vocabulary: vocabulary))
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
}
