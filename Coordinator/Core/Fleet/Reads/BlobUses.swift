import WireProtocol

extension Fleet {
  /// What refers to a blob.
  ///
  /// - Parameter units: those that name it, as the storage has them.
  package func uses(of blob: Digest, units named: [UnitRow]) -> [BlobUse] {
    var uses: [BlobUse] = []
    let clients = index.clients
    if clients.modelBlobs.contains(blob) || clients.tokenizers.contains(blob)
      || clients.adapters.contains(blob)
    {
      uses.append(.model)
    }
    if clients.filesOfBlob.contains(blob) { uses.append(.file) }
    let inputs = index.work.batchInputs[blob].contains { isUnended(batch: $0) }
    let adapters = index.work.queuesOfAdapter[blob].contains { number in
      if case .batch(let batch)? = queues[number]?.owner { isUnended(batch: batch) } else { false }
    }
    if inputs || adapters { uses.append(.openBatch) }
    uses += usesByJobs(of: blob)
    uses += named.compactMap(use(of:))
    return uses
  }

  private func isUnended(batch number: Int64) -> Bool {
    batches[number].map { !$0.record.state.hasEnded } ?? false
  }

  /// Whether a fine-tuning job was given up before anything was joined: nothing was made of what it
  /// stored.
  private func isVoid(_ job: TuningJobRow) -> Bool {
    guard job.record.state == .cancelled || job.record.state == .failed else { return false }
    return !tuningRounds.rows.values.contains { $0.job == job.number && $0.joinedAt != nil }
  }

  /// The files, examples, adapters and directions of fine-tuning jobs: kept with a job, then as
  /// evidence of what was made of them.
  private func usesByJobs(of blob: Digest) -> [BlobUse] {
    tuningJobs.sorted.compactMap { job in
      let own = job.record.job
      let isNamed =
        own.trainingBlob == blob || own.validationBlob == blob || job.blobs[blob] != nil
      guard job.record.velocity == blob || (isNamed && !isVoid(job)) else { return nil }
      return job.record.endedAt.map { .endedUnit($0) } ?? .openBatch
    }
  }

  /// Nil for a unit that nobody computed of a job that came to nothing.
  private func use(of stored: UnitRow) -> BlobUse? {
    let unit = units[stored.number] ?? stored
    guard let end = unit.endedAt, unit.audit != .due else { return .openUnit }
    if let job = unit.tuning.flatMap({ tuningJobs[$0.job] }) {
      if isVoid(job), !unit.unit.replicas.contains(where: { $0.result != nil }) { return nil }
      // A job's first units are evidence for as long as its last.
      return job.record.endedAt.map { .endedUnit($0) } ?? .openUnit
    }
    return unit.members.contains { isUnended(batch: $0.batch) } ? .openUnit : .endedUnit(end)
  }
}
