import ModelFormats

/// A Hugging Face checkpoint as a family reads it: settings, and tensors by the names that
/// transformers gives them. Of a model of text and other things, the text part.
struct HuggingFaceModel {
  /// The settings of the text model.
  let config: ConfigObject
  private let top: ConfigObject
  private let generationConfig: ConfigObject?
  private let names: Set<String>
  private let folder: HuggingFaceFolder
  /// Before the names of the decoder's tensors, such as `model.`.
  let prefix: String
  private let headName: String

  /// - Throws: `FormatError` for a text model whose settings are no object.
  init(_ folder: HuggingFaceFolder) throws {
    self.folder = folder
    top = folder.config
    config = try folder.config.optionalObject("text_config") ?? folder.config
    generationConfig = folder.generationConfig
    let names = Set(folder.names)
    self.names = names
    let prefixes = ["model.", "model.language_model.", "language_model.model.", ""]
    let embedding = "embed_tokens.weight"
    // Without one, loading will say which tensor is missing.
    prefix = prefixes.first { names.contains($0 + embedding) } ?? prefixes[0]
    let heads = ["lm_head.weight", "language_model.lm_head.weight"]
    headName = heads.first(where: names.contains) ?? heads[0]
  }

  func hasTensor(_ name: String) -> Bool { names.contains(name) }

  /// - Throws: `FormatError` where it is missing.
  func shape(of tensor: String) throws -> [Int] {
    try HuggingFaceTensorSource(folder).tensor(tensor).shape
  }

  /// `model_type` of the text model.
  func modelType() throws -> String {
    if let own = try config.optionalString("model_type") { return own }
    return try top.string("model_type")
  }

  /// The value of `key`, from 1 to `limit`; `fallback` where it is absent.
  func size(_ key: String, _ limit: Int, default fallback: Int? = nil) throws -> Int {
    if let value = try config.optionalPositive(key, limit: limit) { return value }
    guard let fallback else { return try config.positive(key, limit: limit) }
    return fallback
  }

  func flag(_ key: String, default fallback: Bool) throws -> Bool {
    try config.optionalBool(key) ?? fallback
  }

  /// A positive number; nil where it is absent or null.
  func cap(_ key: String) throws -> Double? {
    guard let cap = try config.optionalDouble(key) else { return nil }
    guard cap > 0 else { throw config.error(.limitExceeded, key, "is \(cap), must be above 0") }
    return cap
  }

  func activation(
    _ key: String = "hidden_act", default fallback: String = "silu"
  ) throws -> ModelDescription.Activation {
    let name = try config.optionalString(key) ?? fallback
    switch name {
    case "silu", "swish": return .silu
    case "gelu_pytorch_tanh", "gelu_new", "gelu_fast": return .geluTanh
    case "gelu": return .gelu
    default: throw config.error(.unsupported, key, "\(quoted(name)) is not supported")
    }
  }

  /// Refuses a setting unless it has the value that is computed with, which is that of its absence.
  func require(_ key: String, _ value: JSONValue) throws {
    guard let found = config.members[key], found != value else { return }
    throw config.error(.unsupported, key, "has a value that is not supported")
  }

  /// Those of `generation_config.json` if it has any, as `generate` of transformers does, else
  /// those of `config.json`.
  func endOfSequenceIds(vocabularySize: Int) throws -> [Int] {
    let ids =
      try generationConfig?.optionalInts("eos_token_id") ?? config.optionalInts("eos_token_id")
      ?? top.optionalInts("eos_token_id") ?? []
    // An id outside the vocabulary can never be generated.
    return Set(ids.filter { $0 >= 0 && $0 < vocabularySize }).sorted()
  }

  /// The output matrix: the embedding if the two are one.
  func output(
    hidden: Int, vocabulary: Int, isTiedByDefault: Bool = false
  ) throws -> ModelDescription.Linear {
    let isTied =
      try config.optionalBool("tie_word_embeddings")
      ?? top.optionalBool("tie_word_embeddings") ?? isTiedByDefault
    let name = isTied ? prefix + "embed_tokens.weight" : headName
    return .init(weight: name, inputs: hidden, outputs: vocabulary, scales: scales(of: name))
  }

