import ModelFormats

/// What is put around the ids of a single text when special tokens are wanted.
struct PostProcessor: Sendable {
  private enum Piece: Sendable {
    case ids([UInt32])
    case text
  }

  /// Templates, applied one after the other.
  private var templates: [[Piece]] = []

  /// Adds nothing.
  init() {}

  /// Puts one token before and one after where they are given.
  init(before: UInt32?, after: UInt32?) {
    templates = [[.ids(before.map { [$0] } ?? []), .text, .ids(after.map { [$0] } ?? [])]]
  }

  /// - Parameter json: the `post_processor` member of a tokenizer file.
  /// - Throws: `TokenizerError` for a kind that is unknown or a template that is incomplete.
  init(_ json: JSONValue) throws {
    let type = json["type"]?.stringValue ?? ""
    switch type {
    case "Sequence":
      for member in json["processors"]?.arrayValue ?? [] {
        templates += try PostProcessor(member).templates
      }
    case "TemplateProcessing": templates = [try Self.template(json)]
    case "BertProcessing", "RobertaProcessing":
      templates = [[try Self.pair(json, "cls"), .text, try Self.pair(json, "sep")]]
    case "ByteLevel": break
    default:
      throw TokenizerError(.unsupported, place: "post_processor", "type \(quoted(type))")
    }
  }

  private static func id(_ json: JSONValue?, _ place: String) throws -> UInt32 {
    guard let value = json?.intValue, value >= 0, value < TokenTable.idLimit else {
      throw TokenizerError(.malformed, place: place, "not a token id")
    }
    return UInt32(value)
  }

  private static func pair(_ json: JSONValue, _ key: String) throws -> Piece {
    guard let pair = json[key]?.arrayValue, pair.count == 2 else {
      throw TokenizerError(.malformed, place: "post_processor.\(key)", "not a pair")
    }
    return .ids([try id(pair[1], "post_processor.\(key)")])
  }

  private static func template(_ json: JSONValue) throws -> [Piece] {
    try (json["single"]?.arrayValue ?? []).map { piece in
      if piece["Sequence"] != nil { return .text }
      let place = "post_processor.single"
      guard let name = piece["SpecialToken"]?["id"]?.stringValue,
        let ids = json["special_tokens"]?[name]?["ids"]?.arrayValue
      else { throw TokenizerError(.malformed, place: place, "unknown special token") }
      return .ids(try ids.map { try id($0, place) })
    }
  }

  func apply(_ ids: [UInt32]) -> [UInt32] {
    templates.reduce(ids) { ids, template in
      template.flatMap { piece in
        switch piece {
        case .ids(let special): special
        case .text: ids
        }
      }
    }
  }
}
