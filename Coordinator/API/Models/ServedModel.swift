import CoordinatorCore
import CoordinatorStore
import Foundation
import ModelFormats
import Tokenizers

/// A model with what turns prompts into its tokens.
package struct ServedModel: PromptEncoder {
  package let record: ModelRecord
  package let tokenizer: Tokenizer
  let template: ChatTemplate?
  let specialTokens: JSONMembers
  /// What the template's `strftime_now` shows.
  let clock: TemplateClock
  private let conversations: ConversationRenderer?

  /// - Parameter date: the batch's time, so that a line that is rendered again gives the same
  ///   tokens.
  init(
    record: ModelRecord, tokenizer: Tokenizer, template: ChatTemplate?,
    specialTokens: JSONMembers, vocabularySize: Int, date: Timestamp
  ) {
    self.record = record
    self.vocabularySize = vocabularySize
    self.tokenizer = tokenizer
    self.specialTokens = specialTokens
    self.template = template
    let clock = TemplateClock(secondsSince1970: Int64(date.seconds))
    self.clock = clock
    conversations = template.map {
      ConversationRenderer($0, variables: specialTokens, clock: clock)
    }
  }

  package var contextLength: Int { record.contextLength }
  package let vocabularySize: Int

  package func tokens(of prompt: GenerationPrompt) throws -> [[Int32]] {
    switch prompt {
    case .messages(let messages):
      let text = try render(messages)
      // The template spells the special tokens itself.
      return [try encode(text, addSpecialTokens: false, param: "messages")]
    case .texts(let texts):
      return try texts.map { try encode($0, addSpecialTokens: true, param: "prompt") }
    case .tokens(let tokens):
      return tokens
    }
  }

  private func encode(_ text: String, addSpecialTokens: Bool, param: String) throws -> [Int32] {
    do {
      return try tokenizer.encode(text, addSpecialTokens: addSpecialTokens)
    } catch {
      throw PromptRefusal(
        "tokenizer_error", "The prompt cannot be tokenized: \(error)", param: param)
    }
  }

  private func render(_ messages: [ChatMessage]) throws -> String {
    guard let conversations else {
      throw PromptRefusal(
        "chat_template_missing",
        "The model '\(record.id)' has no chat template; use /v1/completions.", param: "messages")
    }
    let values = messages.map {
      ChatTemplate.message(
        role: $0.role, content: $0.content, name: $0.name, reasoning: $0.reasoning)
    }
    do {
      let rendered = try conversations.render(values, addGenerationPrompt: true)
      if let index = rendered.ignored.first {
        throw PromptRefusal(
          "chat_template_error",
          "The model's chat template leaves out messages[\(index)], of role "
            + "'\(messages[index].role)'.", param: "messages[\(index)]")
      }
      return rendered.text
    } catch let error as TemplateError {
      throw Self.refusal(error)
    }
  }

  private static func refusal(_ error: TemplateError) -> PromptRefusal {
    switch error.code {
    case .raised:
      PromptRefusal(
        "chat_template_error", "The model's chat template refuses the messages: \(error.message)",
        param: "messages")
    case .stepLimit, .limitExceeded:
      PromptRefusal(
        "chat_template_limit",
        "The messages are more than this server renders with the model's chat template: "
          + "\(error.message).", param: "messages")
    case .syntax, .evaluation:
      PromptRefusal(
        "chat_template_error", "The model's chat template fails on the messages: \(error)",
        param: "messages")
    }
  }
}
