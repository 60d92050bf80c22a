import FineTuning
import Models
import WirePayloads
import WireProtocol

/// The arithmetic of a fine-tuning job between its units, the same for whoever runs it and whoever
/// checks it: what each unit is given, and what is made of what units return.
package struct FineTuningRounds {
  package let plan: FineTuningPlan
  private let training: LabelledSequences

  /// - Parameter training: what the plan's digest names.
  /// - Throws: `PayloadError` where the plan is impossible or is of other examples.
  package init(_ plan: FineTuningPlan, training: LabelledSequences) throws {
    if let problem = plan.problem { throw PayloadError("plan", tensor: "plan", reason: problem) }
    guard training.sequences.count == plan.trainingExamples else {
      throw PayloadError(
        "plan", tensor: "tokens",
        reason: "\(training.sequences.count) examples, not \(plan.trainingExamples)")
    }
    (self.plan, self.training) = (plan, training)
  }

  /// The first round's adapter.
  ///
  /// - Throws: `FormatError` for a model that cannot be fine-tuned; `PayloadError` for a matrix
  ///   that is not known.
  package static func initialAdapter(
    _ plan: FineTuningPlan, _ description: ModelDescription
  ) throws -> AdapterPayload {
    try description.requireDense()
    let kinds = try plan.targets.map { name in
      guard let kind = LinearKind(rawValue: name) else {
        throw PayloadError("plan", tensor: name, reason: "no adapter of such a matrix is known")
      }
      return kind
    }
    let adapter = Adapter.initial(
      for: description, rank: plan.rank, alpha: plan.alpha,
      isRankStabilised: plan.isRankStabilised, kinds: Set(kinds), seed: plan.seed)
    return AdapterPayload(adapter).rounded
  }

  /// The inputs of a `train` unit; nil where the shard has nothing to learn in this round.
  package func inputs(round: Int, shard: Int) -> TrainInputs? {
    let batches = plan.batches(round: round, shard: shard)
    guard !batches.isEmpty else { return nil }
    var (sequences, steps): ([LabelledSequences.Sequence], [Range<Int>]) = ([], [])
    var (epoch, order): (Int, [Int]) = (-1, [])
    for batch in batches {
      let own = batch / plan.batchesPerEpoch
      if own != epoch {
        epoch = own
        order = ShuffledOrder.make(plan.trainingExamples, seed: plan.seed &+ Int64(epoch))
      }
      let first = batch % plan.batchesPerEpoch * plan.batchSize
      let start = sequences.count
      sequences += order[first..<min(order.count, first + plan.batchSize)].map {
        training.sequences[$0]
      }
      steps.append(start..<sequences.count)
    }
    return TrainInputs(
      examples: LabelledSequences(sequences: sequences), steps: steps,
      learningRates: steps.map { _ in plan.learningRate }, beta1: plan.beta1, beta2: plan.beta2,
      epsilon: plan.epsilon, weightDecay: plan.weightDecay, maximumNorm: plan.maximumNorm)
  }

  /// What a joined shard learnt from.
  package struct Joined {
    package var inputs: TrainInputs
    package var result: TrainResult

    package init(inputs: TrainInputs, result: TrainResult) {
      (self.inputs, self.result) = (inputs, result)
    }
  }

  /// The next round's adapter, rounded to bfloat16 since that is what travels, and the direction
  /// that goes on into the round after.
  ///
  /// - Parameters:
  ///   - velocity: of the round before; nil in the first.
  ///   - shards: in their order; those that were lost are left out.
  /// - Throws: `ExecutionError.learning` where the numbers grew beyond all bounds; `PayloadError`.
  package func join(
    _ adapter: AdapterPayload, velocity: AdapterPayload?, _ shards: [Joined]
  ) throws -> (adapter: AdapterPayload, velocity: AdapterPayload?) {
    var outer = OuterOptimiser(
      try Adapter(adapter), velocity: try velocity.map { try Adapter($0) })
    let changes = try shards.map { shard in
      var change = adapter
      change.pairs = shard.result.changes
      return OuterOptimiser.Change(
        pairs: try Adapter(change).pairs, weight: shard.inputs.examples.labelCount)
    }
    outer.step(
      changes,
      .init(
        learningRate: plan.outerLearningRate, momentum: plan.outerMomentum,
        maximumNorm: plan.outerMaximumNorm))
    let next = AdapterPayload(outer.adapter).rounded
    guard try Adapter(next).norm.isFinite else {
      throw ExecutionError.learning(place: "joining", reason: "\(TrainingError.notFinite)")
    }
    return (next, outer.velocity.map { AdapterPayload($0) })
  }
}

extension LabelledSequences {
  /// Tokens that are to be foreseen: the first of a sequence never is.
  package var labelCount: Int {
    sequences.reduce(0) { $0 + $1.labels.dropFirst().count { $0 != TrainingBatch.ignored } }
  }

  package var tokenCount: Int { sequences.reduce(0) { $0 + $1.tokens.count } }
}
