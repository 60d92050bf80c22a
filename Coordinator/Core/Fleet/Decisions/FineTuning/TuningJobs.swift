import ModelFormats
import WirePayloads
import WireProtocol

/// A client makes a fine-tuning job, which is `validating` first.
package struct CreateTuningJob: FleetEvent {
  package let job: NewFineTuningJob
  /// As for `CreateBatch`.
  package let isRetry: Bool
  private let fingerprint: Digest

  /// - Throws: `StoreError.invalid`.
  package init(_ job: NewFineTuningJob, isRetry: Bool) throws {
    guard (-100...100).contains(job.priority) else {
      throw StoreError(.invalid, "A job's priority is -100 to 100.")
    }
    self.job = job
    self.isRetry = isRetry
    fingerprint = try job.fingerprint
  }

  /// - Throws: `QuotaRefusal` when the key may make no such job now.
  package func decide(in fleet: inout Fleet) throws -> FineTuningJobRecord {
    if isRetry, let known = fleet.recentJob(like: fingerprint, key: job.keyID) { return known }
    try fleet.requireQuota(.batch(requests: 0), key: job.keyID, at: fleet.now)
    // How much a job stores is known once its files were read.
    try fleet.requireQuota(.file(bytes: 1), key: job.keyID, at: fleet.now)
    let id = fleet.newID("ftjob-")
    var row = TuningJobRow(
      number: fleet.nextNumber("job"),
      record: FineTuningJobRecord(
        id: id, job: job, state: .validating, hasBegun: false, createdAt: fleet.now,
        resultFileIDs: [], trainedTokens: 0, rounds: 0), fingerprint: fingerprint)
    // Bytes of its files count for as long as the job keeps them, also once the files are deleted.
    let files = [
      (job.trainingFileID as String?, job.trainingBlob as Digest?),
      (job.validationFileID, job.validationBlob),
    ]
    for case (let file?, let blob?) in files {
      let number = fleet.index.clients.files[file]
      row.keep(blob, bytes: number.flatMap { fleet.files[$0]?.record.bytes } ?? 0)
    }
    fleet.put(row)
    fleet.changeSettings { $0.totals.tuningJobs["validating", default: 0] += 1 }
    fleet.note(FineTuningEvent("Created fine-tuning job: \(id)"), ofJob: row.number)
    fleet.note(
      FineTuningEvent(
        "Validating training file: \(job.trainingFileID)"
          + (job.validationFileID.map { " and validation file: \($0)" } ?? "")),
      ofJob: row.number)
    return row.record
  }
}

extension TuningJobRow {
  /// Keeps a blob for as long as the job, and as evidence after it.
  mutating func keep(_ blob: Digest, bytes: Int) {
    blobs[blob] = max(blobs[blob] ?? 0, bytes)
  }
}

extension Fleet {
  fileprivate func recentJob(like fingerprint: Digest, key: String) -> FineTuningJobRecord? {
    // Later ones too, but not from before the clock was set back.
    let window = Double(-StoreLimit.createRetrySeconds)...Double(StoreLimit.createRetrySeconds)
    return index.work.jobsOfKey[key].sorted(by: >).lazy.compactMap { tuningJobs[$0] }.first {
      $0.fingerprint == fingerprint && window.contains($0.record.createdAt.seconds(since: now))
    }?.record
  }

  /// Adds a line to a job's history.
  mutating func note(_ event: FineTuningEvent, ofJob number: Int64) {
    var line = event
    line.id = newID("ftevent-")
    line.createdAt = now
    append(.tuningEvent(job: number, line))
  }

  /// Puts a job in its place in another state.
  mutating func put(_ job: TuningJobRow, from old: FineTuningState) {
    put(job)
    let new = job.record.state
    guard old != new else { return }
    changeSettings { settings in
      settings.totals.tuningJobs[old.rawValue, default: 0] -= 1
      settings.totals.tuningJobs[new.rawValue, default: 0] += 1
    }
  }

  /// A unit of the job was handed out.
  mutating func noteBegun(job number: Int64) {
    change(TuningJobRow.self, number) { $0.record.hasBegun = true }
  }
}

