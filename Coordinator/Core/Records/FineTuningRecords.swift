import Foundation
import ModelFormats
import WireProtocol

/// A fine-tuning job to be created.
package struct NewFineTuningJob: Hashable, Sendable {
  package var keyID: String
  /// The name of the model that is tuned.
  package var model: String
  package var trainingFileID: String
  /// The files' bytes: deleting a file does not disturb the job.
  package var trainingBlob: Digest
  package var validationFileID: String?
  package var validationBlob: Digest?
  package var suffix: String?
  package var seed: Int64
  /// Whether the client named the seed: then another one is another job, also for a retry.
  package var isSeedGiven = false
  package var options: FineTuningOptions
  package var metadata: ExactDictionary<String>?
  package var pool: WorkPool
  /// Higher runs first among the jobs and batches of one API key; -100 to 100.
  package var priority: Int

  package init(
    keyID: String, model: String, trainingFileID: String, trainingBlob: Digest,
    validationFileID: String? = nil, validationBlob: Digest? = nil, suffix: String? = nil,
    seed: Int64, options: FineTuningOptions = .init(), metadata: ExactDictionary<String>? = nil,
    pool: WorkPool = .public, priority: Int = 0
  ) {
    (self.keyID, self.model) = (keyID, model)
    (self.trainingFileID, self.trainingBlob) = (trainingFileID, trainingBlob)
    (self.validationFileID, self.validationBlob) = (validationFileID, validationBlob)
    (self.suffix, self.seed, self.options) = (suffix, seed, options)
    (self.metadata, self.pool, self.priority) = (metadata, pool, priority)
  }
}

/// Why a job failed, in the words of OpenAI's `error`.
package struct FineTuningFailure: Error, Codable, Hashable, Sendable {
  package var code: String
  package var message: String
  package var param: String?

  package init(code: String, message: String, param: String? = nil) {
    (self.code, self.message, self.param) = (code, message, param)
  }
}

/// A job of the fine-tuning API.
package struct FineTuningJobRecord: Hashable, Sendable {
  /// `ftjob-` and 24 letters or digits.
  package var id: String
  package var job: NewFineTuningJob
  package var state: FineTuningState
  /// Whether a unit of it was handed out.
  package var hasBegun: Bool
  package var createdAt: Timestamp
  /// When its files were found good.
  package var startedAt: Timestamp?
  /// When it went on after a pause.
  package var resumedAt: Timestamp?
  package var endedAt: Timestamp?
  package var failure: FineTuningFailure?
  /// Nil before its files were read.
  package var plan: FineTuningPlan?
  /// The model as it was then.
  package var base: ModelRecord?
  /// The direction that the last joined round took: an `AdapterPayload`.
  package var velocity: Digest?
  /// The round whose adapter is the result.
  package var chosen: Int?
  /// The name of the tuned model.
  package var tunedModel: String?
  package var resultFileIDs: [String]
  /// Tokens that joined shards ran through the model.
  package var trainedTokens: Int
  /// Rounds that were published.
  package var rounds: Int

  package init(
    id: String, job: NewFineTuningJob, state: FineTuningState, hasBegun: Bool,
    createdAt: Timestamp, startedAt: Timestamp? = nil, resumedAt: Timestamp? = nil,
    endedAt: Timestamp? = nil, failure: FineTuningFailure? = nil, plan: FineTuningPlan? = nil,
    base: ModelRecord? = nil, velocity: Digest? = nil, chosen: Int? = nil,
    tunedModel: String? = nil, resultFileIDs: [String], trainedTokens: Int, rounds: Int
  ) {
    self.id = id
    self.job = job
    self.state = state
    self.hasBegun = hasBegun
    self.createdAt = createdAt
    self.startedAt = startedAt
    self.resumedAt = resumedAt
    self.endedAt = endedAt
    self.failure = failure
    self.plan = plan
    self.base = base
    self.velocity = velocity
    self.chosen = chosen
    self.tunedModel = tunedModel
    self.resultFileIDs = resultFileIDs
    self.trainedTokens = trainedTokens
    self.rounds = rounds
  }
}

/// What a joined round showed.
package struct RoundMetrics: Codable, Hashable, Sendable {
  /// The mean loss of each local step over the joined shards, before it was taken.
  package var losses: [Double]
  /// Tokens that the joined shards ran through the model.
  package var tokens: Int
  /// Shards that were joined, of how many.
  package var joined: Int
  package var shards: Int

  package init(losses: [Double], tokens: Int, joined: Int, shards: Int) {
    (self.losses, self.tokens, self.joined, self.shards) = (losses, tokens, joined, shards)
  }

  /// The mean of all steps' losses.
  package var meanLoss: Double? {
    losses.isEmpty ? nil : losses.reduce(0, +) / Double(losses.count)
  }
}

