import CoordinatorCore
import Foundation
import WireProtocol

/// The coordinator's memory. Every call is one decision in one transaction: when it returns, its
/// effect is durable; when it throws, nothing happened. Calls may be repeated after a lost answer
/// without counting anything twice.
package protocol Store: FileStore, BatchStore, FineTuningStore, WorkStore, MemberStore,
  AccountStore, KeyStore, ModelStore, StatisticsStore, OverviewStore, AdministrationStore
{}

/// Files of the Files API. A file belongs to an API key and is invisible to others.
package protocol FileStore: Sendable {
  /// Records a file whose blob is durable.
  ///
  /// - Throws: `QuotaRefusal` when the key may not store that much.
  func createFile(_ file: NewFile, now: Timestamp) async throws -> FileRecord
  /// Nil when there is none, it expired, or it belongs to another key.
  func file(_ id: String, key: String, now: Timestamp) async throws -> FileRecord?
  /// - Throws: `StoreError.unknownCursor`.
  func files(
    key: String, purpose: FilePurpose?, page: PageRequest, now: Timestamp
  ) async throws -> Page<FileRecord>
  /// Forgets a file; false when there was none.
  func deleteFile(_ id: String, key: String) async throws -> Bool
}

/// Batches and their requests.
package protocol BatchStore: Sendable {
  /// Creates a batch in `validating`.
  ///
  /// - Parameter isRetry: the client says that it sent this before (`x-stainless-retry-count`
  ///   above 0): an equal batch of the last ten minutes is returned instead of a second one.
  /// - Throws: `QuotaRefusal` when the key may make no such batch now.
  func createBatch(_ batch: NewBatch, isRetry: Bool, now: Timestamp) async throws -> BatchRecord
  /// - Parameter key: the asking API key; nil for the coordinator itself.
  func batch(_ id: String, key: String?) async throws -> BatchRecord?
  /// - Throws: `StoreError.unknownCursor`.
  func batches(key: String, page: PageRequest) async throws -> Page<BatchRecord>
  /// Stops a batch: running units are dropped, finished lines will be delivered. Cancelling twice
  /// is no mistake.
  ///
  /// - Throws: `StoreError.notFound`; `.conflict` when the batch has ended otherwise or is writing
  ///   its files.
  func cancelBatch(_ id: String, key: String, now: Timestamp) async throws -> BatchRecord
  /// Why it waits is said without the names of accounts that did not agree to be named.
  ///
  /// - Parameter key: the asking API key; nil for the coordinator itself.
  /// - Throws: `StoreError.notFound`.
  func progress(of id: String, key: String?, now: Timestamp) async throws -> BatchProgress

  /// Batches in `validating`, oldest first.
  func batchesToValidate(limit: Int) async throws -> [BatchRecord]
  /// Adds a slice of validated lines to a batch in `validating`. A line that is there already is
  /// left as it is, so a validation that was interrupted starts over from the first line. Nothing
  /// runs before `finishValidation`.
  ///
  /// - Throws: `StoreError.conflict` when the batch is not `validating` (it was cancelled
  ///   meanwhile): stop;
  ///   `.invalid` for an unknown model or a request without sequences.
  func appendRequests(_ requests: [NewRequest], to batch: String) async throws
  /// Lets the requests run; the batch is `inProgress`, or `finalizing` when every line failed
  /// already.
  ///
  /// - Parameter model: the name that all lines share, for the batch object.
  func finishValidation(_ batch: String, model: String?, now: Timestamp) async throws -> BatchRecord
  /// Ends a batch whose lines are invalid. The first `StoreLimit.storedErrors` are kept.
  func failValidation(
    _ batch: String, errors: [BatchError], now: Timestamp
  ) async throws -> BatchRecord

  /// Batches whose requests have all ended and whose files are to be written, oldest first.
  func batchesToFinalize(limit: Int) async throws -> [BatchRecord]
  /// Requests of such a batch in line order, after line `afterLine` (0 for the first page).
  func outcomes(
    of batch: String, afterLine: Int, limit: Int
  ) async throws -> [RequestOutcome]
  /// Records the files and ends the batch in the same transaction. Repeating it returns the ended
  /// batch.
  func finishBatch(
    _ batch: String, output: NewFile?, errors: NewFile?, now: Timestamp
  ) async throws -> BatchRecord
}