extension NewFineTuningJob {
  /// Equal for creations that a retry repeats.
  package var fingerprint: Digest {
    get throws {
      struct Identity: Encodable {
        let key, model, training, pool: String
        let seed: Int64?
        let validation, suffix: String?
        let options: FineTuningOptions
        let metadata: String?
        let priority: Int
      }
      return BlobDigest.sha256(
        try CanonicalJSON.encode(
          Identity(
            key: keyID, model: model, training: trainingFileID, pool: pool.rawValue,
            seed: isSeedGiven ? seed : nil, validation: validationFileID, suffix: suffix,
            options: options, metadata: try metadata.map { try $0.canonicalText },
            priority: priority)))
    }
  }
}

/// A job's owner asks something of it: cancelling drops what runs, pausing hands out nothing new.
package struct AskTuningJob: FleetEvent {
  package let wish: FineTuningWish
  package let id: String
  package let key: String

  package init(_ wish: FineTuningWish, of id: String, key: String) {
    self.wish = wish
    self.id = id
    self.key = key
  }

  /// - Throws: `StoreError.notFound`; `.conflict` when the job's state does not allow it.
  package func decide(in fleet: inout Fleet) throws -> FineTuningJobRecord {
    var job = try fleet.requireJob(id, key: key)
    let old = job.record.state
    guard let state = old.asked(wish) else {
      throw StoreError(
        .conflict, "A fine-tuning job that is \(old.rawValue) cannot be "
          + "\(wish == .cancel ? "cancelled" : "\(wish.rawValue)d").")
    }
    guard state != old else { return job.record }
    job.record.state = state
    job.record.endedAt = state.hasEnded ? fleet.now : nil
    if wish == .resume { job.record.resumedAt = fleet.now }
    if wish == .cancel { job.record.velocity = nil }
    fleet.put(job, from: old)
    switch wish {
    case .cancel: fleet.cancelUnits(ofJob: job.number, .everything)
    case .pause, .resume:
      // After a pause it goes on where the key's other queues are, and does not catch up first.
      let start = fleet.startingTime(ofKey: key)
      for queue in fleet.index.work.queuesOfOwner[.tuningJob(job.number)].sorted() {
        fleet.change(QueueRow.self, queue) { row in
          row.isReleased = wish == .resume
          if wish == .resume { row.virtualTime = max(row.virtualTime, start) }
        }
      }
    }
    let message =
      switch wish {
      case .cancel: "The job was cancelled."
      case .pause: "The job was paused: units that run may finish, nothing new is handed out."
      case .resume: "The job was resumed."
      }
    fleet.note(FineTuningEvent(message), ofJob: job.number)
    return job.record
  }
}

/// Which open units of a job are given up.
enum UnneededUnits {
  /// `train` units of a round that goes on without them.
  case round(Int)
  /// Those of a job that needs nothing more.
  case job
  /// All of them: their owner wants it.
  case everything
}

extension Fleet {
  /// Gives up open units of a job. Unless its owner wants it, those that somebody has computed are
  /// settled all the same: who was right is paid, who was not is caught.
  mutating func cancelUnits(ofJob job: Int64, _ which: UnneededUnits) {
    let open = index.work.queuesOfOwner[.tuningJob(job)]
      .flatMap { Array(index.work.openUnits[$0]) }.sorted()
    for number in open {
      guard let before = units[number], let shard = before.tuning, shard.job == job else {
        continue
      }
      if case .round(let round) = which, shard.round != round || before.kind != .train { continue }
      let isComputed =
        before.unit.state != .open || before.unit.replicas.contains { $0.state == .submitted }
      if case .everything = which {} else if isComputed { continue }
      var row = before
      row.unit.cancel()
      save(row, before: before)
    }
  }
}

/// Blobs that were kept for jobs that had ended are found unused, and about to go: their bytes
/// count for nobody.
package struct ForgetUnusedBlobs: FleetEvent {
  package let blobs: [Digest]
  package let endedBy: Timestamp

  package init(_ blobs: [Digest], endedBy: Timestamp) {
    self.blobs = blobs
    self.endedBy = endedBy
  }

  package func decide(in fleet: inout Fleet) throws {
    for job in fleet.tuningJobs.sorted {
      guard let end = job.record.endedAt, end <= endedBy else { continue }
      fleet.change(TuningJobRow.self, job.number) { row in
        for blob in blobs { row.blobs[blob] = nil }
      }
    }
    fleet.append(.blobsForgotten(blobs, endedBy: endedBy))
  }
}
