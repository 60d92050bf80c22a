/// `POST /tally/v1/fine_tuning/estimates`: what a job like this would take, without one being made.
package struct FineTuningEstimateObject: Codable, Hashable, Sendable {
  package private(set) var object = "tally.fine_tuning_estimate"
  package var model: String
  package var trainingExamples: Int
  package var validationExamples: Int
  package var shortenedExamples: Int
  /// Tokens of one epoch, and those of them that are learnt.
  package var tokens: Int
  package var learntTokens: Int
  package var parameters: Int
  package var rounds: Int
  package var shards: Int
  package var steps: Int
  /// Units of the whole run, each of which so many accounts compute.
  package var trainUnits: Int
  package var validateUnits: Int
  package var replicas: Int
  /// Floating-point operations of all units, each counted once.
  package var flops: Double
  /// Bytes that the largest unit takes on a worker.
  package var workerMemoryBytes: Int
  /// Bytes that travel between coordinator and workers, all replicas together, without the model
  /// itself, which a worker fetches once.
  package var trafficBytes: Int
  package var modelBytes: Int
  /// With the workers that are there now; null where none is.
  @Nullable package var seconds: Double?

  package init(
    model: String, trainingExamples: Int, validationExamples: Int, shortenedExamples: Int,
    tokens: Int, learntTokens: Int, parameters: Int, rounds: Int, shards: Int, steps: Int,
    trainUnits: Int, validateUnits: Int, replicas: Int, flops: Double, workerMemoryBytes: Int,
    trafficBytes: Int, modelBytes: Int, seconds: Double?
  ) {
    self.model = model
    self.trainingExamples = trainingExamples
    self.validationExamples = validationExamples
    self.shortenedExamples = shortenedExamples
    self.tokens = tokens
    self.learntTokens = learntTokens
    self.parameters = parameters
    self.rounds = rounds
    self.shards = shards
    self.steps = steps
    self.trainUnits = trainUnits
    self.validateUnits = validateUnits
    self.replicas = replicas
    self.flops = flops
    self.workerMemoryBytes = workerMemoryBytes
    self.trafficBytes = trafficBytes
    self.modelBytes = modelBytes
    self.seconds = seconds
  }

  private enum CodingKeys: String, CodingKey {
    case object, model, tokens, parameters, rounds, shards, steps, replicas, flops, seconds
    case trainingExamples = "training_examples"
    case validationExamples = "validation_examples"
    case shortenedExamples = "shortened_examples"
    case learntTokens = "learnt_tokens"
    case trainUnits = "train_units"
    case validateUnits = "validate_units"
    case workerMemoryBytes = "worker_memory_bytes"
    case trafficBytes = "traffic_bytes"
    case modelBytes = "model_bytes"
  }
}
