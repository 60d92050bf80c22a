import ModelFormats
import Tokenizers

extension GenerationRequestParser {
  /// `messages`: roles and text.
  func messages(_ fields: RequestFields) throws -> [ChatMessage] {
    guard let values = try fields.array("messages") else { throw fields.missing("messages") }
    guard !values.isEmpty else { throw fields.invalid("messages", "it is empty") }
    guard values.count <= maximumMessages else {
      throw fields.invalid("messages", "more than \(maximumMessages) messages")
    }
    return try values.enumerated().map { index, value in
      try message(value, RequestFields(value, path: "body.messages[\(index)]"))
    }
  }

  private func message(_ value: JSONValue, _ fields: RequestFields) throws -> ChatMessage {
    let role = try fields.requiredString("role")
    let history = try history(value, fields, role: role)
    guard ["system", "developer", "user", "assistant"].contains(role) else {
      throw fields.invalid(
        "role", "'\(role.prefix(50))' is not one of system, developer, user, assistant")
    }
    return ChatMessage(
      role: role, content: try history.refusal.map(ChatContent.text) ?? content(fields),
      name: try fields.string("name"), reasoning: history.reasoning)
  }

  private func history(
    _ value: JSONValue, _ fields: RequestFields, role: String
  ) throws -> AnswerHistory {
    do throws(AnswerHistory.Fault) {
      return try AnswerHistory(
        value.objectValue ?? [:], role: role, known: ["role", "content", "name"])
    } catch {
      switch error {
      case .unknown(let key): throw fields.unsupported(key)
      case .noText(let key): throw fields.wrongType(key, "a string")
      case .contradiction(let key, let other): throw fields.invalid(key, "it contradicts \(other)")
      }
    }
  }

  private func content(_ fields: RequestFields) throws -> ChatContent {
    guard let value = fields.value("content") else { throw fields.missing("content") }
    if let text = value.stringValue { return .text(text) }
    guard let parts = value.arrayValue else {
      throw fields.wrongType("content", "a string or an array of content parts")
    }
    guard !parts.isEmpty else { throw fields.invalid("content", "it has no parts") }
    let texts = try parts.enumerated().map { index, part in
      let part = try RequestFields(part, path: fields.name("content[\(index)]"))
      let type = try part.requiredString("type")
      guard type == "text" else {
        throw part.invalid("type", "'\(type.prefix(50))': only parts of type text are supported")
      }
      return try part.requiredString("text")
    }
    return .parts(texts)
  }

  /// `prompt`: a text, texts, tokens, or token sequences.
  func prompts(_ fields: RequestFields) throws -> GenerationPrompt {
    guard let value = fields.value("prompt") else { throw fields.missing("prompt") }
    if let text = value.stringValue { return .texts([text]) }
    guard let elements = value.arrayValue else {
      throw fields.wrongType("prompt", "a string, an array of strings or an array of tokens")
    }
    guard let first = elements.first else { throw fields.invalid("prompt", "it is empty") }
    switch first {
    case .string:
      return .texts(
        try elements.map { element in
          guard let text = element.stringValue else { throw mixed(fields) }
          return text
        })
    case .array:
      return .tokens(
        try elements.map { element in
          guard let tokens = element.arrayValue else { throw mixed(fields) }
          return try self.tokens(tokens, fields)
        })
    default:
      return .tokens([try tokens(elements, fields)])
    }
  }

  private func mixed(_ fields: RequestFields) -> FieldError {
    fields.wrongType("prompt", "elements of one type")
  }

  private func tokens(_ values: [JSONValue], _ fields: RequestFields) throws -> [Int32] {
    guard !values.isEmpty else { throw fields.invalid("prompt", "a token sequence is empty") }
    return try values.map { value in
      guard RequestFields.isInteger(value) else {
        throw fields.wrongType("prompt", "tokens that are non-negative integers")
      }
      guard let number = value.intValue, let token = Int32(exactly: number), token >= 0 else {
        throw fields.invalid("prompt", "a token is not between 0 and \(Int32.max)")
      }
      return token
    }
  }

  /// `max_tokens`, `max_completion_tokens`, `logprobs` and `top_logprobs` of a chat request.
  func chatParameters(_ fields: RequestFields, into request: inout GenerationRequest) throws {
    let older = try fields.integer("max_tokens", in: 1...Int(Int32.max))
    let newer = try fields.integer("max_completion_tokens", in: 1...Int(Int32.max))
    if let older, let newer, older != newer {
      throw fields.invalid("max_tokens", "it contradicts max_completion_tokens")
    }
    request.maximumTokens = newer ?? older
    let wanted = try fields.bool("logprobs") ?? false
    let alternatives = try fields.integer("top_logprobs", in: 0...20)
    guard wanted || alternatives ?? 0 == 0 else {
      throw fields.invalid("top_logprobs", "it needs logprobs to be true")
    }
    request.topLogprobs = wanted ? alternatives ?? 0 : nil
  }

  /// `max_tokens`, `logprobs` and `best_of` of a completion request.
  func completionParameters(_ fields: RequestFields, into request: inout GenerationRequest) throws {
    request.maximumTokens = try fields.integer("max_tokens", in: 1...Int(Int32.max)) ?? 16
    // What chats say for none.
    let wantsNone = fields.value("logprobs")?.boolValue == false
    request.topLogprobs = wantsNone ? nil : try fields.integer("logprobs", in: 0...5)
    if let best = try fields.integer("best_of"), best != (try fields.integer("n") ?? 1) {
      throw fields.unsupported("best_of", "only the value of n is supported")
    }
  }
}
