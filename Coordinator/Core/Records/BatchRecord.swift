import ModelFormats
import WireProtocol

/// A batch to be created.
package struct NewBatch: Hashable, Sendable {
  package var keyID: String
  package var inputFileID: String
  /// The input file's bytes: deleting the file does not disturb the batch.
  package var inputBlob: Digest
  /// `/v1/chat/completions` or `/v1/completions`.
  package var endpoint: String
  /// As the client spelled it, such as "24h".
  package var completionWindow: String
  package var completionWindowSeconds: Int
  package var metadata: ExactDictionary<String>?
  package var pool: WorkPool
  /// Higher runs first among the batches of one API key; -100 to 100.
  package var priority: Int
  /// Seconds that output and error files live, counted from the batch's creation; nil: for ever.
  package var outputExpiresAfterSeconds: Int?
  /// Lines of the input file, for the key's quota; nil where none counts them.
  package var lines: Int?

  package init(
    keyID: String, inputFileID: String, inputBlob: Digest, endpoint: String,
    completionWindow: String, completionWindowSeconds: Int,
    metadata: ExactDictionary<String>? = nil,
    pool: WorkPool = .public, priority: Int = 0, outputExpiresAfterSeconds: Int? = nil,
    lines: Int? = nil
  ) {
    self.keyID = keyID
    self.inputFileID = inputFileID
    self.inputBlob = inputBlob
    self.endpoint = endpoint
    self.completionWindow = completionWindow
    self.completionWindowSeconds = completionWindowSeconds
    self.metadata = metadata
    self.pool = pool
    self.priority = priority
    self.outputExpiresAfterSeconds = outputExpiresAfterSeconds
    self.lines = lines
  }
}

/// An entry of a batch's `errors.data`.
package struct BatchError: Hashable, Sendable, Codable {
  package var code: String
  /// The line of the input file, from 1; nil when the file as a whole is at fault.
  package var line: Int?
  package var message: String
  package var param: String?

  package init(code: String, line: Int?, message: String, param: String? = nil) {
    self.code = code
    self.line = line
    self.message = message
    self.param = param
  }
}

/// When a batch reached each state; nil for those that it did not reach.
package struct BatchTimes: Hashable, Sendable {
  package var created: Timestamp
  package var expires: Timestamp
  package var inProgress: Timestamp?
  package var finalizing: Timestamp?
  package var completed: Timestamp?
  package var failed: Timestamp?
  package var expired: Timestamp?
  package var cancelling: Timestamp?
  package var cancelled: Timestamp?

  package init(created: Timestamp, expires: Timestamp) {
    self.created = created
    self.expires = expires
  }
}

/// A batch of the Batch API.
package struct BatchRecord: Hashable, Sendable {
  /// `batch_` and 24 letters or digits.
  package var id: String
  package var keyID: String
  package var inputFileID: String
  package var inputBlob: Digest
  package var endpoint: String
  package var completionWindow: String
  package var metadata: ExactDictionary<String>?
  package var pool: WorkPool
  package var priority: Int
  package var outputExpiresAfterSeconds: Int?
  package var state: BatchState
  package var times: BatchTimes
  /// At most `StoreLimit.storedErrors`.
  package var errors: [BatchError]
  package var outputFileID: String?
  package var errorFileID: String?
  /// The model that all lines name; nil before validation or when they name several.
  package var model: String?
  /// Lines; final once validated.
  package var total: Int
  package var completed: Int
  /// Lines in the error file: failed, expired and cancelled.
  package var failed: Int
  /// Tokens of the prompts of completed requests.
  package var inputTokens: Int
  /// Tokens generated for completed requests.
  package var outputTokens: Int

  package init(
    id: String, keyID: String, inputFileID: String, inputBlob: Digest, endpoint: String,
    completionWindow: String, metadata: ExactDictionary<String>? = nil, pool: WorkPool,
    priority: Int, outputExpiresAfterSeconds: Int? = nil, state: BatchState, times: BatchTimes,
    errors: [BatchError], outputFileID: String? = nil, errorFileID: String? = nil,
    model: String? = nil, total: Int, completed: Int, failed: Int, inputTokens: Int,
    outputTokens: Int
  ) {
    self.id = id
    self.keyID = keyID
    self.inputFileID = inputFileID
    self.inputBlob = inputBlob
    self.endpoint = endpoint
    self.completionWindow = completionWindow
    self.metadata = metadata
    self.pool = pool
    self.priority = priority
    self.outputExpiresAfterSeconds = outputExpiresAfterSeconds
    self.state = state
    self.times = times
    self.errors = errors
    self.outputFileID = outputFileID
    self.errorFileID = errorFileID
    self.model = model
    self.total = total
    self.completed = completed
    self.failed = failed
    self.inputTokens = inputTokens
    self.outputTokens = outputTokens
  }
}
