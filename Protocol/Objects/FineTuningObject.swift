import ModelFormats

/// OpenAI's `fine_tuning.job`.
package struct FineTuningObject: Codable, Hashable, Sendable {
  /// A number, or `auto` before the coordinator has chosen one.
  package enum Choice: Codable, Hashable, Sendable {
    case auto
    case integer(Int)
    case number(Double)

    package init(_ value: Int?) { self = value.map { .integer($0) } ?? .auto }
    package init(_ value: Double?) { self = value.map { .number($0) } ?? .auto }

    package init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let text = try? container.decode(String.self) {
        guard text == "auto" else {
          throw DecodingError.dataCorruptedError(
            in: container, debugDescription: "not a number or auto")
        }
        self = .auto
      } else if let value = try? container.decode(Int.self) {
        self = .integer(value)
      } else {
        self = .number(try container.decode(Double.self))
      }
    }

    package func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      switch self {
      case .auto: try container.encode("auto")
      case .integer(let value): try container.encode(value)
      case .number(let value): try container.encode(value)
      }
    }
  }

  package struct Hyperparameters: Codable, Hashable, Sendable {
    package var nEpochs: Choice
    package var batchSize: Choice
    package var learningRateMultiplier: Choice

    package init(nEpochs: Choice, batchSize: Choice, learningRateMultiplier: Choice) {
      self.nEpochs = nEpochs
      self.batchSize = batchSize
      self.learningRateMultiplier = learningRateMultiplier
    }

    private enum CodingKeys: String, CodingKey {
      case nEpochs = "n_epochs"
      case batchSize = "batch_size"
      case learningRateMultiplier = "learning_rate_multiplier"
    }
  }

  package struct Method: Codable, Hashable, Sendable {
    package struct Supervised: Codable, Hashable, Sendable {
      package var hyperparameters: Hyperparameters

      package init(hyperparameters: Hyperparameters) {
        self.hyperparameters = hyperparameters
      }
    }
    package private(set) var type = "supervised"
    package var supervised: Supervised

    package init(supervised: Supervised) {
      self.supervised = supervised
    }
  }

  package struct Failure: Codable, Hashable, Sendable {
    package var code: String
    package var message: String
    @Nullable package var param: String?

    package init(code: String, message: String, param: String?) {
      self.code = code
      self.message = message
      self.param = param
    }
  }

  package var id: String
  package private(set) var object = "fine_tuning.job"
  package var createdAt: Int
  @Nullable package var error: Failure?
  @Nullable package var estimatedFinish: Int?
  @Nullable package var fineTunedModel: String?
  @Nullable package var finishedAt: Int?
  package var hyperparameters: Hyperparameters
  package private(set) var integrations: [String] = []
  @Nullable package var metadata: ExactDictionary<String>?
  package var method: Method
  package var model: String
  package private(set) var organizationID = "tallystick"
  package var resultFiles: [String]
  package var seed: Int64
  package var status: String
  @Nullable package var trainedTokens: Int?
  package var trainingFile: String
  @Nullable package var validationFile: String?
  @Nullable package var suffix: String?

  package init(
    id: String, createdAt: Int, error: Failure?, estimatedFinish: Int?, fineTunedModel: String?,
    finishedAt: Int?, hyperparameters: Hyperparameters, metadata: ExactDictionary<String>?,
    method: Method, model: String, resultFiles: [String], seed: Int64, status: String,
    trainedTokens: Int?, trainingFile: String, validationFile: String?, suffix: String?
  ) {
    self.id = id
    self.createdAt = createdAt
    self.error = error
    self.estimatedFinish = estimatedFinish
    self.fineTunedModel = fineTunedModel
    self.finishedAt = finishedAt
    self.hyperparameters = hyperparameters
    self.metadata = metadata
    self.method = method
    self.model = model
    self.resultFiles = resultFiles
    self.seed = seed
    self.status = status
    self.trainedTokens = trainedTokens
    self.trainingFile = trainingFile
    self.validationFile = validationFile
    self.suffix = suffix
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
