import WireProtocol

// What several decisions look up.
extension Fleet {
  /// An account's workers, in the order of their ids.
  package func workers(ofAccount id: String) -> [WorkerRow] {
    index.people.workersOfAccount[id].sorted().compactMap { workers[$0] }
  }

  /// - Throws: `StoreError.notFound`.
  package func requireWorker(_ id: String) throws -> WorkerRow {
    guard let worker = workers[id] else {
      throw StoreError(.notFound, "There is no worker \(id).")
    }
    return worker
  }

  /// - Throws: `StoreError.corrupt`: a row names an account that is not there.
  package func requireAccount(_ id: String) throws -> AccountRow {
    guard let account = accounts[id] else {
      throw StoreError(.corrupt, "There is no account \(id).")
    }
    return account
  }

  /// A worker as its routes know it.
  package func record(of worker: WorkerRow) -> WorkerRecord {
    WorkerRecord(
      id: worker.id, accountID: worker.account,
      accountName: accounts[worker.account]?.name ?? "", name: worker.name,
      trusted: worker.trusted, createdAt: worker.createdAt, lastSeen: worker.lastSeen,
      suspendedUntil: worker.suspendedUntil)
  }

  /// - Throws: `Lack`; `StoreError.notFound`, also for another key's batch.
  package func requireBatch(_ id: String, key: String? = nil) throws -> BatchRow {
    if let number = index.work.batches[id], let batch = batches[number] {
      if key == nil || batch.record.keyID == key { return batch }
    } else {
      try need(.batch(id))
    }
    throw StoreError(.notFound, "No batch found with id '\(id)'.")
  }

  /// - Throws: `Lack`; `StoreError.notFound`, also for another key's job.
  package func requireJob(_ id: String, key: String? = nil) throws -> TuningJobRow {
    if let number = index.work.jobs[id], let job = tuningJobs[number] {
      if key == nil || job.record.job.keyID == key { return job }
    } else {
      try need(.tuningJob(id))
    }
    throw StoreError(.notFound, "No fine-tuning job found with id '\(id)'.")
  }

  /// Where a queue of a key begins: at the least virtual time of the key's active queues, so that
  /// it neither waits for them nor holds them up.
  func startingTime(ofKey key: String) -> Double {
    (index.work.activeQueues[key] ?? SortedArray()).lazy.map(\.virtualTime).min() ?? 0
  }

  /// Canonical JSON as a text.
  static func json(_ value: some Encodable) throws -> String {
    String(decoding: try CanonicalJSON.encode(value), as: UTF8.self)
  }
}