/// Units: leasing, results, replays.
package protocol WorkStore: Sendable {
  /// Leases units to a worker, cutting new ones where none waits for a replica.
  ///
  /// - Throws: `StoreError.notFound` for an unknown worker; `.upgradeRequired` for one whose
  ///   program is older than the operator admits.
  func lease(worker: String, request: LeaseRequest, now: Timestamp) async throws -> LeaseResponse
  /// - Throws: `StoreError.leaseUnknown`.
  func heartbeat(
    lease: String, worker: String, flopsDone: Double, now: Timestamp
  ) async throws -> HeartbeatResponse
  /// Gives a lease back. Repeating it, or giving back a lease that ended, does nothing.
  ///
  /// - Throws: `StoreError.leaseUnknown`.
  func abandon(
    lease: String, worker: String, reason: Abandonment.Reason, detail: String, now: Timestamp
  ) async throws
  /// Counts a result that can be none of its unit as a failure of its worker. The lease stays.
  func noteInvalidResult(of worker: String, now: Timestamp) async throws
  /// - Throws: `StoreError.leaseUnknown`.
  func leaseRecord(_ lease: String, worker: String) async throws -> LeaseRecord
  /// Takes a result, also late ones, and settles the unit when verification allows it. The first
  /// result of a lease counts; repeating it gives what became of it.
  ///
  /// - Throws: `StoreError.leaseUnknown`; `.invalid` when the summaries do not fit the unit;
  ///   `.conflict` when the lease was given a different result before.
  func submit(_ submission: ResultSubmission, now: Timestamp) async throws -> ResultReceipt
  /// Whether a worker may read a blob: a model's, or inputs and adapter of a unit that it holds a
  /// lease on.
  func mayRead(blob: Digest, worker: String, now: Timestamp) async throws -> Bool

  /// A unit to replay on the coordinator's own machine; nil when there is none.
  ///
  /// - Throws: `StoreError.corrupt` for a unit that cannot be read; the next call takes another.
  func takeReplay(now: Timestamp) async throws -> ReplayJob?
  /// The replay's bits are the truth: accepts the unit, grants credit to replicas that agree,
  /// rejects the others and takes back what their workers have unverified. Nil when the job was
  /// given to another or the unit has ended.
  func settleReplay(
    _ job: String, result: NewResult, now: Timestamp
  ) async throws -> ReplayOutcome?
  /// Reports that the machine could not compute the unit; after the second time its requests fail.
  func failReplay(_ job: String, detail: String, now: Timestamp) async throws
  /// Expires leases, replay jobs, batches and files that are due, and keeps the time now and then.
  ///
  /// - Parameters:
  ///   - now: the time that the coordinator goes by.
  ///   - calendar: what the system's clock says.
  func tick(now: Timestamp, calendar: Timestamp) async throws -> TickReport
  /// What was last kept of the clock; nil: nothing.
  func keptClock() async throws -> KeptClock?
  /// Moves every end and every beginning that something is measured from, since the clock was set,
  /// and keeps the time. What tells of the past (creation, receipts, days of the history) stays.
  ///
  /// - Parameters:
  ///   - seconds: what the clock was set forward by; negative: back.
  ///   - now: the time from now on.
  func moveDeadlines(seconds: Double, now: Timestamp) async throws
  /// What refers to each of these blobs, of one consistent view; blobs without uses are left out.
  func uses(of blobs: [Digest], now: Timestamp) async throws -> [Digest: [BlobUse]]
  /// Forgets that blobs were kept for fine-tuning jobs that had ended at `now`, so that their bytes
  /// count for nobody: they were found unused then, and are about to go.
  func forgetUnused(_ blobs: [Digest], now: Timestamp) async throws
}

package extension WorkStore {
  /// A tick while the calendar is right.
  func tick(now: Timestamp) async throws -> TickReport {
    try await tick(now: now, calendar: now)
  }
}

