import APIObjects

/// The body of a `/v1/chat/completions` answer.
package struct ChatCompletionBody: Encodable, Sendable {
  package struct Message: Encodable, Sendable {
    package let role = "assistant"
    package var content: String
    @Nullable package var refusal: String?

    init(content: String) {
      self.content = content
      refusal = nil
    }
  }

  package struct Choice: Encodable, Sendable {
    package var index: Int
    package var message: Message
    package let logprobs = LogprobsPlace()
    package var finishReason: String

    private enum CodingKeys: String, CodingKey {
      case index, message, logprobs
      case finishReason = "finish_reason"
    }
  }

  package var id: String
  package let object = "chat.completion"
  package var created: Int
  package var model: String
  package var choices: [Choice]
  package var usage: UsageBody
  package let serviceTier = "default"
  package var systemFingerprint: String
  package var tally: VerificationBody

  private enum CodingKeys: String, CodingKey {
    case id, object, created, model, choices, usage, tally
    case serviceTier = "service_tier"
    case systemFingerprint = "system_fingerprint"
  }
}

/// Null in the place where `LogprobsWriter` writes what was asked for.
package struct LogprobsPlace: Encodable, Sendable {
  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encodeNil()
  }
}

/// A token of a chat choice's `logprobs`.
package struct ChatLogprobsEntry: Encodable, Sendable {
  package struct Alternative: Encodable, Sendable {
    package var token: String
    package var logprob: Double
    package var bytes: [Int]
  }

  package var token: String
  package var logprob: Double
  package var bytes: [Int]
  package var topLogprobs: [Alternative]

  private enum CodingKeys: String, CodingKey {
    case token, logprob, bytes
    case topLogprobs = "top_logprobs"
  }
}

/// The body of a `/v1/completions` answer.
package struct CompletionBody: Encodable, Sendable {
  package struct Choice: Encodable, Sendable {
    package var text: String
    package var index: Int
    package let logprobs = LogprobsPlace()
    package var finishReason: String

    private enum CodingKeys: String, CodingKey {
      case text, index, logprobs
      case finishReason = "finish_reason"
    }
  }

  package var id: String
  package let object = "text_completion"
  package var created: Int
  package var model: String
  package var choices: [Choice]
  package var usage: UsageBody
  package var systemFingerprint: String
  package var tally: VerificationBody

  private enum CodingKeys: String, CodingKey {
    case id, object, created, model, choices, usage, tally
    case systemFingerprint = "system_fingerprint"
  }
}

/// `usage` of an answer. A prompt counts once, whatever `n` is.
package struct UsageBody: Codable, Hashable, Sendable {
  package struct PromptDetails: Codable, Hashable, Sendable {
    package var cachedTokens = 0

    private enum CodingKeys: String, CodingKey { case cachedTokens = "cached_tokens" }
  }
  package struct CompletionDetails: Codable, Hashable, Sendable {
    package var reasoningTokens = 0

    private enum CodingKeys: String, CodingKey { case reasoningTokens = "reasoning_tokens" }
  }
  package var promptTokens: Int
  package var completionTokens: Int
  package var totalTokens: Int
  package var promptTokensDetails = PromptDetails()
  package var completionTokensDetails = CompletionDetails()

  init(prompt: Int, completion: Int) {
    promptTokens = prompt
    completionTokens = completion
    totalTokens = prompt + completion
  }

  private enum CodingKeys: String, CodingKey {
    case promptTokens = "prompt_tokens"
    case completionTokens = "completion_tokens"
    case totalTokens = "total_tokens"
    case promptTokensDetails = "prompt_tokens_details"
    case completionTokensDetails = "completion_tokens_details"
  }
}

/// What an answer's correctness rests on; ours, beside OpenAI's fields.
package struct VerificationBody: Encodable, Hashable, Sendable {
  /// The unit's digest; its receipts name it.
  package var unit: String
  /// `quorum`, `trusted_pool` or `replay`.
  package var verification: String
  /// Equal results that the acceptance rests on.
  package var replicas: Int
  package var model: ModelOriginBody
}

/// A line of a batch's output or error file.
package struct OutputLine<Body: Encodable & Sendable>: Encodable, Sendable {
  package struct Response: Encodable, Sendable {
    package var statusCode: Int
    package var requestID: String
    package var body: Body

    private enum CodingKeys: String, CodingKey {
      case body
      case statusCode = "status_code"
      case requestID = "request_id"
    }
  }

  package struct Failure: Encodable, Sendable {
    package var code: String
    package var message: String
  }

  package var id: String
  package var customID: String
  package var response: Response?
  package var error: Failure?

  private enum CodingKeys: String, CodingKey {
    case id, response, error
    case customID = "custom_id"
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(id, forKey: .id)
    try container.encode(customID, forKey: .customID)
    // Both are documented as null when absent.
    try container.encode(response, forKey: .response)
    try container.encode(error, forKey: .error)
  }
}
