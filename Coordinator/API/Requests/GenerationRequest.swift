import ModelFormats
import Tokenizers

/// The two kinds of request that a batch may hold, named by OpenAI's paths.
package enum GenerationEndpoint: String, Codable, Hashable, Sendable, CaseIterable {
  case chatCompletions = "/v1/chat/completions"
  case completions = "/v1/completions"
}

/// What to continue.
package enum GenerationPrompt: Hashable, Sendable {
  /// Rendered by the model's chat template.
  case messages([ChatMessage])
  /// One or several texts.
  case texts([String])
  /// One or several token sequences, taken as they are.
  case tokens([[Int32]])

  /// How many sequences one choice of each makes.
  package var count: Int {
    switch self {
    case .messages: 1
    case .texts(let texts): texts.count
    case .tokens(let tokens): tokens.count
    }
  }
}

/// One message of a chat.
package struct ChatMessage: Hashable, Sendable {
  /// `system`, `developer`, `user` or `assistant`; the model's template decides which it knows.
  package var role: String
  package var content: ChatContent
  package var name: String?
  /// What the assistant thought before it gave this answer.
  package var reasoning: String?

  package init(
    role: String, content: ChatContent, name: String? = nil, reasoning: String? = nil
  ) {
    self.role = role
    self.content = content
    self.name = name
    self.reasoning = reasoning
  }
}

/// A validated body of `/v1/chat/completions` or `/v1/completions`: values in range, nothing
/// unsupported.
package struct GenerationRequest: Hashable, Sendable {
  package var model: String
  package var prompt: GenerationPrompt
  /// `n`: how many choices for each prompt.
  package var choices = 1
  /// Nil when the request leaves it to the server.
  package var maximumTokens: Int?
  package var temperature: Float = 1
  package var topP: Float = 1
  package var minP: Float = 0
  /// 0 means off.
  package var topK = 0
  package var seed: Int64?
  package var stop: [String] = []
  /// How many alternatives to report for each token; nil when no log-probabilities are wanted.
  package var topLogprobs: Int?

  package init(model: String, prompt: GenerationPrompt) {
    self.model = model
    self.prompt = prompt
  }
}

/// Reads bodies of the two endpoints, as a batch line holds them.
package struct GenerationRequestParser: Sendable {
  /// What a request may ask for at most.
  package struct Limits: Sendable {
    /// `n`, and `n` times the number of prompts.
    package var sequences = 128
    package var stopStrings = 4
    package var stopStringBytes = 1024
    package var messages = 4096

    package init() {}
  }

  private let limits: Limits

  var maximumMessages: Int { limits.messages }

  package init(limits: Limits = Limits()) { self.limits = limits }

  /// - Throws: `FieldError` for the first thing that is wrong.
  package func parse(_ body: JSONValue, endpoint: GenerationEndpoint) throws -> GenerationRequest {
    let fields = try RequestFields(body, path: "body")
    let model = try fields.requiredString("model")
    var request: GenerationRequest
    switch endpoint {
    case .chatCompletions:
      request = GenerationRequest(model: model, prompt: .messages(try messages(fields)))
      try chatParameters(fields, into: &request)
    case .completions:
      request = GenerationRequest(model: model, prompt: try prompts(fields))
      try completionParameters(fields, into: &request)
    }
    try sampling(fields, into: &request)
    try neutralParameters(fields, endpoint: endpoint)
    guard request.choices * request.prompt.count <= limits.sequences else {
      throw fields.invalid("n", "more than \(limits.sequences) sequences in one request")
    }
    return request
  }

  private func sampling(_ fields: RequestFields, into request: inout GenerationRequest) throws {
    request.temperature = Float(try fields.number("temperature", in: 0...2) ?? 1)
    request.topP = Float(try fields.number("top_p", in: 0...1) ?? 1)
    if request.topP == 0 {
      // No mass at all leaves the most likely token.
      request.topP = 1
      request.temperature = 0
    }
    request.minP = Float(try fields.number("min_p", in: 0...1) ?? 0)
    // -1 is how some servers spell "off".
    request.topK = max(0, try fields.integer("top_k", in: -1...Int(Int32.max)) ?? 0)
    request.seed = try fields.integer("seed").map(Int64.init)
    request.choices = try fields.integer("n", in: 1...limits.sequences) ?? 1
    request.stop = try stop(fields)
  }

  private func stop(_ fields: RequestFields) throws -> [String] {
    guard let value = fields.value("stop") else { return [] }
    let strings: [String]
    if let one = value.stringValue {
      strings = [one]
    } else if let several = value.arrayValue {
      strings = try several.map { element in
        guard let text = element.stringValue else {
          throw fields.wrongType("stop", "a string or an array of strings")
        }
        return text
      }
    } else {
      throw fields.wrongType("stop", "a string or an array of strings")
    }
    guard strings.count <= limits.stopStrings else {
      throw fields.invalid("stop", "more than \(limits.stopStrings) sequences")
    }
    guard strings.allSatisfy({ (1...limits.stopStringBytes).contains($0.utf8.count) }) else {
      throw fields.invalid("stop", "each is 1 to \(limits.stopStringBytes) bytes long")
    }
    return strings
  }

  /// Parameters that change nothing are accepted with their neutral values; every other one is
  /// refused by name, since to ignore it would give an answer that was not asked for.
  private func neutralParameters(_ fields: RequestFields, endpoint: GenerationEndpoint) throws {
    for key in fields.keys {
      guard let rule = GenerationParameter.rule(key, endpoint: endpoint) else {
        throw fields.unsupported(key)
      }
      switch rule {
      case .read, .ignored: continue
      case .neutral(let accepts, let only):
        guard let value = fields.value(key), accepts(value) else {
          throw fields.unsupported(key, "only \(only) is supported")
        }
      }
    }
  }
}

