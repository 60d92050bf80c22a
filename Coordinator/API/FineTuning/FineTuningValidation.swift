import BoundedWork
import CoordinatorCore
import CoordinatorStore
import Execution
import Foundation
import Logging
import ModelFormats
import Models
import Tokenizers
import WirePayloads
import WireProtocol

/// Reads a new job's files and publishes its first round. One that was killed starts over.
package struct FineTuningValidation {
  private let environment: APIEnvironment
  private let record: FineTuningJobRecord
  private let logger: Logger

  package init(environment: APIEnvironment, job: FineTuningJobRecord, logger: Logger) {
    self.environment = environment
    record = job
    self.logger = logger
  }

  /// - Throws: what store and blobs throw, `CancellationError`; the job is still `validating` then.
  package func run() async throws {
    do {
      let preparation = FineTuningPreparation(
        environment: environment, job: record.job, date: record.createdAt)
      try await environment.heavy.run(
        bytes: preparation.memoryBytes(), of: environment.tuningMemory
      ) {
        try await begin(preparation)
      }
    } catch let failure as FineTuningFailure {
      try await environment.store.end(
        .failed(failure), ofFineTuningJob: record.id, now: environment.now())
    } catch let refusal as QuotaRefusal {
      let code =
        refusal.resource == .storedBytes ? "storage_limit_exceeded" : "token_limit_exceeded"
      try await environment.store.end(
        .failed(FineTuningFailure(code: code, message: refusal.description)),
        ofFineTuningJob: record.id, now: environment.now())
    } catch let error where error is PayloadError || error is FormatError || error is TemplateError
    {
      // Nothing that a later attempt would find otherwise.
      try await environment.store.end(
        .failed(
          FineTuningFailure(
            code: "invalid_training_file", message: "The files cannot be used: \(error)",
            param: "training_file")), ofFineTuningJob: record.id, now: environment.now())
    } catch let error as StoreError where error.code == .conflict {
      logger.info("fine-tuning job ended during its validation", metadata: ["job": "\(record.id)"])
    }
  }

  private func begin(_ preparation: FineTuningPreparation) async throws {
    let prepared = try await preparation.prepare(
      machines: try await environment.machines(for: record.job.pool))
    guard let examples = prepared.examples else { return }
    let units = RoundUnits(
      rounds: try FineTuningRounds(prepared.plan, training: examples.training),
      cost: prepared.cost, validation: examples.validation, blobs: environment.blobs)
    let adapter = try FineTuningRounds.initialAdapter(
      prepared.plan, prepared.cost.description)
    func first(
      _ store: @escaping (Data) async throws -> Digest
    ) async throws -> NewFineTuningRound {
      var round = try await units.round(0, adapter: adapter, store: store) { _ in nil }
      for part in [examples.training, examples.validation].compactMap(\.self) {
        let data = try part.encoded()
        round.blobBytes[try await store(data)] = data.count
      }
      round.jobTokens = prepared.plan.epochs * prepared.training.tokenCount
      return round
    }
    // Counted before anything is written: what is refused leaves nothing on the disk.
    let bytes = try await first { BlobDigest.sha256($0) }.blobBytes.values.reduce(0, +)
    try await environment.store.checkQuota(
      .file(bytes: bytes), key: record.job.keyID, now: environment.now())
    let round = try await first { try await environment.blobs.put($0) }
    try await environment.store.beginFineTuning(
      record.id, plan: prepared.plan, base: prepared.cost.base, round, now: environment.now())
  }
}
