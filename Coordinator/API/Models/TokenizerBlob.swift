import Foundation
import ModelFormats
import Tokenizers

/// A model's tokenizer and the spelling of its special tokens as one blob: a safetensors file whose
/// U8 tensors are the files that they come from.
///
/// - `tokenizer.gguf`: the metadata of a GGUF file, without tensors; or
/// - `tokenizer.json`: as the Hugging Face hub keeps it; or
/// - `tokenizer.model`: a SentencePiece file;
/// - `special_tokens.json`: an object from names such as `bos_token` to their spelling, or to a
///   list of spellings, for the chat template.
package struct TokenizerBlob: Sendable {
  private enum Source: Sendable {
    case gguf(Data)
    case huggingFace(Data)
    case sentencePiece(Data)
  }

  private let source: Source
  /// The special tokens, as templates name them; absent where the model has none.
  package let specialTokens: JSONMembers

  private enum Name {
    static let gguf = "tokenizer.gguf"
    static let huggingFace = "tokenizer.json"
    static let sentencePiece = TokenizerBundle.sentencePieceName
    static let specialTokens = "special_tokens.json"
  }

  private static let fileLimitBytes = 256 << 20

  /// Takes the tokenizer beside or inside a model, which `bundle` was read from.
  ///
  /// - Throws: `FormatError`.
  package init(modelPath: String, bundle: TokenizerBundle) throws {
    specialTokens = bundle.specialTokens
    let url = URL(fileURLWithPath: modelPath)
    var isFolder: ObjCBool = false
    _ = FileManager.default.fileExists(atPath: modelPath, isDirectory: &isFolder)
    if isFolder.boolValue, TokenizerBundle.hasOnlySentencePieces(url) {
      source = .sentencePiece(try Self.read(url.appendingPathComponent(Name.sentencePiece)))
    } else if isFolder.boolValue {
      source = .huggingFace(try Self.read(url.appendingPathComponent("tokenizer.json")))
    } else {
      let metadata = try GGUFFile(contentsOf: url).metadata.filter {
        !$0.key.hasPrefix("general.") && $0.key != "tokenizer.chat_template"
      }
      source = .gguf(GGUFWriter.data(metadata))
    }
  }

  private static func read(_ url: URL) throws -> Data {
    guard let handle = FileHandle(forReadingAtPath: url.path) else {
      throw FormatError(.unreadable, file: url.path, reason: "the file cannot be read")
    }
    defer { try? handle.close() }
    guard let data = try handle.read(upToCount: fileLimitBytes + 1), data.count <= fileLimitBytes
    else { throw FormatError(.limitExceeded, file: url.path, reason: "empty or too large") }
    return data
  }

  /// Reads a blob.
  ///
  /// - Throws: `FormatError`.
  package init(decoding data: Data, name: String) throws {
    let file = try SafetensorsFile(data: data, name: name)
    func bytes(_ tensor: String) throws -> Data {
      Data(try file.elements(tensor, as: UInt8.self, shape: [nil]))
    }
    if file.tensors[Name.gguf] != nil {
      source = .gguf(try bytes(Name.gguf))
    } else if file.tensors[Name.sentencePiece] != nil {
      source = .sentencePiece(try bytes(Name.sentencePiece))
    } else {
      source = .huggingFace(try bytes(Name.huggingFace))
    }
    let special = try JSONReader.parse(
      Array(try bytes(Name.specialTokens)), file: name, rules: .strict)
    specialTokens = special.objectValue ?? [:]
  }

  /// The canonical bytes.
  package func encoded() throws -> Data {
    var writer = SafetensorsWriter()
    switch source {
    case .gguf(let data): try writer.add(Name.gguf, Array(data))
    case .huggingFace(let data): try writer.add(Name.huggingFace, Array(data))
    case .sentencePiece(let data): try writer.add(Name.sentencePiece, Array(data))
    }
    let style = JSONStyle(itemSeparator: ",", keySeparator: ":", sortsKeys: true)
    try writer.add(
      Name.specialTokens, Array(JSONValue.object(specialTokens).serialized(style).utf8))
    return writer.data()
  }

  /// - Throws: `TokenizerError` and `FormatError`.
  package func makeTokenizer() throws -> Tokenizer {
    switch source {
    case .gguf(let data):
      return try TokenizerBundle(gguf: GGUFFile(bytes: Array(data), name: Name.gguf)).tokenizer
    case .huggingFace(let data):
      return try Tokenizer(huggingFaceJSON: Array(data), file: Name.huggingFace)
    case .sentencePiece(let data):
      return try Tokenizer(sentencePiece: Array(data), file: Name.sentencePiece)
    }
  }
}