/// What is done with each parameter that OpenAI's documentation names.
private enum GenerationParameter {
  /// Read elsewhere.
  case read
  /// Has no influence on the answer.
  case ignored
  /// Accepted when it asks for nothing; the words say what that is.
  case neutral((JSONValue) -> Bool, String)

  static func rule(_ key: String, endpoint: GenerationEndpoint) -> GenerationParameter? {
    if let rule = shared(key) { return rule }
    switch (endpoint, key) {
    case (.chatCompletions, "messages"), (.chatCompletions, "max_completion_tokens"),
      (.chatCompletions, "top_logprobs"), (.completions, "prompt"), (.completions, "best_of"):
      return .read
    case (.chatCompletions, "response_format"):
      return .neutral(
        { $0.objectValue == ["type": .string("text")] }, "{\"type\": \"text\"}")
    case (.chatCompletions, "tools"), (.chatCompletions, "functions"):
      return .neutral({ $0.arrayValue?.isEmpty == true }, "an empty list")
    case (.chatCompletions, "tool_choice"), (.chatCompletions, "function_call"):
      return .neutral({ $0.stringValue == "none" || $0.stringValue == "auto" }, "\"none\"")
    case (.chatCompletions, "modalities"):
      return .neutral({ $0.arrayValue == [.string("text")] }, "[\"text\"]")
    case (.chatCompletions, "parallel_tool_calls"), (.chatCompletions, "store"):
      return .neutral({ $0.boolValue != nil }, "a boolean")
    case (.completions, "top_logprobs"): return .neutral({ $0.intValue == 0 }, "0")
    case (.completions, "echo"): return .neutral({ $0.boolValue == false }, "false")
    case (.completions, "suffix"): return .neutral({ $0.stringValue == "" }, "null")
    default: return nil
    }
  }

  private static func shared(_ key: String) -> GenerationParameter? {
    switch key {
    case "model", "temperature", "top_p", "top_k", "min_p", "seed", "max_tokens", "stop",
      "logprobs", "n":
      .read
    case "user", "metadata", "service_tier", "safety_identifier", "prompt_cache_key": .ignored
    case "stream": .neutral({ $0.boolValue == false }, "false")
    case "frequency_penalty", "presence_penalty": .neutral({ $0.doubleValue == 0 }, "0")
    case "logit_bias": .neutral({ $0.objectValue?.isEmpty == true }, "an empty object")
    default: nil
    }
  }
}
