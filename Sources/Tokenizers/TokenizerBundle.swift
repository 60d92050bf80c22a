import Foundation
import ModelFormats

/// A tokenizer with what a model's publisher says about using it.
package struct TokenizerBundle: Sendable {
  package var tokenizer: Tokenizer
  /// The token that begins a text, as chat templates get it (`bos_token`).
  package var beginningToken: String?
  /// The token that ends a text, as chat templates get it (`eos_token`).
  package var endToken: String?
  /// Ids after which generation stops.
  package var endIDs: Set<TokenID> = []
  /// The default chat template's source.
  package var chatTemplate: String?
  /// Templates for special uses by name, such as `tool_use`.
  package var namedChatTemplates: [String: String] = [:]

  /// Loads from a `tokenizer.json`, a SentencePiece `.model` file, a Hugging Face folder or a GGUF
  /// file.
  ///
  /// - Throws: `TokenizerError` or `FormatError`, naming the file and the reason.
  package init(path: String) throws {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw TokenizerError(.unreadable, file: path, "no such file")
    }
    if isFolder.boolValue {
      try self.init(folder: URL(fileURLWithPath: path))
    } else if try Self.isGGUF(path) {
      try self.init(gguf: try GGUFFile(contentsOf: URL(fileURLWithPath: path)))
    } else if path.hasSuffix(".model") {
      self.init(try Tokenizer(sentencePieceFile: path))
    } else {
      self.init(try Tokenizer(huggingFaceFile: path))
    }
  }

  /// A tokenizer alone.
  package init(_ tokenizer: Tokenizer) { self.tokenizer = tokenizer }

  private static func isGGUF(_ path: String) throws -> Bool {
    guard let handle = FileHandle(forReadingAtPath: path) else {
      throw TokenizerError(.unreadable, file: path, "cannot be opened")
    }
    defer { try? handle.close() }
    return try handle.read(upToCount: 4) == Data("GGUF".utf8)
  }

  // MARK: GGUF

  /// Names of tokens that end a turn in published models; files often mark only one of them.
  private static let turnEnds = [
    "<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<turn|>",
    "<|endoftext|>", "<|end_of_text|>", "<|EOT|>", "<EOT>", "<｜end▁of▁sentence｜>",
  ]

  /// Throws: `TokenizerError` when the file holds no tokenizer that is known.
  package init(gguf file: GGUFFile) throws {
    let description = try GGUFTokenizerDescription(file)
    tokenizer = try Tokenizer(gguf: description, file: file.name)
    let token = { (id: Int?) in description.checkedID(id).map { description.tokens[Int($0)] } }
    beginningToken = token(description.beginningID)
    endToken = token(description.endID)
    chatTemplate = description.chatTemplate
    let marked = ([description.endID] + description.turnEndIDs.map { $0 }).compactMap {
      description.checkedID($0).map { TokenID($0) }
    }
    let known = Self.turnEnds.compactMap { tokenizer.id(of: $0) }
    endIDs = Set(marked + known.filter { tokenizer.isSpecial($0) })
  }

  // MARK: Hugging Face

  /// Reads `tokenizer.json`, or `tokenizer.model` where there is none, and, where they are, `tokenizer_config.json`, `chat_template.jinja`,
  /// `chat_template.json` and the end tokens of `generation_config.json` or `config.json`.
  ///
  /// - Throws: `TokenizerError`.
  package init(folder: URL) throws {
    let pieces = folder.appendingPathComponent(Self.sentencePieceName).path
    if Self.hasOnlySentencePieces(folder) {
      tokenizer = try Tokenizer(sentencePieceFile: pieces)
    } else {
      tokenizer = try Tokenizer(
        huggingFaceFile: folder.appendingPathComponent("tokenizer.json").path)
    }
    if let config = try Self.json(folder, "tokenizer_config.json") {
      beginningToken = Self.tokenText(config["bos_token"])
      endToken = Self.tokenText(config["eos_token"])
      readTemplates(config["chat_template"])
    }
    if let json = try Self.json(folder, "chat_template.json") {
      readTemplates(json["chat_template"])
    }
    let jinja = folder.appendingPathComponent("chat_template.jinja").path
    if FileManager.default.fileExists(atPath: jinja) {
      chatTemplate = String(decoding: try readFile(jinja, limit: 4 << 20), as: UTF8.self)
    }
    if let endToken, let id = tokenizer.id(of: endToken) { endIDs.insert(id) }
    for name in ["generation_config.json", "config.json"] {
      guard let ids = try Self.json(folder, name)?["eos_token_id"] else { continue }
      let list = ids.arrayValue ?? [ids]
      endIDs.formUnion(list.compactMap { $0.intValue.flatMap { TokenID(exactly: $0) } })
      break
    }
  }

  /// What a folder calls its SentencePiece file.
  package static let sentencePieceName = "tokenizer.model"

  /// Whether a folder's tokenizer is a SentencePiece file.
  package static func hasOnlySentencePieces(_ folder: URL) -> Bool {
    func exists(_ name: String) -> Bool {
      FileManager.default.fileExists(atPath: folder.appendingPathComponent(name).path)
    }
    return exists(sentencePieceName) && !exists("tokenizer.json")
  }

  private static func json(_ folder: URL, _ name: String) throws -> JSONValue? {
    let path = folder.appendingPathComponent(name).path
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    return try parseJSON(try readFile(path, limit: 64 << 20), file: path)
  }

  /// A token written as a string or as an added token.
  private static func tokenText(_ json: JSONValue?) -> String? {
    json?.stringValue ?? json?["content"]?.stringValue
  }

  /// One template, or a list of named ones of which `default` is the default.
  private mutating func readTemplates(_ json: JSONValue?) {
    if let text = json?.stringValue { chatTemplate = text }
    for entry in json?.arrayValue ?? [] {
      guard let name = entry["name"]?.stringValue, let text = entry["template"]?.stringValue else {
        continue
      }
      namedChatTemplates[name] = text
      if name == "default" { chatTemplate = text }
    }
  }
}
