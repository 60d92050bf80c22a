import CoordinatorCore
import ModelFormats
import WireProtocol

/// Fine-tuning jobs: what their owners ask, and what the service makes of their units.
package protocol FineTuningStore: Sendable {
  /// Creates a job in `validating`.
  ///
  /// - Parameter isRetry: as for `createBatch`.
  /// - Throws: `QuotaRefusal` when the key may make no such job now.
  func createFineTuningJob(
    _ job: NewFineTuningJob, isRetry: Bool, now: Timestamp
  ) async throws -> FineTuningJobRecord
  /// - Parameter key: the asking API key; nil for the coordinator itself.
  func fineTuningJob(_ id: String, key: String?) async throws -> FineTuningJobRecord?
  /// Jobs of a key whose metadata have all these pairs.
  ///
  /// - Throws: `StoreError.unknownCursor`.
  func fineTuningJobs(
    key: String, metadata: ExactDictionary<String>, page: PageRequest
  ) async throws -> Page<FineTuningJobRecord>
  /// Does what the owner asks: cancelling drops what runs, pausing hands out nothing new.
  ///
  /// - Throws: `StoreError.notFound`; `.conflict` when the job's state does not allow it.
  func ask(
    _ wish: FineTuningWish, ofFineTuningJob id: String, key: String, now: Timestamp
  ) async throws -> FineTuningJobRecord
  /// What happened, the newest first.
  ///
  /// - Throws: `StoreError.notFound`, `.unknownCursor`.
  func fineTuningEvents(
    of id: String, key: String, after: String?, limit: Int
  ) async throws -> Page<FineTuningEvent>
  /// Every published round in order.
  ///
  /// - Parameter openOnly: units are listed only of the last round and of those whose held-out loss
  ///   is not known yet.
  /// - Throws: `StoreError.notFound`.
  func fineTuningRounds(
    of id: String, key: String?, openOnly: Bool
  ) async throws -> [FineTuningRoundRecord]
  /// What keeps a job's units from being computed; nil when it does not run.
  ///
  /// - Throws: `StoreError.notFound`.
  func waitReasons(
    ofFineTuningJob id: String, key: String?, now: Timestamp
  ) async throws -> WaitReasons?
  /// Whether a blob is one that a job's transcript names, or of its model.
  func isOfFineTuningJob(_ id: String, blob: Digest) async throws -> Bool

  /// Workers that asked for work lately and may have a pool's, and their operations a second
  /// together.
  func activeMachines(
    pool: WorkPool, now: Timestamp
  ) async throws -> (count: Int, flopsPerSecond: Double)

  /// Jobs that are validated or run, oldest first.
  func openFineTuningJobs(limit: Int) async throws -> [FineTuningJobRecord]
  /// Ends validation: the plan is fixed and the first round published.
  ///
  /// - Parameter base: the model as it is now; its name may mean another one later.
  /// - Throws: `StoreError.conflict` when the job is not `validating`: somebody cancelled it;
  ///   `QuotaRefusal` when the key may not store its blobs, or has no tokens left.
  func beginFineTuning(
    _ id: String, plan: FineTuningPlan, base: ModelRecord, _ first: NewFineTuningRound,
    now: Timestamp
  ) async throws
  /// Closes a round and publishes the next in one step; what is open of the round is given up.
  /// Repeating it changes nothing.
  ///
  /// - Throws: `StoreError.conflict` when the job does not run.
  func publish(
    _ next: NewFineTuningRound, joining round: JoinedRound, ofFineTuningJob id: String,
    now: Timestamp
  ) async throws
  /// Keeps the held-out loss of a round. Repeating it changes nothing.
  func recordValidation(
    _ loss: Double, ofRound round: Int, ofFineTuningJob id: String, now: Timestamp
  ) async throws
  /// Ends a job. A job that has ended stays as it is.
  func end(
    _ ending: FineTuningEnding, ofFineTuningJob id: String, now: Timestamp
  ) async throws
}

extension FineTuningStore {
  /// Every published round with all of its units.
  package func fineTuningRounds(
    of id: String, key: String?
  ) async throws -> [FineTuningRoundRecord] {
    try await fineTuningRounds(of: id, key: key, openOnly: false)
  }
}
