import CoordinatorCore
import CoordinatorStore
import Execution
import FineTuning
import Foundation
import ModelFormats
import Models
import TrainingData
import WirePayloads
import WireProtocol

/// A job whose files were read and are good.
struct PreparedFineTuning {
  var plan: FineTuningPlan
  var cost: TrainingCost
  /// Trainable numbers of the adapter.
  var parameters: Int
  var training: ExampleSizes
  var validation: ExampleSizes?
  /// The examples themselves, where they were kept.
  var examples: (training: LabelledSequences, validation: LabelledSequences?)?
  /// Examples that were cut off at their limit.
  var shortened: Int
}

/// Reads a job's files and decides how it is run. Nothing is written, so that it may be repeated,
/// and asked without creating a job.
struct FineTuningPreparation {
  let environment: APIEnvironment
  let job: NewFineTuningJob
  /// What chat templates take for now.
  let date: Timestamp
  /// Whether the examples are kept, to become blobs; else they are read and only counted.
  var keeps = true

  /// Bytes of an adapter or of a unit's inputs that a worker reads, and of a result that is taken.
  private static let payloadBytes = 256 << 20
  /// Numbers that are added up in one round: a gigabyte of them.
  private static let joinedParameters = 1 << 28

  private typealias Automatic = FineTuningOptions.Automatic

  /// Bytes of memory that the files take: those of whoever keeps them as tokens are some times
  /// larger.
  func memoryBytes() async throws -> Int {
    var bytes = 0
    for blob in [job.trainingBlob, job.validationBlob].compactMap({ $0 }) {
      bytes += try await environment.blobs.size(of: blob) ?? 0
    }
    return keeps ? 4 * bytes : bytes
  }

  /// - Parameter machines: workers that may take part at once, the replicas of a shard counted as
  ///   one.
  /// - Throws: `FineTuningFailure` for files and models that cannot be used; what store and blobs
  ///   throw.
  func prepare(machines: Int) async throws -> PreparedFineTuning {
    let served = try await model()
    let base = served.record
    let manifest = try ModelManifest(
      json: try await environment.blobs.read(base.manifest), name: base.manifest.hex)
    let description = manifest.description
    do {
      try description.requireDense()
    } catch let error as FormatError {
      throw FineTuningFailure(
        code: "unsupported_model", message: "The model '\(job.model)': \(error.reason).",
        param: "model")
    }
    let encoder = ExampleEncoder(
      served.tokenizer, template: served.template, specialTokens: served.specialTokens,
      limit: min(job.options.maximumTokens ?? Automatic.maximumTokens, base.contextLength),
      vocabularySize: served.vocabularySize, clock: served.clock)
    var training = try await dataset(job.trainingBlob, encoder, "training_file")
    var held: Examples?
    if let blob = job.validationBlob {
      held = try await dataset(blob, encoder, "validation_file")
    } else {
      let share = job.options.holdOut ?? Automatic.holdOut
      held = share > 0 ? training.holdOut(share: share, seed: job.seed) : nil
    }
    let kinds = job.options.targets?.compactMap(LinearKind.init(rawValue:)) ?? LinearKind.allCases
    let parameters = Adapter.parameterCount(
      of: description, rank: job.options.rank ?? Automatic.rank, kinds: Set(kinds))
    var examples: (training: LabelledSequences, validation: LabelledSequences?)?
    // What is only counted is named by the file that it is of: held-out examples may be of either.
    var blobs: (training: Digest, validation: Digest?) = (
      job.trainingBlob, held.map { _ in job.validationBlob ?? job.trainingBlob }
    )
    if keeps {
      let kept = LabelledSequences(training.sequences)
      let keptHeld = held.map { LabelledSequences($0.sequences) }
      examples = (kept, keptHeld)
      blobs = (try BlobDigest.sha256(kept.encoded()), nil)
      if let keptHeld { blobs.validation = try BlobDigest.sha256(keptHeld.encoded()) }
    }
    let plan = plan(
      base, blobs, training.sizes, held?.sizes,
      machines: max(1, min(machines, Self.joinedParameters / max(1, parameters))))
    if let problem = plan.problem {
      throw FineTuningFailure(code: "invalid_value", message: problem, param: "hyperparameters")
    }
    try check(
      plan, parameters: parameters, longest: max(training.sizes.longest, held?.sizes.longest ?? 0))
    return PreparedFineTuning(
      plan: plan, cost: TrainingCost(base: base, description: description), parameters: parameters,
      training: training.sizes, validation: held?.sizes, examples: examples,
      shortened: training.shortened + (held?.shortened ?? 0))
  }

  /// A file's examples.
  private struct Examples {
    var sizes = ExampleSizes()
    /// None where they are only counted.
    var sequences: [TrainingBatch.Sequence] = []
    var shortened = 0

    /// Takes some examples away; nil where there is only one.
    mutating func holdOut(share: Double, seed: Int64) -> Examples? {
      let places = TrainingDataset.heldOut(of: sizes.count, share: share, seed: seed)
      guard !places.isEmpty else { return nil }
      var held = Examples()
      (held.sizes, sizes) = sizes.split(places)
      guard !sequences.isEmpty else { return held }
      let isHeld = Set(places)
      held.sequences = places.map { sequences[$0] }
      sequences = sequences.indices.filter { !isHeld.contains($0) }.map { sequences[$0] }
      return held
    }
  }

