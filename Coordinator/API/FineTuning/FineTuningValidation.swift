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
    } catch let error where error is PayloadError || error is FormatError || error is TemplateError {
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
    let first = try await units.round(0, adapter: adapter) { _ in nil }
    try await environment.store.beginFineTuning(
      record.id, plan: prepared.plan, base: prepared.cost.base, first, now: environment.now())
  }
}