  /// A matrix whose tensors are called `name` with `.weight` and, where there is one, `.bias`.
  func linear(
    _ name: String, hasBias: Bool = false, _ inputs: Int, _ outputs: Int,
    rows: ModelDescription.RowSelection? = nil
  ) -> ModelDescription.Linear {
    .init(
      weight: "\(name).weight", bias: hasBias ? "\(name).bias" : nil, inputs: inputs,
      outputs: outputs, rows: rows, scales: scales(of: "\(name).weight"))
  }

  /// The scales of an FP8 matrix; nil where there are none.
  func scales(of weight: String) -> String? {
    let name = weight + Self.scaleSuffix
    return names.contains(name) ? name : nil
  }

  private static let scaleSuffix = "_scale_inv"

  func gated(
    _ name: String, hasBias: Bool = false, _ activation: ModelDescription.Activation,
    hidden: Int, width: Int
  ) -> ModelDescription.GatedFeedForward {
    .init(
      activation: activation, gate: linear("\(name).gate_proj", hasBias: hasBias, hidden, width),
      up: linear("\(name).up_proj", hasBias: hasBias, hidden, width),
      down: linear("\(name).down_proj", hasBias: hasBias, width, hidden))
  }

  /// What the matrices of single experts are called.
  struct ExpertNames {
    var gate = "gate_proj"
    var up = "up_proj"
    var down = "down_proj"
  }

  /// The matrices of the experts under `name`: a tensor each, or all gates and ups in one tensor
  /// and all downs in another.
  func experts(
    _ name: String, _ names: ExpertNames = ExpertNames(), count: Int, hidden: Int, width: Int
  ) -> (
    gate: ModelDescription.MatrixStack, up: ModelDescription.MatrixStack,
    down: ModelDescription.MatrixStack
  ) {
    let fused = "\(name).gate_up_proj"
    guard !self.names.contains(fused) else {
      let shape = [count, 2 * width, hidden]
      func half(_ start: Int) -> ModelDescription.MatrixStack {
        .init(
          .stacked(weight: fused, scales: nil, shape: shape, start: start, period: 2 * width),
          count: count, outputs: width, inputs: hidden)
      }
      let down = ModelDescription.MatrixStack(
        .stacked(
          weight: "\(name).down_proj", scales: nil, shape: [count, hidden, width], start: 0,
          period: hidden), count: count, outputs: hidden, inputs: width)
      return (half(0), half(width), down)
    }
    func separate(
      _ matrix: String, _ inputs: Int, _ outputs: Int
    ) -> ModelDescription.MatrixStack {
      let hasScales = scales(of: "\(name).0.\(matrix).weight") != nil
      return .init(
        .separate(
          prefix: "\(name).", suffix: ".\(matrix).weight",
          scales: hasScales ? Self.scaleSuffix : nil),
        count: count, outputs: outputs, inputs: inputs)
    }
    return (
      separate(names.gate, hidden, width), separate(names.up, hidden, width),
      separate(names.down, width, hidden)
    )
  }

  /// One of `known` for each layer; nil where `key` is absent.
  func layerTypes(
    _ layers: Int, key: String = "layer_types", known: [String]
  ) throws -> [String]? {
    guard let types = try config.optionalStrings(key) else { return nil }
    guard types.count == layers, types.allSatisfy(known.contains) else {
      throw config.error(
        .malformed, key, "is not one of \(known) for each of \(layers) layers")
    }
    return types
  }

  /// Checks the quantisation, if there is one: FP8 weights with a scale for each 128 x 128.
  func checkQuantisation() throws {
    guard
      let settings = try config.optionalObject("quantization_config")
        ?? top.optionalObject("quantization_config")
    else { return }
    let method = try settings.optionalString("quant_method") ?? ""
    guard method == "fp8" else {
      throw settings.error(
        .unsupported, "quant_method", "\(quoted(method)) is not supported (fp8 is)")
    }
    if let format = try settings.optionalString("fmt"), format != "e4m3" {
      throw settings.error(.unsupported, "fmt", "\(quoted(format)) is not supported (e4m3 is)")
    }
    if let block = try settings.optionalInts("weight_block_size"), block != [128, 128] {
      throw settings.error(.unsupported, "weight_block_size", "\(block) is not [128, 128]")
    }
  }
}