  /// Refuses what no worker could read and no coordinator add up, before anything of that size is
  /// made.
  private func check(
    _ plan: FineTuningPlan, parameters: Int, longest: Int
  ) throws {
    func refuse(_ message: String, _ param: String) -> FineTuningFailure {
      FineTuningFailure(
        code: "invalid_value", message: message, param: "hyperparameters.\(param)")
    }
    guard parameters <= Self.payloadBytes / 3 else {
      throw refuse(
        "An adapter of \(parameters) parameters is too large to travel (\(Self.payloadBytes / 3) "
          + "at most); a smaller rank or fewer target_modules fit.", "rank")
    }
    guard plan.shards <= Self.joinedParameters / max(1, parameters) else {
      throw refuse(
        "\(plan.shards) shards of \(parameters) parameters are too much to join; fewer shards fit.",
        "shards")
    }
    let mostExamples = max(
      plan.localSteps * plan.batchSize,
      (plan.validationExamples + plan.shards - 1) / plan.shards)
    guard longest <= Self.payloadBytes / 8 / max(1, mostExamples) else {
      throw refuse(
        "\(mostExamples) examples of \(longest) tokens are too much for a unit; fewer local_steps, "
          + "a smaller batch_size or max_tokens fit.", "local_steps")
    }
  }

  private func model() async throws -> ServedModel {
    guard let served = try await environment.catalog.model(job.model, date: date),
      served.record.isVisible(toKey: job.keyID)
    else {
      throw FineTuningFailure(
        code: "model_not_found", message: "The model '\(job.model)' does not exist.",
        param: "model")
    }
    guard served.record.adapter == nil else {
      throw FineTuningFailure(
        code: "unsupported_model",
        message: "The model '\(job.model)' is tuned already; tune the model that it is made from.",
        param: "model")
    }
    return served
  }

  private func dataset(
    _ blob: Digest, _ encoder: ExampleEncoder, _ param: String
  ) async throws -> Examples {
    guard var reader = try await environment.lineReader(of: blob) else {
      throw StoreError(.corrupt, "The blob \(blob) of a fine-tuning job is missing.")
    }
    var dataset = TrainingDataset()
    var examples = Examples()
    var number = 0
    while let line = try await reader.next() {
      try Task.checkCancellation()
      number += 1
      switch line {
      case .bytes(let bytes):
        dataset.add(bytes, number: number, encoder)
        let added = dataset.takeSequences()
        examples.sizes.append(ExampleSizes(LabelledSequences(added)))
        if keeps { examples.sequences += added }
      case .tooLong:
        dataset.refuse(
          DatasetError(line: number, "has more than \(environment.limits.lineBytes) bytes"))
      }
      guard dataset.lines <= environment.limits.batchLines else {
        dataset.refuse(
          DatasetError(
            line: number, "there are more than \(environment.limits.batchLines) examples"))
        break
      }
    }
    dataset.finish()
    guard dataset.errors.isEmpty else {
      let shown = dataset.errors.prefix(10).map { "\($0)" }.joined(separator: "; ")
      let more = dataset.errors.count > 10 ? "; and more" : ""
      let name = param.replacing("_", with: " ")
      throw FineTuningFailure(
        code: "invalid_\(param)", message: "The \(name) cannot be learnt from: \(shown)\(more).",
        param: param)
    }
    examples.shortened = dataset.shortened
    return examples
  }

  private func plan(
    _ base: ModelRecord, _ blobs: (training: Digest, validation: Digest?),
    _ examples: ExampleSizes, _ held: ExampleSizes?, machines: Int
  ) -> FineTuningPlan {
    let options = job.options
    let epochs = options.epochs ?? Automatic.epochs
    let batchSize = options.batchSize ?? Automatic.batchSize
    let perEpoch = (examples.count + batchSize - 1) / batchSize
    let round = Automatic.round(options, batches: epochs * perEpoch, machines: machines)
    let rank = options.rank ?? Automatic.rank
    var plan = FineTuningPlan(
      model: base.manifest, training: blobs.training,
      validation: held.flatMap { _ in blobs.validation },
      trainingExamples: examples.count, validationExamples: held?.count ?? 0,
      seed: job.seed, rank: rank, alpha: options.alpha ?? Double(2 * rank),
      isRankStabilised: options.isRankStabilised ?? false,
      targets: options.targets ?? LinearKind.allCases.map(\.rawValue), epochs: epochs,
      batchSize: batchSize, localSteps: round.localSteps, shards: round.shards,
      learningRate: Automatic.learningRate * (options.learningRateMultiplier ?? 1),
      outerLearningRate: options.outerLearningRate ?? Automatic.outerLearningRate,
      outerMomentum: options.outerMomentum ?? Automatic.outerMomentum, patience: options.patience)
    plan.weightDecay = options.weightDecay ?? 0
    return plan
  }
}

extension LabelledSequences {
  init(_ sequences: [TrainingBatch.Sequence]) {
    self.init(sequences: sequences.map { .init(tokens: $0.tokens, labels: $0.labels) })
  }
}

extension APIEnvironment {
  /// Workers that may run shards of one pool at once, the replicas of a shard counted as one.
  func machines(for pool: WorkPool) async throws -> Int {
    let active = try await store.activeMachines(pool: pool, now: now()).count
    return max(1, active / (pool == .public ? policy.quorum : 1))
  }
}
