import Foundation
import ModelFormats

/// A tokenizer with what a model's publisher says about using it.
package struct TokenizerBundle: Sendable {
  package var tokenizer: Tokenizer
  /// The special tokens under the names by which chat templates know them: `bos_token`,
  /// `pad_token`, a model's own ones, and lists such as `additional_special_tokens`.
  package var specialTokens: JSONMembers = [:]
  /// Ids after which generation stops.
  package var endIDs: Set<TokenID> = []
  /// The default chat template's source.
  package var chatTemplate: String?
  /// The file that the chat template is from.
  private var chatTemplateFile = ""
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

  /// Takes another chat template.
  ///
  /// - Parameter file: what errors call it.
  package mutating func replaceChatTemplate(by source: String, file: String) {
    chatTemplate = source
    chatTemplateFile = file
  }

  /// Parses the chat template, if there is one, and checks that it names nothing unknown.
  ///
  /// - Throws: `TokenizerError` that names the file and the template's line.
  package func checkChatTemplate() throws {
    guard let chatTemplate else { return }
    do {
      try ChatTemplate(source: chatTemplate).checkNames()
    } catch let error as TemplateError {
      throw TokenizerError(
        .malformed, file: chatTemplateFile, place: "chat template", error.description)
    }
  }

  /// The token that ends a text (`eos_token`).
  private var endToken: String? { specialTokens["eos_token"]?.stringValue }

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
    for (name, id) in description.specialIDs {
      if let text = token(id) { specialTokens[name] = .string(text) }
    }
    chatTemplate = description.chatTemplate
    chatTemplateFile = file.name
    let marked = ([description.endID] + description.turnEndIDs.map { $0 }).compactMap {
      description.checkedID($0).map { TokenID($0) }
    }
    let known = Self.turnEnds.compactMap { tokenizer.id(of: $0) }
    endIDs = Set(marked + known.filter { tokenizer.isSpecial($0) })
  }

  // MARK: Hugging Face

  /// Reads `tokenizer.json`, or `tokenizer.model` where there is none, and, where they are,
  /// `tokenizer_config.json`, `special_tokens_map.json`, `chat_template.jinja`,
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
    let config = try Self.json(folder, "tokenizer_config.json")
    if let config { readSpecialTokens(config) }
    // Configurations from before `added_tokens_decoder` leave the last word to the older file.
    if config?["added_tokens_decoder"] == nil,
      let map = try Self.json(folder, "special_tokens_map.json")
    {
      readSpecialTokens(map)
    }
    if let config { readTemplates(config["chat_template"], in: folder, "tokenizer_config.json") }
    if let json = try Self.json(folder, "chat_template.json") {
      readTemplates(json["chat_template"], in: folder, "chat_template.json")
    }
    let jinja = folder.appendingPathComponent("chat_template.jinja").path
    if FileManager.default.fileExists(atPath: jinja) {
      chatTemplate = String(decoding: try readFile(jinja, limit: 4 << 20), as: UTF8.self)
      chatTemplateFile = jinja
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

  private static let tokenNames = [
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
  ]
  private static let tokenListNames = ["additional_special_tokens", "extra_special_tokens"]

  /// Takes the special tokens that a file names, as transformers gives them to templates.
  private mutating func readSpecialTokens(_ config: JSONValue) {
    for name in Self.tokenNames {
      if let text = Self.tokenText(config[name]) { specialTokens[name] = .string(text) }
    }
    for name in Self.tokenListNames {
      let texts = (config[name]?.arrayValue ?? []).compactMap { Self.tokenText($0) }
      if !texts.isEmpty { specialTokens[name] = .array(texts.map { .string($0) }) }
    }
    // A model's own ones, such as `image_token`.
    for own in ["extra_special_tokens", "model_specific_special_tokens"] {
      guard let members = config[own]?.objectValue else { continue }
      for (name, value) in zip(members.keys, members.values)
      where !ChatTemplate.inputNames.contains(name) {
        if let text = Self.tokenText(value) { specialTokens[name] = .string(text) }
      }
    }
  }

  /// A token written as a string or as an added token.
  private static func tokenText(_ json: JSONValue?) -> String? {
    json?.stringValue ?? json?["content"]?.stringValue
  }

  /// One template, or a list of named ones of which `default` is the default.
  private mutating func readTemplates(_ json: JSONValue?, in folder: URL, _ file: String) {
    if json != nil { chatTemplateFile = folder.appendingPathComponent(file).path }
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
