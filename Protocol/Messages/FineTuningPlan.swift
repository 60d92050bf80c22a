/// Everything that decides what a fine-tuning job computes. Written once, before its first unit:
/// from it, and from which shards were joined in each round, follows every bit of the adapter.
///
/// A round publishes an adapter. Each of its shards takes steps of AdamW from it on examples of its
/// own (a `train` unit); what they changed is joined into the next round's adapter.
package struct FineTuningPlan: Codable, Hashable, Sendable {
  /// The digest of the model's manifest.
  package var model: Digest
  /// The digest of the `LabelledSequences` that are learnt.
  package var training: Digest
  /// The digest of the `LabelledSequences` that are held out; nil where none are.
  package var validation: Digest?
  /// Sequences of both.
  package var trainingExamples: Int
  package var validationExamples: Int
  /// Begins the adapter and shuffles the examples.
  package var seed: Int64

  /// Of the adapter's matrices.
  package var rank: Int
  package var alpha: Double
  package var isRankStabilised: Bool
  /// Matrices that it adapts: `q_proj` and the like, in every layer.
  package var targets: [String]

  /// How often every example is learnt.
  package var epochs: Int
  /// Examples of a step.
  package var batchSize: Int
  /// Steps that a shard takes in a round, at most.
  package var localSteps: Int
  /// Shards of a round.
  package var shards: Int
  package var learningRate: Double
  package var beta1 = 0.9
  package var beta2 = 0.999
  package var epsilon = 1e-8
  package var weightDecay = 0.0
  /// The norm that gradients are clipped to; nil: they are not.
  package var maximumNorm: Double? = 1

  /// How far the joined change goes, and how much of the last rounds' direction stays.
  package var outerLearningRate: Double
  package var outerMomentum: Double
  /// The norm that a shard's change is clipped to; nil: it is not.
  package var outerMaximumNorm: Double?
  /// Rounds in a row that may leave the held-out loss no better before the job ends early; nil: it
  /// does not.
  package var patience: Int?

  package init(
    model: Digest, training: Digest, validation: Digest?, trainingExamples: Int,
    validationExamples: Int, seed: Int64, rank: Int, alpha: Double, isRankStabilised: Bool,
    targets: [String], epochs: Int, batchSize: Int, localSteps: Int, shards: Int,
    learningRate: Double, outerLearningRate: Double, outerMomentum: Double, patience: Int?
  ) {
    (self.model, self.training, self.validation) = (model, training, validation)
    (self.trainingExamples, self.validationExamples) = (trainingExamples, validationExamples)
    (self.seed, self.rank, self.alpha) = (seed, rank, alpha)
    (self.isRankStabilised, self.targets) = (isRankStabilised, targets)
    (self.epochs, self.batchSize) = (epochs, batchSize)
    (self.localSteps, self.shards) = (localSteps, shards)
    self.learningRate = learningRate
    (self.outerLearningRate, self.outerMomentum) = (outerLearningRate, outerMomentum)
    self.patience = patience
  }
}

extension FineTuningPlan {
  /// Batches of one epoch; the last may be smaller.
  package var batchesPerEpoch: Int { (trainingExamples + batchSize - 1) / max(1, batchSize) }

  /// Batches of the whole run.
  package var batches: Int { epochs * batchesPerEpoch }

  /// Rounds that learn. One more adapter is published after the last.
  package var rounds: Int {
    let most = max(1, shards * localSteps)
    return (batches + most - 1) / most
  }

  /// The batches of a shard, counted through all epochs; empty where there are more shards than
  /// batches. Rounds are of the same size, and so are their shards, give or take one.
  package func batches(round: Int, shard: Int) -> Range<Int> {
    let first = Self.part(round, of: rounds, in: 0..<batches)
    return Self.part(shard, of: shards, in: first)
  }

  /// Steps up to the end of a round, of the shard that takes most.
  package func steps(through round: Int) -> Int {
    (0...max(0, round)).reduce(0) { sum, round in
      sum + (Self.part(round, of: rounds, in: 0..<batches).count + shards - 1) / max(1, shards)
    }
  }

  /// Units that measure one adapter on the held-out examples.
  package var validationUnits: Int { min(shards, validationExamples) }

  /// The held-out examples of a unit.
  package func validation(unit: Int) -> Range<Int> {
    Self.part(unit, of: max(1, validationUnits), in: 0..<validationExamples)
  }

  private static func part(_ index: Int, of count: Int, in whole: Range<Int>) -> Range<Int> {
    let start = whole.lowerBound + whole.count * index / max(1, count)
    return start..<whole.lowerBound + whole.count * (index + 1) / max(1, count)
  }

  /// Rounds of a run. Each leaves an adapter behind.
  private static let mostRounds = 2048
  /// Examples that one payload holds.
  private static let mostSequences = 1 << 16

  /// What is impossible about the plan, as a sentence; nil if it is possible.
  package var problem: String? {
    let counts = [trainingExamples, rank, epochs, batchSize, localSteps, shards]
    guard counts.allSatisfy({ (1...1 << 24).contains($0) }), validationExamples >= 0 else {
      return "Examples, rank, epochs, batch size, steps and shards are 1 or more."
    }
    let unit = localSteps.multipliedReportingOverflow(by: batchSize)
    guard trainingExamples <= Self.mostSequences, validationExamples <= Self.mostSequences,
      !unit.overflow, unit.partialValue <= Self.mostSequences
    else {
      return "A file, and a shard's part of a round, have \(Self.mostSequences) examples at most."
    }
    guard shards <= 1024, rounds <= Self.mostRounds else {
      return
        "\(rounds) rounds of \(shards) shards are too many: \(Self.mostRounds) of 1024 at most; "
        + "more local steps make fewer rounds."
    }
    guard (validation != nil) == (validationExamples > 0) else {
      return "There are held-out examples without a file of them, or a file without examples."
    }
    let numbers = [alpha, learningRate, epsilon, outerLearningRate]
    guard numbers.allSatisfy({ $0 > 0 && $0.isFinite }),
      [beta1, beta2].allSatisfy({ (0..<1).contains($0) }),
      weightDecay >= 0, (0..<1).contains(outerMomentum), !targets.isEmpty
    else { return "A rate or factor is out of its range, or nothing is adapted." }
    return nil
  }
}
