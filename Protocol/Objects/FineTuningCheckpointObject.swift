/// OpenAI's `fine_tuning.job.checkpoint`.
package struct FineTuningCheckpointObject: Codable, Hashable, Sendable {
  package struct Metrics: Codable, Hashable, Sendable {
    package var step: Int
    @Nullable package var trainLoss: Double?
    @Nullable package var trainMeanTokenAccuracy: Double?
    @Nullable package var validLoss: Double?
    @Nullable package var validMeanTokenAccuracy: Double?
    @Nullable package var fullValidLoss: Double?
    @Nullable package var fullValidMeanTokenAccuracy: Double?

    package init(
      step: Int, trainLoss: Double?, trainMeanTokenAccuracy: Double?, validLoss: Double?,
      validMeanTokenAccuracy: Double?, fullValidLoss: Double?, fullValidMeanTokenAccuracy: Double?
    ) {
      self.step = step
      self.trainLoss = trainLoss
      self.trainMeanTokenAccuracy = trainMeanTokenAccuracy
      self.validLoss = validLoss
      self.validMeanTokenAccuracy = validMeanTokenAccuracy
      self.fullValidLoss = fullValidLoss
      self.fullValidMeanTokenAccuracy = fullValidMeanTokenAccuracy
    }

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
  package private(set) var object = "fine_tuning.job.checkpoint"
  package var createdAt: Int
  package var fineTunedModelCheckpoint: String
  package var fineTuningJobID: String
  package var metrics: Metrics
  package var stepNumber: Int

  package init(
    id: String, createdAt: Int, fineTunedModelCheckpoint: String, fineTuningJobID: String,
    metrics: Metrics, stepNumber: Int
  ) {
    self.id = id
    self.createdAt = createdAt
    self.fineTunedModelCheckpoint = fineTunedModelCheckpoint
    self.fineTuningJobID = fineTuningJobID
    self.metrics = metrics
    self.stepNumber = stepNumber
  }

  private enum CodingKeys: String, CodingKey {
    case id, object, metrics
    case createdAt = "created_at"
    case fineTunedModelCheckpoint = "fine_tuned_model_checkpoint"
    case fineTuningJobID = "fine_tuning_job_id"
    case stepNumber = "step_number"
  }
}
