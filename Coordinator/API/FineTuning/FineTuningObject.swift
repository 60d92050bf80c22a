import CoordinatorCore
import CoordinatorStore
import ModelFormats
import WireProtocol

/// OpenAI's `fine_tuning.job`.
package struct FineTuningObject: Encodable, Hashable, Sendable {
  /// A number, or `auto` before the coordinator has chosen one.
  package enum Choice: Encodable, Hashable, Sendable {
    case auto
    case integer(Int)
    case number(Double)

    init(_ value: Int?) { self = value.map { .integer($0) } ?? .auto }
    init(_ value: Double?) { self = value.map { .number($0) } ?? .auto }

    package func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      switch self {
      case .auto: try container.encode("auto")
      case .integer(let value): try container.encode(value)
      case .number(let value): try container.encode(value)
      }
    }
  }

  package struct Hyperparameters: Encodable, Hashable, Sendable {
    package var nEpochs: Choice
    package var batchSize: Choice
    package var learningRateMultiplier: Choice

    private enum CodingKeys: String, CodingKey {
      case nEpochs = "n_epochs"
      case batchSize = "batch_size"
      case learningRateMultiplier = "learning_rate_multiplier"
    }
  }

  package struct Method: Encodable, Hashable, Sendable {
    package struct Supervised: Encodable, Hashable, Sendable {
      package var hyperparameters: Hyperparameters
    }
    package let type = "supervised"
    package var supervised: Supervised
  }

  package struct Failure: Codable, Hashable, Sendable {
    package var code: String
    package var message: String
    @Nullable package var param: String?
  }

  package var id: String
  package let object = "fine_tuning.job"
  package var createdAt: Int
  @Nullable package var error: Failure?
  @Nullable package var estimatedFinish: Int?
  @Nullable package var fineTunedModel: String?
  @Nullable package var finishedAt: Int?
  package var hyperparameters: Hyperparameters
  package let integrations: [String] = []
  @Nullable package var metadata: ExactDictionary<String>?
  package var method: Method
  package var model: String
  package let organizationID = "tallystick"
  package var resultFiles: [String]
  package var seed: Int64
  package var status: String
  @Nullable package var trainedTokens: Int?
  package var trainingFile: String
  @Nullable package var validationFile: String?
  @Nullable package var suffix: String?

  package init(_ record: FineTuningJobRecord, now: Timestamp) {
    let (job, plan) = (record.job, record.plan)
    let parameters = Hyperparameters(
      nEpochs: Choice(plan?.epochs ?? job.options.epochs),
      batchSize: Choice(plan?.batchSize ?? job.options.batchSize),
      learningRateMultiplier: Choice(
        plan.map { $0.learningRate / FineTuningOptions.Automatic.learningRate }
          ?? job.options.learningRateMultiplier))
    id = record.id
    createdAt = record.createdAt.seconds
    error = record.failure.map { Failure(code: $0.code, message: $0.message, param: $0.param) }
    estimatedFinish = record.estimatedFinish(now: now)?.seconds
    fineTunedModel = record.tunedModel
    finishedAt = record.endedAt?.seconds
    hyperparameters = parameters
    metadata = job.metadata
    method = Method(supervised: .init(hyperparameters: parameters))
    model = job.model
    resultFiles = record.resultFileIDs
    seed = job.seed
    status = record.state.status(hasBegun: record.hasBegun)
    trainedTokens = record.state.hasEnded ? record.trainedTokens : nil
    trainingFile = job.trainingFileID
    validationFile = job.validationFileID
    suffix = job.suffix
  }

  private enum CodingKeys: String, CodingKey {
    case id, object, error, hyperparameters, integrations, metadata, method, model, seed, status,
      suffix
    case createdAt = "created_at"
    case estimatedFinish = "estimated_finish"
    case fineTunedModel = "fine_tuned_model"
    case finishedAt = "finished_at"
    case organizationID = "organization_id"
    case resultFiles = "result_files"
    case trainedTokens = "trained_tokens"
    case trainingFile = "training_file"
    case validationFile = "validation_file"
  }
}

extension FineTuningJobRecord {
  /// As if rounds went on as fast as so far; nil where that is not known.
  fileprivate func estimatedFinish(now: Timestamp) -> Timestamp? {
    guard state == .running, hasBegun, let plan, let startedAt, rounds > 1 else { return nil }
    let each = now.seconds(since: startedAt) / Double(rounds - 1)
    return now.adding(seconds: each * Double(max(0, plan.rounds + 1 - rounds)))
  }
}

/// OpenAI's `fine_tuning.job.event`.
package struct FineTuningEventObject: Encodable, Hashable, Sendable {
  package var id: String
  package let object = "fine_tuning.job.event"
  package var createdAt: Int
  package var level: String
  package var message: String
  package var type: String
  @Nullable package var data: [String: Double]?

  package init(_ event: FineTuningEvent) {
    id = event.id
    createdAt = event.createdAt.seconds
    level = event.level.rawValue
    message = event.message
    type = event.metrics == nil ? "message" : "metrics"
    data = event.metrics
  }

  private enum CodingKeys: String, CodingKey {
    case id, object, level, message, type, data
    case createdAt = "created_at"
  }
}

/// OpenAI's `fine_tuning.job.checkpoint`.
package struct FineTuningCheckpointObject: Encodable, Hashable, Sendable {
  package struct Metrics: Encodable, Hashable, Sendable {
    package var step: Int
    @Nullable package var trainLoss: Double?
    @Nullable package var trainMeanTokenAccuracy: Double?
    @Nullable package var validLoss: Double?
    @Nullable package var validMeanTokenAccuracy: Double?
    @Nullable package var fullValidLoss: Double?
    @Nullable package var fullValidMeanTokenAccuracy: Double?

    private enum CodingKeys: String, CodingKey {
      case step
      case trainLoss = "train_loss"
      case trainMeanTokenAccuracy = "train_mean_token_accuracy"
      case validLoss = "valid_loss"
      case validMeanTokenAccuracy = "valid_mean_token_accuracy"
      case fullValidLoss = "full_valid_loss"
      case fullValidMeanTokenAccuracy = "full_valid_mean_token_accuracy"
    }
  }

  package var id: String
  package let object = "fine_tuning.job.checkpoint"
  package var createdAt: Int
  package var fineTunedModelCheckpoint: String
  package var fineTuningJobID: String
  package var metrics: Metrics
  package var stepNumber: Int

  /// - Parameters:
  ///   - round: one after the first, whose adapter has learnt something.
  ///   - before: the round that was joined into it.
  init(
    _ round: FineTuningRoundRecord, after before: FineTuningRoundRecord?,
    of job: FineTuningJobRecord, _ plan: FineTuningPlan
  ) {
    let step = plan.steps(through: round.number - 1)
    id = round.checkpointID
    createdAt = round.publishedAt.seconds
    fineTunedModelCheckpoint = TunedModel(job).checkpoint(step: step)
    fineTuningJobID = job.id
    stepNumber = step
    metrics = Metrics(
      step: step, trainLoss: before?.metrics?.meanLoss, validLoss: round.validationLoss,
      fullValidLoss: round.validationLoss)
  }

  private enum CodingKeys: String, CodingKey {
    case id, object, metrics
    case createdAt = "created_at"
    case fineTunedModelCheckpoint = "fine_tuned_model_checkpoint"
    case fineTuningJobID = "fine_tuning_job_id"
    case stepNumber = "step_number"
  }
}
