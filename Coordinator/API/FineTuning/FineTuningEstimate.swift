import APIObjects
import CoordinatorCore
import CoordinatorStore
import Execution
import Models
import WirePayloads
import WireProtocol

extension FineTuningEstimateObject {
  /// - Parameter flopsPerSecond: of the workers that are there now, together.
  init(
    _ prepared: PreparedFineTuning, model: String, replicas: Int, flopsPerSecond: Double
  ) {
    let (plan, cost) = (prepared.plan, prepared.cost)
    func flops(_ sizes: ExampleSizes) -> Double { cost.flops(sizes.tokens.lazy.map { Int($0) }) }
    let (parameters, tokens) = (prepared.parameters, prepared.training.tokenCount)
    let trainUnits = (0..<plan.rounds).reduce(0) { sum, round in
      sum + (0..<plan.shards).count { !plan.batches(round: round, shard: $0).isEmpty }
    }
    let validateUnits = plan.validationUnits * (plan.rounds + 1)
    let held = prepared.validation.map(flops) ?? 0
    let work = 2 * Double(plan.epochs) * flops(prepared.training) + Double(plan.rounds + 1) * held
    // Adapter and change travel as bfloat16; a token is two numbers of 32 bits.
    let examples =
      8 * (plan.epochs * tokens + (plan.rounds + 1) * (prepared.validation?.tokenCount ?? 0))
    self.init(
      model: model, trainingExamples: plan.trainingExamples,
      validationExamples: plan.validationExamples, shortenedExamples: prepared.shortened,
      tokens: tokens, learntTokens: prepared.training.labelCount, parameters: parameters,
      rounds: plan.rounds, shards: plan.shards, steps: plan.steps(through: plan.rounds - 1),
      trainUnits: trainUnits, validateUnits: validateUnits, replicas: replicas, flops: work,
      workerMemoryBytes: cost.memoryBytes(
        parameters: parameters,
        longest: max(prepared.training.longest, prepared.validation?.longest ?? 0)),
      trafficBytes: replicas * (2 * parameters * (2 * trainUnits + validateUnits) + examples),
      modelBytes: cost.base.cost.diskBytes,
      seconds: flopsPerSecond > 0 ? Double(replicas) * work / flopsPerSecond : nil)
  }
}