/// Accounts and their workers.
package protocol MemberStore: Sendable {
  /// Stores an invitation, creating its account when it is new.
  func createInvitation(_ invitation: NewInvitation, now: Timestamp) async throws
    -> InvitationRecord
  func invitations(now: Timestamp) async throws -> [InvitationRecord]
  /// Makes an invitation useless; false when there is none.
  func revokeInvitation(_ id: String) async throws -> Bool
  /// Uses an invitation once and makes a worker; a repetition with the same key gives the same
  /// worker.
  ///
  /// - Throws: `StoreError.invitationInvalid`; `.membershipEnded` for the key of a worker that was
  ///   revoked.
  func enrol(_ worker: NewWorker, now: Timestamp) async throws -> WorkerRecord
  /// Records a certificate before it is handed out, at enrolment and renewal. Older ones stay good,
  /// and are forgotten `StoreLimit.certificateGraceSeconds` after their end.
  ///
  /// - Parameter name: what the worker is called from now on; nil: as before. Certificates that
  ///   come with another name have a limit of their own.
  /// - Returns: false, with nothing recorded and the name as before, when the worker was given
  ///   `StoreLimit.certificatesAtOnce` (with another name `renamesAtOnce`) within a day, or within
  ///   a third of their life if that is less.
  /// - Throws: `StoreError.notFound`; `.membershipEnded` for a worker that was revoked.
  func recordCertificate(
    _ certificate: CertificateRecord, renamingTo name: String?, now: Timestamp
  ) async throws -> Bool
  /// Whether a certificate that the coordinator's authority signed admits its worker. One that is
  /// not known, as after a backup was restored, is noted when it has the key of a worker that is
  /// known and was never revoked. Its time is for the caller to judge.
  ///
  /// - Parameter publicKey: SHA-256 of the DER of the certificate's key.
  func admission(
    of certificate: CertificateRecord, publicKey: Digest
  ) async throws -> WorkerAdmission
  /// When a certificate ends by the clock as it is now: it is moved with deadlines. Nil when the
  /// certificate is not known.
  func certificateEnd(_ fingerprint: Digest) async throws -> Timestamp?
  func worker(_ id: String) async throws -> WorkerRecord?
  /// Ends a worker's membership for good, with its certificates and leases; false when there is
  /// none.
  func revokeWorker(_ id: String, now: Timestamp) async throws -> Bool
}

package extension MemberStore {
  /// Records a certificate of a worker that keeps its name.
  func recordCertificate(_ certificate: CertificateRecord, now: Timestamp) async throws -> Bool {
    try await recordCertificate(certificate, renamingTo: nil, now: now)
  }
}

/// What is public of accounts, and their teams.
package protocol AccountStore: Sendable {
  /// All accounts, oldest first, without those that were deleted.
  func accounts() async throws -> [AccountProfile]
  /// Nil when there is none of this name.
  func account(named name: String) async throws -> AccountProfile?
  /// Changes what is known of an account. A team is made when it is new, with this account for its
  /// founder.
  ///
  /// - Throws: `StoreError.notFound` for an unknown name; `.invalid` for a value out of bounds;
  ///   `.conflict` for a new team whose name looks like another's; `.tooSoon` for the team within
  ///   its pause.
  func changeAccount(
    named name: String, _ change: AccountChange, now: Timestamp
  ) async throws -> AccountProfile
  /// Forgets everything that tells who an account was, ends its workers and invitations, and lists
  /// it as deleted. Its credit stays in the totals.
  ///
  /// - Throws: `StoreError.notFound` for an unknown name.
  func deleteAccount(named name: String, now: Timestamp) async throws

  /// Adds a key that opens the account's page; of an account's keys the newest
  /// `StoreLimit.accountKeys` stay.
  ///
  /// - Parameter hash: SHA-256 of the key's UTF-8 bytes; the key itself never reaches the store.
  /// - Throws: `StoreError.notFound` for an unknown name.
  func createAccountKey(accountNamed name: String, hash: Digest, now: Timestamp) async throws
  /// The account that a key opens, nil when the key is unknown or revoked or the account deleted.
  /// Who is banned may still look.
  func account(keyHash: Digest) async throws -> AccountProfile?
  /// Makes every key of an account useless and says how many those were.
  ///
  /// - Throws: `StoreError.notFound` for an unknown name.
  func revokeAccountKeys(accountNamed name: String, now: Timestamp) async throws -> Int
}

