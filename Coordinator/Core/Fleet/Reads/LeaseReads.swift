import WireProtocol

extension Fleet {
  /// A lease as its worker's routes need it.
  ///
  /// - Throws: `Lack`; `StoreError.leaseUnknown`.
  package func leaseRecord(_ lease: String, worker: String) throws -> LeaseRecord {
    let (unit, place) = try requireLease(lease, worker: worker)
    return LeaseRecord(
      id: lease, workerID: worker, unit: unit.digest, specification: unit.specification,
      estimatedFlops: unit.estimatedFlops,
      submitted: unit.unit.replicas[place].result.map {
        SubmittedResult(digest: $0, receipt: receipt(of: unit, place: place))
      })
  }

  /// Whether a blob is part of a model, or of a unit that the worker runs.
  package func mayRead(blob: Digest, worker: String) -> Bool {
    if index.clients.modelBlobs.contains(blob) { return true }
    return index.work.running[worker].contains { place in
      guard let specification = units[place.unit]?.specification else { return false }
      return specification.inputs == blob || specification.adapter == blob
    }
  }

  /// Leases that run.
  package var runningLeases: Int { index.work.runningCount }
}
