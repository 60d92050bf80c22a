import WireProtocol

extension Fleet {
  /// Moves a batch along and notes the time; the caller puts it in its place.
  mutating func advance(_ batch: inout BatchRow, _ event: BatchEvent) throws {}
  mutating func insertFile(_ file: NewFile) -> FileRecord {
    FileRecord(
      id: "", keyID: "", purpose: .batch, filename: "", bytes: 0, blob: file.blob, createdAt: now)
  }
  /// - Throws: `QuotaRefusal`.
  package func requireQuota(_ demand: Quota.Demand, key: String, at time: Timestamp) throws {}
  /// - Throws: `StoreError.invalid` for a model without an adapter.
  mutating func insertTuned(_ model: ModelRecord) throws {}
  mutating func removeModels(ofJob id: String) {}
  /// Why the units of a batch or job wait.
  ///
  /// - Parameter open: units that are open, and requests in none.
  package func waitReasons(
    of owner: WorkOwner, pool: WorkPool, open: Int, at time: Timestamp
  ) throws -> WaitReasons { throw StoreError(.invalid, "seam") }
}
