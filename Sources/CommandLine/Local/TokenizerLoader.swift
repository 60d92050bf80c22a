import Foundation
import Tokenizers

/// Finds the tokenizer that a path means.
enum TokenizerLoader {
  /// - Parameter path: a tokenizer.json, a folder that holds one, or a GGUF file.
  static func load(path: String) throws -> Tokenizer {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw CommandError("\(path): no such file or folder")
    }
    return try Tokenizer(
      huggingFaceFile: isFolder.boolValue
        ? URL(filePath: path).appending(path: "tokenizer.json").path : path)
  }
}
