import WireProtocol

/// A fine-tuning job with what decisions go by.
package struct TuningJobRow: FleetRow {
  /// Grows with each job.
  package let number: Int64
  package var record: FineTuningJobRecord
  /// Equal for creations that a retry repeats.
  package let fingerprint: Digest
  /// Tokens that it may run through the model.
  package var reservedTokens = 0
  /// Bytes of the blobs that are kept for it, also as evidence once it ended.
  package var blobs: [Digest: Int] = [:]

  package init(number: Int64, record: FineTuningJobRecord, fingerprint: Digest) {
    self.number = number
    self.record = record
    self.fingerprint = fingerprint
  }

  package var key: Int64 { number }
  package static var table: WritableKeyPath<Fleet, Table<Self>> & Sendable { \.tuningJobs }

  package static func reindex(_ index: inout FleetIndex, from old: Self?, to new: Self?) {
    index.work.reindex(job: old, to: new)
  }
}

/// A published adapter of a job.
package struct TuningRoundRow: FleetRow {
  package struct Key: Hashable, Comparable, Sendable {
    package let job: Int64
    package let number: Int

    package init(job: Int64, number: Int) {
      self.job = job
      self.number = number
    }

    package static func < (left: Self, right: Self) -> Bool {
      (left.job, left.number) < (right.job, right.number)
    }
  }
  package let job: Int64
  package let number: Int
  package let adapter: Digest
  package var publishedAt: Timestamp
  package var joinedAt: Timestamp?
  package var metrics: RoundMetrics?
  package var validationLoss: Double?
  /// `ftckpt_` and 24 letters or digits.
  package let checkpointID: String

  package init(
    job: Int64, number: Int, adapter: Digest, publishedAt: Timestamp, checkpointID: String
  ) {
    self.job = job
    self.number = number
    self.adapter = adapter
    self.publishedAt = publishedAt
    self.checkpointID = checkpointID
  }

  package var key: Key { Key(job: job, number: number) }
  package static var table: WritableKeyPath<Fleet, Table<Self>> & Sendable { \.tuningRounds }
  package static func reindex(_ index: inout FleetIndex, from old: Self?, to new: Self?) {}
}
