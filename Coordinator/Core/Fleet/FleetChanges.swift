import Foundation
import WireProtocol

/// What a group of decisions changed: a store writes all of it or nothing.
package struct FleetChanges: Sendable {
  package var accounts = RowChanges<AccountRow>()
  package var accountKeys = RowChanges<AccountKeyRow>()
  package var teams = RowChanges<TeamRow>()
  package var invitations = RowChanges<InvitationRow>()
  package var workers = RowChanges<WorkerRow>()
  package var certificates = RowChanges<CertificateRow>()
  package var keys = RowChanges<KeyRow>()
  package var files = RowChanges<FileRow>()
  package var manifests = RowChanges<ManifestRow>()
  package var models = RowChanges<ModelRow>()
  package var batches = RowChanges<BatchRow>()
  package var queues = RowChanges<QueueRow>()
  package var units = RowChanges<UnitRow>()
  package var tuningJobs = RowChanges<TuningJobRow>()
  package var tuningRounds = RowChanges<TuningRoundRow>()
  package var settings = RowChanges<SettingsRow>()
  /// In the order in which they happened.
  package var effects: [FleetEffect] = []

  package init() {}

  package var isEmpty: Bool {
    effects.isEmpty && accounts.isEmpty && accountKeys.isEmpty && teams.isEmpty
      && invitations.isEmpty && workers.isEmpty && certificates.isEmpty && keys.isEmpty
      && files.isEmpty && manifests.isEmpty && models.isEmpty && batches.isEmpty && queues.isEmpty
      && units.isEmpty && tuningJobs.isEmpty && tuningRounds.isEmpty && settings.isEmpty
  }
}

/// What a decision appends to histories that the working set does not hold.
package enum FleetEffect: Sendable {
  /// Bytes that a row of this group names: durable with it.
  case blob(Digest, Data)
  /// Lines of a batch.
  case requestsAdded([RequestRow])
  /// Requests are part of a unit from now on, and their sequences are in its inputs.
  case requestsCut(unit: Int64, [UnitMember])
  /// Requests of units, or their batches, have ended.
  case requestsEnded([EndedRequest], at: Timestamp)
  /// Requests whose answer was withdrawn belong to their unit again.
  case requestsReopened([Int64])
  /// All requests of a batch that have not ended do.
  case openRequestsEnded(batch: Int64, EndedRequest.Ending, at: Timestamp)
  /// A batch that failed has no requests.
  case requestsRemoved(batch: Int64)
  case receipt(ReceiptRow)
  /// Adds to what a worker contributed on a day.
  case contribution(worker: String, DayContribution)
  case tuningEvent(job: Int64, FineTuningEvent)
  /// Forgets that blobs were kept for fine-tuning jobs that had ended by then.
  case blobsForgotten([Digest], endedBy: Timestamp)
}

/// A request that ends.
package struct EndedRequest: Hashable, Sendable {
  package enum Ending: Hashable, Sendable {
    case completed
    case failed(RequestFailure)
    case expired
    case cancelled
  }
  package var number: Int64
  package var ending: Ending

  package init(number: Int64, ending: Ending) {
    self.number = number
    self.ending = ending
  }
}

/// A receipt with the replica that it is for.
package struct ReceiptRow: Hashable, Sendable {
  package var replica: Int64
  package var record: ReceiptRecord
  /// The body as it was hashed.
  package var text: String

  package init(replica: Int64, record: ReceiptRecord, text: String) {
    self.replica = replica
    self.record = record
    self.text = text
  }
}
