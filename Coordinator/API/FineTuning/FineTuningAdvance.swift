import BoundedWork
import CoordinatorCore
import CoordinatorStore
import Execution
import Foundation
import Logging
import ModelFormats
import Models
import WirePayloads
import WireProtocol

/// Looks at one running job and does what is due: keeps losses that were measured, joins a round
/// whose shards are there, publishes the next, ends the job.
///
/// Everything follows from what is stored, and each change is one transaction that checks where the
/// job is: one that was killed starts over.
package struct FineTuningAdvance {
  private let environment: APIEnvironment
  private let job: FineTuningJobRecord
  private let rule: RoundRule
  private let running: Timestamp
  private let logger: Logger

  /// - Parameter running: since when the coordinator runs.
  package init(
    environment: APIEnvironment, job: FineTuningJobRecord, rule: RoundRule = RoundRule(),
    running: Timestamp, logger: Logger
  ) {
    self.environment = environment
    self.job = job
    self.rule = rule
    self.running = running
    self.logger = logger
  }

  /// - Returns: when stragglers' time is over; nil when there is nothing to wait for but results.
  /// - Throws: what store and blobs throw; the job is where it was then.
  package func run() async throws -> Timestamp? {
    do {
      return try await environment.heavy.run { try await advance() }
    } catch let error as StoreError where error.code == .conflict {
      logger.info("fine-tuning job ended meanwhile", metadata: ["job": "\(job.id)"])
      return nil
    } catch let error where error.isLasting {
      logger.error(
        "fine-tuning job cannot go on", metadata: ["job": "\(job.id)", "error": "\(error)"])
      try await fail("server_error", "The job's data on the coordinator are damaged.")
      return nil
    } catch let error where error is EncodingError || error is ExecutionError {
      // A number that is none cannot be kept, however often it is tried.
      logger.error(
        "fine-tuning job diverged", metadata: ["job": "\(job.id)", "error": "\(error)"])
      try await fail(
        "diverged",
        "Round \(job.rounds) cannot be joined: the job's numbers are no longer finite. A smaller "
          + "learning rate may help.", param: "hyperparameters")
      return nil
    }
  }

  private func fail(_ code: String, _ message: String, param: String? = nil) async throws {
    try await environment.store.end(
      .failed(FineTuningFailure(code: code, message: message, param: param)),
      ofFineTuningJob: job.id, now: environment.now())
  }

  private func advance() async throws -> Timestamp? {
    guard let plan = job.plan, let base = job.base else {
      throw StoreError(.corrupt, "The plan of fine-tuning job \(job.id) is missing.")
    }
    var rounds = try await environment.store.fineTuningRounds(
      of: job.id, key: nil, openOnly: true)
    for index in rounds.indices { try await measure(&rounds[index]) }
    guard let last = rounds.last else {
      throw StoreError(.corrupt, "Fine-tuning job \(job.id) has no round.")
    }
    let losses = rounds.map(\.validationLoss)
    if EarlyStop(patience: plan.patience).ends(losses) {
      try await succeed(plan, base)
      return nil
    }
    guard last.number < plan.rounds else {
      if rounds.allSatisfy(\.isMeasured) { try await succeed(plan, base) }
      return nil
    }
    let shards = last.units.filter { $0.kind == .train }
    let now = environment.now()
    let verdict = rule.verdict(
      shards.map(\.shown), published: last.publishedAt,
      resumed: max(running, job.resumedAt ?? running), now: now)
    switch verdict {
    case .wait(let until): return until
    case .fail:
      try await fail("round_lost", "No shard of round \(last.number + 1) could be computed.")
      return nil
    case .join:
      try await environment.heavy.run(
        bytes: joinBytes(last, shards, plan), of: environment.tuningMemory
      ) {
        try await join(last, shards, plan, base)
      }
      return nil
    }
  }

  /// Keeps a round's held-out loss once its units are accepted. A part of the examples says nothing
  /// that could be compared.
  private func measure(_ round: inout FineTuningRoundRecord) async throws {
    let units = round.units.filter { $0.kind == .validate }
    guard round.validationLoss == nil, !units.isEmpty, units.allSatisfy({ $0.result != nil })
    else { return }
    var (sum, labels) = (0.0, 0)
    for unit in units {
      guard let digest = unit.result else { continue }
      let inputs = try LabelledSequences(
        decoding: try await environment.blobs.read(unit.specification.inputs))
      let result = try ValidateResult(
        decoding: try await environment.blobs.read(digest), for: inputs)
      sum += result.lossSums.reduce(0, +)
      labels += result.labels.reduce(0, +)
    }
    guard labels > 0 else { return }
    round.validationLoss = sum / Double(labels)
    try await environment.store.recordValidation(
      sum / Double(labels), ofRound: round.number, ofFineTuningJob: job.id,
      now: environment.now())
  }

  /// Bytes of memory that joining takes: bfloat16 becomes float32 beside its bytes, twice for each
  /// shard; the examples are read as they are.
  private func joinBytes(
    _ round: FineTuningRoundRecord, _ shards: [FineTuningRoundRecord.Unit], _ plan: FineTuningPlan
  ) async throws -> Int {
    let numbers = [round.adapter, job.velocity] + shards.map(\.result)
    let examples = [plan.training, plan.validation] + shards.map(\.specification.inputs)
    var bytes = 0
    for (blobs, times) in [(numbers, 5), (examples, 2)] {
      for blob in blobs.compactMap({ $0 }) {
        bytes += times * (try await environment.blobs.size(of: blob) ?? 0)
      }
    }
    return bytes
  }

  private func join(
    _ round: FineTuningRoundRecord, _ shards: [FineTuningRoundRecord.Unit],
    _ plan: FineTuningPlan, _ base: ModelRecord
  ) async throws {
    let blobs = environment.blobs
    let adapter = try AdapterPayload(decoding: try await blobs.read(round.adapter))
    var velocity: AdapterPayload?
    if let digest = job.velocity {
      velocity = try AdapterPayload(decoding: try await blobs.read(digest))
    }
    var (joined, numbers): ([FineTuningRounds.Joined], Set<Int>) = ([], [])
    for shard in shards {
      guard let digest = shard.result else { continue }
      let inputs = try TrainInputs(decoding: try await blobs.read(shard.specification.inputs))
      let result = try TrainResult(
        decoding: try await blobs.read(digest), for: inputs, from: adapter)
      joined.append(.init(inputs: inputs, result: result))
      numbers.insert(shard.shard)
    }
    let units = try await units(plan, base)
    let next = try units.rounds.join(adapter, velocity: velocity, joined)
    var direction: Digest?
    if let payload = next.velocity { direction = try await blobs.put(payload.encoded()) }
    let now = environment.now()
    let published = try await units.round(round.number + 1, adapter: next.adapter) { digest in
      TunedModel(job).record(
        adapter: digest, step: plan.steps(through: round.number), base: base, now: now)
    }
    try await environment.store.publish(
      published,
      joining: JoinedRound(
        number: round.number, shards: numbers,
        metrics: RoundMetrics(joined, shards: shards.count), velocity: direction),
      ofFineTuningJob: job.id, now: now)
    logger.info(
      "round joined",
      metadata: [
        "job": "\(job.id)", "round": "\(round.number + 1)", "shards": "\(joined.count)",
      ])
  }

  private func units(_ plan: FineTuningPlan, _ base: ModelRecord) async throws -> RoundUnits {
    let blobs = environment.blobs
    let manifest = try ModelManifest(
      json: try await blobs.read(plan.model), name: plan.model.hex)
    let training = try LabelledSequences(decoding: try await blobs.read(plan.training))
    var validation: LabelledSequences?
    if let digest = plan.validation {
      validation = try LabelledSequences(decoding: try await blobs.read(digest))
    }
    return RoundUnits(
      rounds: try FineTuningRounds(plan, training: training),
      cost: TrainingCost(base: base, description: manifest.description), validation: validation,
      blobs: blobs)
  }

  /// The best of the adapters that have learnt something is the result; without held-out examples
  /// the last.
  private func succeed(_ plan: FineTuningPlan, _ base: ModelRecord) async throws {
    let rounds = try await environment.store.fineTuningRounds(of: job.id, key: nil)
    let learnt = rounds.dropFirst()
    guard let last = learnt.last else {
      throw StoreError(.corrupt, "Fine-tuning job \(job.id) ended without a round.")
    }
    let best = EarlyStop.best(learnt.map(\.validationLoss)).map { learnt[$0 + 1] } ?? last
    let now = environment.now()
    let model = TunedModel(job).record(adapter: best.adapter, base: base, now: now)
    let report = FineTuningReport(
      job: job, plan: plan, base: base, rounds: rounds, chosen: best.number)
    let files = try await AdapterFiles(environment: environment, model: model).files(report)
    try await environment.store.end(
      .succeeded(chosen: best.number, model: model, files: files), ofFineTuningJob: job.id,
      now: now)
    logger.info("fine-tuning job succeeded", metadata: ["job": "\(job.id)", "model": "\(model.id)"])
  }
}

extension FineTuningRoundRecord {
  /// Whether nothing that measures the adapter is open.
  fileprivate var isMeasured: Bool {
    !units.contains { $0.kind == .validate && $0.shown == .open }
  }
}

extension Error {
  /// Whether trying again would find the same: bytes that are not what was written.
  fileprivate var isLasting: Bool {
    switch self {
    case is PayloadError, is FormatError: true
    case let error as StoreError: error.code == .corrupt || error.code == .notFound
    default: false
    }
  }
}

extension RoundMetrics {
  fileprivate init(_ joined: [FineTuningRounds.Joined], shards: Int) {
    let steps = joined.map(\.result.losses.count).max() ?? 0
    let losses = (0..<steps).map { step in
      let own = joined.compactMap { one in
        one.result.losses.indices.contains(step) ? one.result.losses[step] : nil
      }
      return own.reduce(0, +) / Double(max(1, own.count))
    }
    self.init(
      losses: losses, tokens: joined.reduce(0) { $0 + $1.inputs.examples.tokenCount },
      joined: joined.count, shards: shards)
  }
}
