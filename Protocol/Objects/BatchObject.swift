import ModelFormats

/// OpenAI's `batch`.
package struct BatchObject: Codable, Hashable, Sendable {
  package struct Errors: Codable, Hashable, Sendable {
    package var object = "list"
    package var data: [Entry]

    package init(data: [Entry]) {
      self.data = data
    }
  }

  package struct Entry: Codable, Hashable, Sendable {
    package var code: String
    @Nullable package var line: Int?
    package var message: String
    @Nullable package var param: String?

    package init(code: String, line: Int?, message: String, param: String?) {
      self.code = code
      self.line = line
      self.message = message
      self.param = param
    }
  }

  package struct Counts: Codable, Hashable, Sendable {
    package var total: Int
    package var completed: Int
    package var failed: Int

    package init(total: Int, completed: Int, failed: Int) {
      self.total = total
      self.completed = completed
      self.failed = failed
    }
  }

  package struct Usage: Codable, Hashable, Sendable {
    package struct InputDetails: Codable, Hashable, Sendable {
      package var cachedTokens = 0

      private enum CodingKeys: String, CodingKey { case cachedTokens = "cached_tokens" }
    }
    package struct OutputDetails: Codable, Hashable, Sendable {
      package var reasoningTokens = 0

      private enum CodingKeys: String, CodingKey { case reasoningTokens = "reasoning_tokens" }
    }
    package var inputTokens: Int
    package var inputTokensDetails = InputDetails()
    package var outputTokens: Int
    package var outputTokensDetails = OutputDetails()
    package var totalTokens: Int

    package init(inputTokens: Int, outputTokens: Int, totalTokens: Int) {
      self.inputTokens = inputTokens
      self.outputTokens = outputTokens
      self.totalTokens = totalTokens
    }

    private enum CodingKeys: String, CodingKey {
      case inputTokens = "input_tokens"
      case inputTokensDetails = "input_tokens_details"
      case outputTokens = "output_tokens"
      case outputTokensDetails = "output_tokens_details"
      case totalTokens = "total_tokens"
    }
  }

  package var id: String
  package private(set) var object = "batch"
  package var endpoint: String
  @Nullable package var model: String?
  @Nullable package var errors: Errors?
  package var inputFileID: String
  package var completionWindow: String
  package var status: String
  @Nullable package var outputFileID: String?
  @Nullable package var errorFileID: String?
  package var createdAt: Int
  @Nullable package var inProgressAt: Int?
  @Nullable package var expiresAt: Int?
  @Nullable package var finalizingAt: Int?
  @Nullable package var completedAt: Int?
  @Nullable package var failedAt: Int?
  @Nullable package var expiredAt: Int?
  @Nullable package var cancellingAt: Int?
  @Nullable package var cancelledAt: Int?
  package var requestCounts: Counts
  @Nullable package var usage: Usage?
  @Nullable package var metadata: ExactDictionary<String>?

  package init(
    id: String, endpoint: String, model: String?, errors: Errors?, inputFileID: String,
    completionWindow: String, status: String, outputFileID: String?, errorFileID: String?,
    createdAt: Int, inProgressAt: Int?, expiresAt: Int?, finalizingAt: Int?, completedAt: Int?,
    failedAt: Int?, expiredAt: Int?, cancellingAt: Int?, cancelledAt: Int?, requestCounts: Counts,
    usage: Usage?, metadata: ExactDictionary<String>?
  ) {
    self.id = id
    self.endpoint = endpoint
    self.model = model
    self.errors = errors
    self.inputFileID = inputFileID
    self.completionWindow = completionWindow
    self.status = status
    self.outputFileID = outputFileID
    self.errorFileID = errorFileID
    self.createdAt = createdAt
    self.inProgressAt = inProgressAt
    self.expiresAt = expiresAt
    self.finalizingAt = finalizingAt
    self.completedAt = completedAt
    self.failedAt = failedAt
    self.expiredAt = expiredAt
    self.cancellingAt = cancellingAt
    self.cancelledAt = cancelledAt
    self.requestCounts = requestCounts
    self.usage = usage
    self.metadata = metadata
  }

  private enum CodingKeys: String, CodingKey {
    case id, object, endpoint, model, errors, status, usage, metadata
    case inputFileID = "input_file_id"
    case completionWindow = "completion_window"
    case outputFileID = "output_file_id"
    case errorFileID = "error_file_id"
    case createdAt = "created_at"
    case inProgressAt = "in_progress_at"
    case expiresAt = "expires_at"
    case finalizingAt = "finalizing_at"
    case completedAt = "completed_at"
    case failedAt = "failed_at"
    case expiredAt = "expired_at"
    case cancellingAt = "cancelling_at"
    case cancelledAt = "cancelled_at"
    case requestCounts = "request_counts"
  }
}
