import Foundation
import ModelFormats

/// Turns published configurations of one family into a `ModelDescription`.
protocol ModelFamily: Sendable {
  /// Values of `model_type` in `config.json`.
  var modelTypes: [String] { get }
  /// Settings in `config.json` that are understood, besides those that change nothing.
  var knownKeys: Set<String> { get }
  /// - Throws: `FormatError` naming the key that is missing, wrong or not supported.
  func describe(_ model: HuggingFaceModel) throws -> ModelDescription
}

/// A family whose GGUF files are read too.
protocol GGUFModelFamily: ModelFamily {
  /// Values of `general.architecture`.
  var ggufArchitectures: [String] { get }
  /// - Throws: `FormatError` naming the key that is missing, wrong or not supported.
  func describe(_ file: GGUFFile) throws -> ModelDescription
}

/// The families that are supported.
package enum ModelFamilies {
  private static let all: [any ModelFamily] = [
    DecoderFamily.llama, DecoderFamily.mistral, DecoderFamily.ministral,
    DecoderFamily.ministral3, DecoderFamily.mixtral, DecoderFamily.qwen2,
    DecoderFamily.qwen2Experts, DecoderFamily.qwen3, DecoderFamily.qwen3Experts,
    QwenNextFamily.qwen3Next, QwenNextFamily.qwen35, QwenNextFamily.qwen35Experts,
    GemmaFamily.gemma, GemmaFamily.gemma2, GemmaFamily.gemma3, Gemma4Family(),
    DeepSeekFamily.v2, DeepSeekFamily.v3, MiMoFamily(),
  ]

  private static let ofGGUF = all.compactMap { $0 as? any GGUFModelFamily }

  /// Models of text and other things, and what their text model is called.
  private static let composites = [
    "gemma3": "gemma3_text", "gemma4": "gemma4_text", "mistral3": "mistral",
    "qwen3_5": "qwen3_5_text", "qwen3_5_moe": "qwen3_5_moe_text",
  ]

  /// Values of `model_type` in `config.json` that can be loaded, sorted.
  package static var modelTypes: [String] {
    (all.flatMap(\.modelTypes) + composites.keys).sorted()
  }

  /// Values of `general.architecture` in GGUF files that can be loaded, sorted.
  package static var ggufArchitectures: [String] { ofGGUF.flatMap(\.ggufArchitectures).sorted() }

  /// Describes the model of a Hugging Face folder; of one of text and other things, the text part.
  ///
  /// - Throws: `FormatError`; `unsupported` for a family that is not supported, or a setting that
  ///   is not understood.
  package static func describe(_ folder: HuggingFaceFolder) throws -> ModelDescription {
    let declared = try folder.config.string("model_type")
    let text = try folder.config.optionalObject("text_config")
    let type = try text?.optionalString("model_type") ?? composites[declared] ?? declared
    guard composites[declared] != nil || text == nil,
      let family = all.first(where: { $0.modelTypes.contains(type) })
    else {
      throw folder.config.error(
        .unsupported, "model_type",
        "\(quoted(declared)) is not yet supported "
          + "(supported: \(modelTypes.joined(separator: ", ")))")
    }
    let model = try HuggingFaceModel(folder)
    let known = family.knownKeys.union(HuggingFaceKeys.inert)
    try model.config.refuseUnknown(known)
    if text != nil { try folder.config.refuseUnknown(known.union(HuggingFaceKeys.otherThings)) }
    try model.checkQuantisation()
    let description = try family.describe(model)
    try description.validate(file: folder.config.file)
    return description
  }

  /// Describes the model of a GGUF file.
  ///
  /// - Throws: `FormatError`; `unsupported` for a family that is not supported.
  package static func describe(_ file: GGUFFile) throws -> ModelDescription {
    let settings = GGUFSettings(file, architecture: "general")
    let architecture = try settings.string("architecture")
    guard let family = ofGGUF.first(where: { $0.ggufArchitectures.contains(architecture) }) else {
      throw settings.error(
        .unsupported, "architecture",
        "\(quoted(architecture)) is not yet supported "
          + "(supported: \(ggufArchitectures.joined(separator: ", ")))")
    }
    let description = try family.describe(file)
    try description.validate(file: file.name)
    return description
  }
}

/// A model on disk: its description and where its weights are.
package struct ModelFiles: Sendable {
  /// What the files describe, checked.
  package let description: ModelDescription
  /// The weights.
  package let source: any TensorSource

  /// - Parameter source: of the tensors that `description` requires.
  package init(description: ModelDescription, source: any TensorSource) {
    self.description = description
    self.source = source
  }

  /// Opens a GGUF file, with the parts that belong to it, or a Hugging Face folder; weights are
  /// mapped, not read.
  ///
  /// - Parameter configName: the configuration file's name in a folder.
  /// - Throws: `FormatError`.
  package init(path: String, configName: String = "config.json") throws {
    let url = URL(fileURLWithPath: path)
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw FormatError(.unreadable, file: path, reason: "there is no such file or folder")
    }
    if isFolder.boolValue {
      let folder = try HuggingFaceFolder(url, configName: configName)
      description = try ModelFamilies.describe(folder)
      source = HuggingFaceTensorSource(folder)
    } else {
      let parts = try GGUFParts(contentsOf: url)
      description = try ModelFamilies.describe(parts.whole)
      source = GGUFTensorSource(parts)
    }
  }

  /// Finds out whether the engine can load the model. Of the weights, only small tensors are read.
  ///
  /// - Throws: `FormatError` naming a tensor that is missing, has another shape than the model
  ///   needs, or is of a type that is not computed with; or a rotation that is out of range.
  package func checkLoadable() throws {
    let loader = WeightLoader(source: source, options: .init())
    try loader.check(description.requirements)
    let frequencies = RopeFrequencies(loader: loader, contextLength: description.contextLength)
    for rope in description.ropes { _ = try frequencies.values(rope) }
  }
}
