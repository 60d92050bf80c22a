import Foundation
import ModelFormats

/// The work of `tally render`: a template and a JSON case in, text out.
package struct RenderCommand: Sendable {
  package let template: ChatTemplate

  package init(_ template: ChatTemplate) { self.template = template }

  /// Reads a template.
  ///
  /// - Throws: as `source`, and `TemplateError`.
  package init(path: String) throws {
    template = try ChatTemplate(source: try Self.source(path))
  }

  /// The text of a template.
  ///
  /// - Parameter path: a template's text; a JSON file that holds one in `chat_template` or
  ///   `template` (`tokenizer_config.json`, `chat_template.json`, a file of cases); a Hugging Face
  ///   folder; or a GGUF file.
  /// - Throws: `TokenizerError` or `FormatError`.
  package static func source(_ path: String) throws -> String {
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
      let bundle = try TokenizerBundle(path: path)
      guard let template = bundle.chatTemplate else {
        throw TokenizerError(.malformed, file: path, "no chat template")
      }
      return template
    }
    if path.hasSuffix(".gguf") {
      guard let template = try TokenizerBundle(path: path).chatTemplate else {
        throw TokenizerError(.malformed, file: path, "no chat template")
      }
      return template
    }
    let bytes = try readFile(path, limit: 64 << 20)
    if let json = try? parseJSON(bytes, file: path), json.objectValue != nil {
      guard let template = template(in: json) else {
        throw TokenizerError(.malformed, file: path, place: "chat_template", "missing")
      }
      return template
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw TokenizerError(.malformed, file: path, "not UTF-8")
    }
    return text
  }

  private static func template(in json: JSONValue) -> String? {
    let member = json["chat_template"] ?? json["template"]
    if let text = member?.stringValue { return text }
    let named = member?.arrayValue ?? []
    let entry = named.first { $0["name"]?.stringValue == "default" } ?? named.first
    return entry?["template"]?.stringValue
  }

  /// Renders a case: an object with `messages` and, as far as they matter, `tools`, `documents`,
  /// `add_generation_prompt` (false when absent), `strftime_now` (the moment that `strftime_now`
  /// shows, `YYYY-MM-DDTHH:MM:SS`) and any further variables of the template. `name`, `rendered`
  /// and `error` are not for the template.
  ///
  /// - Parameter now: what `strftime_now` shows when the case does not say.
  /// - Throws: `TokenizerError` for a case that is not of this shape, `TemplateError` from the
  ///   template.
  package func conversation(caseJSON text: String, now: TemplateClock) throws
    -> RenderedConversation
  {
    try conversation(case: try parseJSON(Array(text.utf8)), now: now)
  }

  /// The text of `conversation(caseJSON:now:)` with the case parsed.
  package func render(case json: JSONValue, now: TemplateClock) throws -> String {
    try conversation(case: json, now: now).text
  }

  private func conversation(case json: JSONValue, now: TemplateClock) throws
    -> RenderedConversation
  {
    guard let members = json.objectValue, let messages = members["messages"]?.arrayValue else {
      throw TokenizerError(.malformed, place: "messages", "missing, or no list")
    }
    var clock = now
    if let text = members["strftime_now"]?.stringValue {
      guard let moment = TemplateClock(text) else {
        throw TokenizerError(.malformed, place: "strftime_now", "not YYYY-MM-DDTHH:MM:SS")
      }
      clock = moment
    }
    // Not for the template, or given to it in another way.
    let own: Set<String> = [
      "messages", "add_generation_prompt", "strftime_now", "name", "rendered", "error", "template",
    ]
    var variables: JSONMembers = [:]
    for (key, value) in zip(members.keys, members.values) where !own.contains(key) {
      variables[key] = value
    }
    return try ConversationRenderer(template, variables: variables, clock: clock)
      .render(
        messages, addGenerationPrompt: members["add_generation_prompt"]?.boolValue ?? false)
  }
}
