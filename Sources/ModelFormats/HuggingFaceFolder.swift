import Foundation

/// A checkpoint in a folder as the Hugging Face hub keeps it: `config.json` and the weights in
/// `model.safetensors`, or in several files that `model.safetensors.index.json` lists.
package struct HuggingFaceFolder: Sendable {
  /// The folder.
  package let url: URL
  /// `config.json`, or the file given in its place.
  package let config: ConfigObject
  /// `generation_config.json`, if there is one.
  package let generationConfig: ConfigObject?
  /// The files that hold the weights.
  package let files: [SafetensorsFile]
  /// For each tensor the index in `files` of the file that holds it.
  package let fileOfTensor: ExactDictionary<Int>

  /// Opens a folder; tensors are mapped, not read.
  ///
  /// - Parameter configName: the configuration file's name in the folder.
  /// - Throws: `FormatError`.
  package init(_ url: URL, configName: String = "config.json") throws {
    self.url = url
    config = try ConfigObject(contentsOf: url.appendingPathComponent(configName))
    let generation = url.appendingPathComponent("generation_config.json")
    generationConfig =
      FileManager.default.fileExists(atPath: generation.path)
      ? try ConfigObject(contentsOf: generation) : nil
    (files, fileOfTensor) = try Self.openWeights(url)
  }

  /// What a folder with this configuration and no weights would be.
  package init(config: ConfigObject) {
    url = URL(fileURLWithPath: config.file)
    self.config = config
    generationConfig = nil
    (files, fileOfTensor) = ([], [:])
  }

  /// The tensors' names, sorted by their UTF-8 bytes.
  package var names: [String] { fileOfTensor.keys }

  private static func openWeights(_ url: URL) throws -> ([SafetensorsFile], ExactDictionary<Int>) {
    let single = url.appendingPathComponent("model.safetensors")
    let index = url.appendingPathComponent("model.safetensors.index.json")
    if FileManager.default.fileExists(atPath: single.path) {
      let file = try SafetensorsFile(contentsOf: single)
      return ([file], file.tensors.mapValues { _ in 0 })
    }
    if FileManager.default.fileExists(atPath: index.path) {
      return try openShards(url, index: ConfigObject(contentsOf: index))
    }
    throw FormatError(
      .missing, file: url.path,
      reason: "holds neither model.safetensors nor model.safetensors.index.json")
  }

  private static func openShards(
    _ url: URL, index: ConfigObject
  ) throws -> ([SafetensorsFile], ExactDictionary<Int>) {
    guard let map = try index.optionalObject("weight_map") else {
      throw index.error(.missing, "weight_map", "is missing")
    }
    var files: [SafetensorsFile] = []
    var indexOfFile: ExactDictionary<Int> = [:]
    var fileOfTensor: ExactDictionary<Int> = [:]
    for tensor in map.members.keys {
      let name = try map.string(tensor)
      if indexOfFile[name] == nil {
        // The name comes from the file: it must not lead out of the folder.
        guard !name.isEmpty, !name.contains("/"), !name.contains("\0"), name != "..", name != "."
        else {
          throw map.error(.malformed, tensor, "names the file \(quoted(name))")
        }
        indexOfFile[name] = files.count
        files.append(try SafetensorsFile(contentsOf: url.appendingPathComponent(name)))
      }
      guard let fileIndex = indexOfFile[name], files[fileIndex].tensors[tensor] != nil else {
        throw map.error(
          .missing, tensor, "is not in \(quoted(name)), which should hold it")
      }
      fileOfTensor[tensor] = fileIndex
    }
    return (files, fileOfTensor)
  }
}
