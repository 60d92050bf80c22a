import CoordinatorCore
import CoordinatorStore
import ModelFormats

/// OpenAI's `batch`.
package struct BatchObject: Encodable, Hashable, Sendable {
  package struct Errors: Codable, Hashable, Sendable {
    package var object = "list"
    package var data: [Entry]
  }

  package struct Entry: Codable, Hashable, Sendable {
    package var code: String
    @Nullable package var line: Int?
    package var message: String
    @Nullable package var param: String?
  }

  package struct Counts: Codable, Hashable, Sendable {
    package var total: Int
    package var completed: Int
    package var failed: Int
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

    private enum CodingKeys: String, CodingKey {
      case inputTokens = "input_tokens"
      case inputTokensDetails = "input_tokens_details"
      case outputTokens = "output_tokens"
      case outputTokensDetails = "output_tokens_details"
      case totalTokens = "total_tokens"
    }
  }

  package var id: String
  package let object = "batch"
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

  package init(_ record: BatchRecord) {
    id = record.id
    endpoint = record.endpoint
    model = record.model
    errors =
      record.errors.isEmpty
      ? nil
      : Errors(
        data: record.errors.map {
          Entry(code: $0.code, line: $0.line, message: $0.message, param: $0.param)
        })
    inputFileID = record.inputFileID
    completionWindow = record.completionWindow
    status = record.state.status
    outputFileID = record.outputFileID
    errorFileID = record.errorFileID
    let times = record.times
    createdAt = times.created.seconds
    inProgressAt = times.inProgress?.seconds
    expiresAt = times.expires.seconds
    finalizingAt = times.finalizing?.seconds
    completedAt = times.completed?.seconds
    failedAt = times.failed?.seconds
    expiredAt = times.expired?.seconds
    cancellingAt = times.cancelling?.seconds
    cancelledAt = times.cancelled?.seconds
    requestCounts = Counts(
      total: record.total, completed: record.completed, failed: record.failed)
    usage = Usage(
      inputTokens: record.inputTokens, outputTokens: record.outputTokens,
      totalTokens: record.inputTokens + record.outputTokens)
    metadata = record.metadata
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

/// `GET /tally/v1/batches/{id}`: how far a batch is, and why it waits.
package struct ProgressObject: Encodable, Hashable, Sendable {
  package struct Units: Encodable, Hashable, Sendable {
    package var total, open, awaitingReplay, accepted, failed, cancelled: Int

    private enum CodingKeys: String, CodingKey {
      case total, open, accepted, failed, cancelled
      case awaitingReplay = "awaiting_replay"
    }
  }
  package struct Replicas: Encodable, Hashable, Sendable {
    package var running, waiting, accepted, rejected, lost: Int
  }

  package let object = "tally.batch_progress"
  package var batch: BatchObject
  package var pool: String
  package var units: Units
  package var replicas: Replicas
  /// Accepted units whose replicas agreed, and those that the trusted machine settled.
  package var agreements: Int
  package var replays: Int
  /// Requests that are in no unit yet.
  package var waitingRequests: Int
  package var flopsDone: Double
  package var flopsEstimated: Double
  /// Sentences; empty when the batch does not wait.
  package var waitReasons: [String]
  package var secondsLeft: Int

  package init(_ progress: BatchProgress) {
    batch = BatchObject(progress.batch)
    pool = progress.batch.pool.rawValue
    let units = progress.units
    self.units = Units(
      total: units.total, open: units.open, awaitingReplay: units.awaitingReplay,
      accepted: units.accepted, failed: units.failed, cancelled: units.cancelled)
    let replicas = progress.replicas
    self.replicas = Replicas(
      running: replicas.running, waiting: replicas.waiting, accepted: replicas.accepted,
      rejected: replicas.rejected, lost: replicas.lost)
    agreements = progress.agreements
    replays = progress.replays
    waitingRequests = progress.waitingRequests
    flopsDone = progress.flopsDone
    flopsEstimated = progress.flopsEstimated
    waitReasons = progress.waitReasons
    secondsLeft = progress.secondsLeft
  }

  private enum CodingKeys: String, CodingKey {
    case object, batch, pool, units, replicas, agreements, replays
    case waitingRequests = "waiting_requests"
    case flopsDone = "flops_done"
    case flopsEstimated = "flops_estimated"
    case waitReasons = "wait_reasons"
    case secondsLeft = "seconds_left"
  }
}
