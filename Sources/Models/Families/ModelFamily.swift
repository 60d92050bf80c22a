import Foundation
import ModelFormats

/// Turns published configurations of one family into a `ModelDescription`.
protocol ModelFamily: Sendable {
  /// Values of `model_type` in `config.json`.
  var modelTypes: [String] { get }
  /// Values of `general.architecture` in GGUF files.
  var ggufArchitectures: [String] { get }
  /// - Throws: `FormatError` naming the key that is missing, wrong or not supported.
  func describe(_ folder: HuggingFaceFolder) throws -> ModelDescription
  /// - Throws: `FormatError` naming the key that is missing, wrong or not supported.
  func describe(_ file: GGUFFile) throws -> ModelDescription
}

/// The families that are supported.
package enum ModelFamilies {
  private static let all: [any ModelFamily] = [
    DenseFamily.llama, DenseFamily.mistral, DenseFamily.qwen2, DenseFamily.qwen3,
  ]

  /// Values of `model_type` in `config.json` that can be loaded, sorted.
  package static var modelTypes: [String] { all.flatMap(\.modelTypes).sorted() }

  /// Values of `general.architecture` in GGUF files that can be loaded, sorted.
  package static var ggufArchitectures: [String] { all.flatMap(\.ggufArchitectures).sorted() }

  /// Describes the model of a Hugging Face folder.
  ///
  /// - Throws: `FormatError`; `unsupported` for a family that is not supported.
  package static func describe(_ folder: HuggingFaceFolder) throws -> ModelDescription {
    let type = try folder.config.string("model_type")
    guard let family = all.first(where: { $0.modelTypes.contains(type) }) else {
      throw folder.config.error(
        .unsupported, "model_type",
        "\(quoted(type)) is not yet supported (supported: \(modelTypes.joined(separator: ", ")))")
    }
    let description = try family.describe(folder)
    try description.validate(file: folder.config.file)
    return description
  }

  /// Describes the model of a GGUF file.
  ///
  /// - Throws: `FormatError`; `unsupported` for a family that is not supported.
  package static func describe(_ file: GGUFFile) throws -> ModelDescription {
    let settings = GGUFSettings(file, architecture: "general")
    let architecture = try settings.string("architecture")
    guard let family = all.first(where: { $0.ggufArchitectures.contains(architecture) }) else {
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

  /// Opens a GGUF file or a Hugging Face folder; weights are mapped, not read.
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
      let file = try GGUFFile(contentsOf: url)
      description = try ModelFamilies.describe(file)
      source = GGUFTensorSource(file)
    }
  }
}
