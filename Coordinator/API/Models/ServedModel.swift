import CoordinatorStore
import Foundation
import ModelFormats
import Tokenizers

/// A model with what turns prompts into its tokens.
package struct ServedModel: PromptEncoder {
  package let record: ModelRecord
  package let tokenizer: Tokenizer
  private let template: ChatTemplate?
  private let specialTokens: [String: String]

  init(
    record: ModelRecord, tokenizer: Tokenizer, specialTokens: [String: String], vocabularySize: Int
  ) throws {
    self.record = record
    self.vocabularySize = vocabularySize
    self.tokenizer = tokenizer
    self.specialTokens = specialTokens
    template = try record.chatTemplate.map { try ChatTemplate($0) }
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
      throw PromptRefusal("tokenizer_error", "The prompt cannot be tokenized: \(error)", param: param)
    }
  }

  private func render(_ messages: [ChatMessage]) throws -> String {
    guard let template else {
      throw PromptRefusal(
        "chat_template_missing",
        "The model '\(record.id)' has no chat template; use /v1/completions.", param: "messages")
    }
    do {
      return try template.render(
        messages: messages, specialTokens: specialTokens)
    } catch {
      throw PromptRefusal(
        "chat_template_error", "The model's chat template refuses the messages: \(error)",
        param: "messages")
    }
  }
}