/// A published adapter of a job, and the units from it.
package struct FineTuningRoundRecord: Hashable, Sendable {
  package struct Unit: Hashable, Sendable {
    /// `train` or `validate`.
    package var kind: UnitKind
    package var shard: Int
    package var digest: Digest
    package var specification: UnitSpecification
    package var shown: RoundRule.Shard
    /// The accepted result.
    package var result: Digest?
    package var verification: Verification?
    /// Whether its change went into the next round.
    package var isJoined: Bool
    /// Whose machines gave the accepted result, by account; only those that agreed to be named.
    package var accounts: [String]
    /// Accounts that did not agree.
    package var unnamedAccounts: Int

    package init(
      kind: UnitKind, shard: Int, digest: Digest, specification: UnitSpecification,
      shown: RoundRule.Shard, result: Digest? = nil, verification: Verification? = nil,
      isJoined: Bool, accounts: [String], unnamedAccounts: Int
    ) {
      self.kind = kind
      self.shard = shard
      self.digest = digest
      self.specification = specification
      self.shown = shown
      self.result = result
      self.verification = verification
      self.isJoined = isJoined
      self.accounts = accounts
      self.unnamedAccounts = unnamedAccounts
    }
  }

  package var number: Int
  /// The digest of the `AdapterPayload`.
  package var adapter: Digest
  package var publishedAt: Timestamp
  package var joinedAt: Timestamp?
  package var metrics: RoundMetrics?
  package var validationLoss: Double?
  /// `ftckpt_` and 24 letters or digits.
  package var checkpointID: String
  package var units: [Unit]

  package init(
    number: Int, adapter: Digest, publishedAt: Timestamp, joinedAt: Timestamp? = nil,
    metrics: RoundMetrics? = nil, validationLoss: Double? = nil, checkpointID: String,
    units: [Unit]
  ) {
    self.number = number
    self.adapter = adapter
    self.publishedAt = publishedAt
    self.joinedAt = joinedAt
    self.metrics = metrics
    self.validationLoss = validationLoss
    self.checkpointID = checkpointID
    self.units = units
  }
}

/// A line of a job's history.
package struct FineTuningEvent: Hashable, Sendable {
  package enum Level: String, Hashable, Sendable {
    case info
    case warn
    case error
  }
  /// `ftevent-` and 24 letters or digits; empty before it is stored.
  package var id = ""
  package var level: Level
  package var message: String
  /// Of a step: numbers by name; nil for a plain message.
  package var metrics: [String: Double]?
  package var createdAt = Timestamp(milliseconds: 0)

  package init(_ message: String, level: Level = .info, metrics: [String: Double]? = nil) {
    (self.message, self.level, self.metrics) = (message, level, metrics)
  }
}

/// A unit of a round to be published; its inputs are already a durable blob.
package struct NewFineTuningUnit: Hashable, Sendable {
  package var kind: UnitKind
  package var shard: Int
  package var inputs: Digest
  /// Of each sequence.
  package var tokens: [Int]
  package var flops: Double
  /// What a worker needs in all.
  package var memoryBytes: Int

  package init(
    kind: UnitKind, shard: Int, inputs: Digest, tokens: [Int], flops: Double, memoryBytes: Int
  ) {
    (self.kind, self.shard, self.inputs) = (kind, shard, inputs)
    (self.tokens, self.flops, self.memoryBytes) = (tokens, flops, memoryBytes)
  }
}

/// A round to be published; its adapter is already a durable blob.
package struct NewFineTuningRound: Hashable, Sendable {
  package var number: Int
  package var adapter: Digest
  package var units: [NewFineTuningUnit]
  /// The name under which batches may use the adapter; nil for the first, which has learnt nothing.
  package var checkpoint: ModelRecord?
  /// Bytes of the blobs that are stored for the round: its adapter and its units' inputs, and for
  /// the first one the job's examples.
  package var blobBytes: [Digest: Int]
  /// Of the first round: tokens that the whole job may run through the model.
  package var jobTokens = 0

  package init(
    number: Int, adapter: Digest, units: [NewFineTuningUnit], checkpoint: ModelRecord? = nil,
    blobBytes: [Digest: Int] = [:]
  ) {
    (self.number, self.adapter) = (number, adapter)
    (self.units, self.checkpoint) = (units, checkpoint)
    self.blobBytes = blobBytes
  }
}

/// What became of a round.
package struct JoinedRound: Hashable, Sendable {
  package var number: Int
  /// Shards whose changes were joined.
  package var shards: Set<Int>
  package var metrics: RoundMetrics
  /// The direction that goes on, a durable `AdapterPayload`.
  package var velocity: Digest?

  package init(number: Int, shards: Set<Int>, metrics: RoundMetrics, velocity: Digest?) {
    (self.number, self.shards) = (number, shards)
    (self.metrics, self.velocity) = (metrics, velocity)
  }
}

/// How a job ends by itself.
package enum FineTuningEnding: Hashable, Sendable {
  /// - Parameters:
  ///   - chosen: the round whose adapter is the result.
  ///   - model: the record under the tuned model's name.
  ///   - files: durable blobs; the table of metrics is the first.
  case succeeded(chosen: Int, model: ModelRecord, files: [NewFile])
  case failed(FineTuningFailure)
}
