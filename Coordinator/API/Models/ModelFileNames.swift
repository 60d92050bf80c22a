import Foundation
import ModelFormats
import Tokenizers

/// The files of a model by their names on the Hugging Face hub.
package enum ModelFileNames {
  /// What says whose the model is; its front matter is read.
  package static let card = "README.md"
  /// Texts of licences, the first of which counts.
  package static let licences = [
    "LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "LICENCE.txt", "LICENCE.md", "LICENSE-MODEL",
    "COPYING",
  ]
  /// What a folder holds beside weights; `tokenizer.model` counts where there is no tokenizer.json.
  package static let settings: Set<String> = [
    "config.json", "generation_config.json", "model.safetensors.index.json", "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "chat_template.json",
  ]

  /// Whether a file says what the model may be used for.
  package static func isNotice(_ name: String) -> Bool { name == card || licences.contains(name) }

  /// The files that a model is made from, by name.
  ///
  /// - Parameters:
  ///   - path: a GGUF file or a folder.
  ///   - notices: the folder with licence and card.
  /// - Throws: `FormatError`.
  static func files(of path: String, notices: URL?) throws -> [(name: String, url: URL)] {
    let url = URL(fileURLWithPath: path)
    var isFolder: ObjCBool = false
    _ = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
    var files: ExactDictionary<URL> = [:]
    if isFolder.boolValue {
      for file in try HuggingFaceFolder(url).files {
        let weights = URL(fileURLWithPath: file.name)
        files[weights.lastPathComponent] = weights
      }
      let beside = settings.union([TokenizerBundle.sentencePieceName])
      for name in beside
      where name != TokenizerBundle.sentencePieceName || TokenizerBundle.hasOnlySentencePieces(url)
      {
        files[name] = url.appendingPathComponent(name)
      }
    } else {
      let name = url.lastPathComponent
      for part in GGUFParts.names(from: name) ?? [name] {
        files[part] = url.deletingLastPathComponent().appendingPathComponent(part)
      }
    }
    for name in [card] + licences {
      if let notices { files[name] = notices.appendingPathComponent(name) }
    }
    return files.filter { FileManager.default.fileExists(atPath: $0.value.path) }
      .map { (name: $0.key, url: $0.value) }
  }
}