/// API keys.
package protocol KeyStore: Sendable {
  func createKey(_ key: NewKey, now: Timestamp) async throws -> KeyRecord
  /// The key with this hash; nil when unknown or revoked.
  func key(hash: Digest) async throws -> KeyRecord?
  func keys() async throws -> [KeyRecord]
  /// False when there is no such key. Its batches go on.
  func revokeKey(_ id: String, now: Timestamp) async throws -> Bool
}

/// Models that batches may name.
package protocol ModelStore: Sendable {
  /// Adds a model, or replaces what the name meant; units of the old one go on.
  ///
  /// - Parameters:
  ///   - provenance: whose weights the manifest names, as JSON; nil where nobody looked.
  ///   - blobs: everything that workers may fetch: the manifest, its chunks, and the vocabulary.
  func registerModel(_ model: ModelRecord, provenance: Data?, blobs: [Digest]) async throws
  func models() async throws -> [ModelRecord]
  /// Everyone's models and a key's own tuned ones.
  func models(visibleTo key: String) async throws -> [ModelRecord]
  func model(_ id: String) async throws -> ModelRecord?
  /// What is known of a manifest, also once its models were replaced or removed; nil when no model
  /// had it.
  func manifest(_ digest: Digest) async throws -> ManifestRecord?
  /// Forgets a name; false when there is none. Units of the model go on.
  func removeModel(_ id: String) async throws -> Bool
  /// Forgets a tuned model of a key's own, with its job's checkpoints; false when there is none.
  func removeTunedModel(_ id: String, key: String) async throws -> Bool
}

/// Contributions and receipts.
package protocol StatisticsStore: Sendable {
  func statistics(now: Timestamp) async throws -> StatisticsSnapshot
  /// The accounts and teams of `statistics(now:)` alone, which costs no look at units and workers.
  func ranking(now: Timestamp) async throws -> Ranking
  /// What was contributed on each day of UTC from `first` to `last` on which there was something,
  /// in order.
  func history(
    of scope: HistoryScope, from first: Day, through last: Day
  ) async throws -> [DayContribution]
  /// Everything that BOINC's statistics files say, of one moment.
  func export(now: Timestamp) async throws -> StatisticsExport
  /// Figures of what waits and runs, for an operator's monitoring.
  func gauges(now: Timestamp) async throws -> FleetGauges
  /// What one worker and its account have contributed.
  func standing(worker: String, now: Timestamp) async throws -> Standing
  /// Receipts after number `after` (0: from the first), in order.
  func receipts(after: Int, limit: Int) async throws -> [ReceiptRecord]
  /// Recomputes every hash of the chain.
  func verifyReceiptChain() async throws -> ReceiptChainCheck
  /// Throws unless the store answers and can write: for `/readyz`.
  func checkReady() async throws
}

/// What the fleet does now, for everyone to see.
package protocol OverviewStore: Sendable {
  /// - Parameter listedWorkers: workers that are listed at most.
  func fleetNow(for audience: Audience, listedWorkers: Int, now: Timestamp) async throws -> FleetNow
  /// Batches of all keys, newest first.
  ///
  /// - Parameter after: the last id of the page before; nil for the first page.
  /// - Throws: `StoreError.unknownCursor`.
  func jobs(after: String?, limit: Int) async throws -> Page<BatchRecord>
  /// Fine-tuning jobs of all keys, newest first.
  func tuningJobs(limit: Int) async throws -> [FineTuningJobRecord]
  /// Units of a batch: those that have not ended first, in the order in which they were cut, then
  /// those that ended last.
  ///
  /// - Throws: `StoreError.notFound`.
  func units(of batch: String, for audience: Audience, limit: Int) async throws -> [UnitOverview]
  /// Nil when there is none, or its account was deleted. Whether everyone may see it is for the
  /// caller to decide.
  func workerOverview(_ id: String, now: Timestamp) async throws -> WorkerOverview?
  /// For the account's owner.
  ///
  /// - Throws: `StoreError.notFound`.
  func accountOverview(_ id: String, now: Timestamp) async throws -> AccountOverview
}
