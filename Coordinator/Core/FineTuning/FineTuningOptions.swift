/// How an owner wants a job to learn; nil leaves the choice to the coordinator.
package struct FineTuningOptions: Codable, Hashable, Sendable {
  package var epochs: Int?
  package var batchSize: Int?
  /// Times the learning rate that jobs have otherwise.
  package var learningRateMultiplier: Double?
  package var rank: Int?
  package var alpha: Double?
  package var isRankStabilised: Bool?
  /// Matrices that are adapted: `q_proj` and the like.
  package var targets: [String]?
  /// Tokens of an example that are used.
  package var maximumTokens: Int?
  /// The share of the training file that is held out where there is no validation file.
  package var holdOut: Double?
  /// Shards of a round, and steps that each takes in it.
  package var shards: Int?
  package var localSteps: Int?
  package var outerLearningRate: Double?
  package var outerMomentum: Double?
  package var weightDecay: Double?
  package var patience: Int?

  package init() {}

  /// What jobs have that say nothing.
  package enum Automatic {
    package static let epochs = 3
    package static let batchSize = 4
    package static let learningRate = 2e-4
    package static let rank = 8
    package static let maximumTokens = 1024
    package static let holdOut = 0.1
    /// Enough that what travels is little beside what is computed.
    package static let localSteps = 50
    /// Rounds that a run has at least, so that what the shards learn is joined often enough, and at
    /// most.
    package static let rounds = 3
    private static let mostRounds = 1024
    package static let mostShards = 16
    /// Runs of volunteers have few rounds, in which a direction of many rounds (0.9, as in DiLoCo)
    /// does not pay.
    package static let outerLearningRate = 1.0
    package static let outerMomentum = 0.5

    /// Shards and steps of a round for a run of `batches` batches.
    ///
    /// - Parameter machines: workers that may take part, each shard's replicas counted as one.
    package static func round(
      _ options: FineTuningOptions, batches: Int, machines: Int
    ) -> (shards: Int, localSteps: Int) {
      let shards = options.shards ?? max(1, min(machines, mostShards, batches / rounds))
      let most = batches / (rounds * max(1, shards))
      let least = batches / (mostRounds * max(1, shards)) + 1
      return (shards, options.localSteps ?? max(least, min(localSteps, most)))
    }
  }
}
