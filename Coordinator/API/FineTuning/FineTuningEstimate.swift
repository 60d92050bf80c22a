import CoordinatorCore
import CoordinatorStore
import Execution
import Models
import WirePayloads
import WireProtocol

/// `POST /tally/v1/fine_tuning/estimates`: what a job like this would take, without one being made.
package struct FineTuningEstimate: Encodable, Hashable, Sendable {
  package let object = "tally.fine_tuning_estimate"
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

  /// - Parameter flopsPerSecond: of the workers that are there now, together.
  init(
    _ prepared: PreparedFineTuning, model: String, replicas: Int, flopsPerSecond: Double
  ) {
    let (plan, cost) = (prepared.plan, prepared.cost)
    func flops(_ sizes: ExampleSizes) -> Double { cost.flops(sizes.tokens.lazy.map { Int($0) }) }
    self.model = model
    trainingExamples = plan.trainingExamples
    validationExamples = plan.validationExamples
    shortenedExamples = prepared.shortened
    tokens = prepared.training.tokenCount
    learntTokens = prepared.training.labelCount
    parameters = prepared.parameters
    rounds = plan.rounds
    shards = plan.shards
    steps = plan.steps(through: plan.rounds - 1)
    trainUnits = (0..<plan.rounds).reduce(0) { sum, round in
      sum + (0..<plan.shards).count { !plan.batches(round: round, shard: $0).isEmpty }
    }
    validateUnits = plan.validationUnits * (plan.rounds + 1)
    self.replicas = replicas
    let held = prepared.validation.map(flops) ?? 0
    self.flops =
      2 * Double(plan.epochs) * flops(prepared.training) + Double(plan.rounds + 1) * held
    workerMemoryBytes = cost.memoryBytes(
      parameters: parameters,
      longest: max(prepared.training.longest, prepared.validation?.longest ?? 0))
    // Adapter and change travel as bfloat16; a token is two numbers of 32 bits.
    let examples =
      8 * (plan.epochs * tokens + (plan.rounds + 1) * (prepared.validation?.tokenCount ?? 0))
    trafficBytes =
      replicas * (2 * parameters * (2 * trainUnits + validateUnits) + examples)
    modelBytes = cost.base.cost.diskBytes
    seconds = flopsPerSecond > 0 ? Double(replicas) * self.flops / flopsPerSecond : nil
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
