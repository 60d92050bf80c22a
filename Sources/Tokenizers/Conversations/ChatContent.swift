import ModelFormats

/// The words of one message, as its sender cut them.
package enum ChatContent: Hashable, Sendable, ExpressibleByStringLiteral {
  case text(String)
  /// The texts of content parts, in order.
  case parts([String])

  package init(stringLiteral text: String) { self = .text(text) }

  /// As templates take it: a text, or a list of `{"type": "text", "text": ...}`.
  package var templateValue: TemplateValue {
    switch self {
    case .text(let text): .string(text)
    case .parts(let texts):
      .array(texts.map { .object(["type": .string("text"), "text": .string($0)]) })
    }
  }

  /// What a template that takes texts only is given for a list of parts; nil for anything else than
  /// a list of text parts.
  static func joined(_ content: TemplateValue?) -> String? {
    guard let parts = content?.arrayValue, !parts.isEmpty else { return nil }
    let texts = parts.compactMap { part in
      part["type"]?.stringValue == "text" ? part["text"]?.stringValue : nil
    }
    return texts.count == parts.count ? texts.joined(separator: "\n") : nil
  }
}

extension ChatTemplate {
  /// A message as templates take it.
  ///
  /// - Parameter reasoning: what the assistant thought before the answer; templates call it
  ///   `reasoning` or `reasoning_content`, so it has both names.
  package static func message(
    role: String, content: ChatContent, name: String? = nil, reasoning: String? = nil
  ) -> TemplateValue {
    var members: JSONMembers = ["role": .string(role), "content": content.templateValue]
    if let name { members["name"] = .string(name) }
    if let reasoning {
      members["reasoning"] = .string(reasoning)
      members["reasoning_content"] = .string(reasoning)
    }
    return .object(members)
  }
}
