/// Something that refers to a blob.
package enum BlobUse: Hashable, Sendable {
  /// A model's manifest, chunk, tokenizer or vocabulary, also of a model that was removed: its
  /// batches may run.
  case model
  case file
  /// The input of a batch or fine-tuning job that has not ended.
  case openBatch
  /// Inputs or result of a unit that runs, or that a batch or job which has not ended takes answers
  /// from.
  case openUnit
  /// Inputs or result of a unit that ended then, like all its batches; and what a fine-tuning job
  /// that ended then was made of.
  case endedUnit(Timestamp)
}

/// How long blobs are kept.
package struct BlobRetention: Hashable, Sendable {
  /// Days that inputs and results of units are kept after all their batches ended, as evidence.
  package var resultDays = 30
  /// Seconds that a blob is kept though nothing refers to it: it may have been written for a row
  /// that is about to name it.
  package var graceSeconds = 86_400

  package init() {}

  /// What a blob is to the coordinator.
  package enum Kind: String, Hashable, Sendable, CaseIterable {
    case models
    case files
    case openBatches = "open_batches"
    case openUnits = "open_units"
    /// Kept as evidence.
    case endedUnits = "ended_units"
    /// Nothing refers to it, and it is new.
    case recent
    /// May be deleted.
    case unused
  }

  /// - Parameters:
  ///   - uses: everything that refers to the blob.
  ///   - writtenAt: when its bytes were stored last.
  ///   - clockSetAt: when the clock was last set, by its time from then on; nil: never. Nobody
  ///     knows how old an earlier time is, so it counts as this one.
  package func kind(
    uses: [BlobUse], writtenAt: Timestamp, clockSetAt: Timestamp? = nil, now: Timestamp
  ) -> Kind {
    if uses.contains(.model) { return .models }
    if uses.contains(.file) { return .files }
    if uses.contains(.openBatch) { return .openBatches }
    if uses.contains(.openUnit) { return .openUnits }
    let isEvidence = uses.contains { use in
      guard case .endedUnit(let end) = use else { return false }
      return now < max(end, clockSetAt ?? end).adding(seconds: resultDays * 86_400)
    }
    if isEvidence { return .endedUnits }
    return max(writtenAt, clockSetAt ?? writtenAt) < youngest(now: now) ? .unused : .recent
  }

  /// What was written at this time or later is spared.
  package func youngest(now: Timestamp) -> Timestamp { now.adding(seconds: -graceSeconds) }
}

/// Stops what would fill the disk before the database cannot write any more.
package struct DiskGuard: Hashable, Sendable {
  /// With less, nothing is uploaded and no unit is handed out; 0 turns the guard off.
  package var freeBytesMinimum = 1_000_000_000

  package init() {}

  /// With less, the database cannot write, whatever the guard is.
  private static let leastBytes = 1_000_000
  /// With more, what is there can still be read, deleted and answered, so that the guard alone is
  /// no reason to send everybody away.
  private static let readyBytes = 100_000_000

  /// Why nothing can be written, in a sentence; nil while it can or nobody can tell.
  package func fullness(freeBytes: Int?) -> String? {
    guard let freeBytes,
      freeBytes < max(Self.leastBytes, min(freeBytesMinimum, Self.readyBytes))
    else { return nil }
    return shortage(freeBytes: freeBytes)
      ?? "The coordinator's disk is full. Its operator has to make room."
  }

  /// Why nothing can be taken now, in a sentence; nil while there is room or nobody can tell.
  package func shortage(freeBytes: Int?) -> String? {
    guard let freeBytes, freeBytes < freeBytesMinimum else { return nil }
    return "The coordinator's disk is almost full: it has \(freeBytes / 1_000_000) MB left and "
      + "needs \(freeBytesMinimum / 1_000_000). Its operator has to make room."
  }
}
