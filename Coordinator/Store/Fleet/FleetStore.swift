import CoordinatorCore
import Foundation
import WireProtocol

/// The coordinator's memory over any storage: decisions are the fleet's, what has ended is the
/// storage's.
package final class FleetStore: Store {
  package let service: FleetService
  let storage: any FleetStorage

  package init(
    storage: any FleetStorage, policy: CoordinatorPolicy = CoordinatorPolicy(),
    identifiers: Identifiers = .system, lots: Lots = .system
  ) {
    self.storage = storage
    service = FleetService(
      storage: storage, policy: policy, draw: FleetDraw(identifiers: identifiers, lots: lots))
  }

  /// A store in memory, for tests and simulations.
  package static func inMemory(
    blobs: any BlobStore = MemoryBlobStore(), policy: CoordinatorPolicy = CoordinatorPolicy(),
    identifiers: Identifiers = .system, lots: Lots = .system
  ) -> FleetStore {
    FleetStore(
      storage: MemoryStorage(blobs: blobs), policy: policy, identifiers: identifiers, lots: lots)
  }

  /// A decision that needs no time: what it keeps is not measured from.
  func handle<Event: FleetEvent>(_ event: Event) async throws -> Event.Answer {
    try await service.handle(event, now: Timestamp(milliseconds: 0))
  }
}

// Files.
package extension FleetStore {
  func createFile(_ file: NewFile, now: Timestamp) async throws -> FileRecord {
    try await service.handle(CreateFile(file), now: now)
  }

  func file(_ id: String, key: String, now: Timestamp) async throws -> FileRecord? {
    try await service.read { $0.file(id, key: key, at: now) }
  }

  func files(
    key: String, purpose: FilePurpose?, page: PageRequest, now: Timestamp
  ) async throws -> Page<FileRecord> {
    try await service.read { try $0.files(key: key, purpose: purpose, page: page, at: now) }
  }

  func deleteFile(_ id: String, key: String) async throws -> Bool {
    try await handle(DeleteFile(id: id, key: key))
  }
}

// Batches.
package extension FleetStore {
  func createBatch(_ batch: NewBatch, isRetry: Bool, now: Timestamp) async throws -> BatchRecord {
    try await service.handle(CreateBatch(batch, isRetry: isRetry), now: now)
  }

  func batch(_ id: String, key: String?) async throws -> BatchRecord? {
    let live = try await service.read { fleet in
      fleet.index.work.batches[id].flatMap { fleet.batches[$0]?.record }
    }
    let record: BatchRecord?
    if let live { record = live } else { record = try await storage.batch(id)?.record }
    return record.flatMap { key == nil || $0.keyID == key ? $0 : nil }
  }

  func batches(key: String, page: PageRequest) async throws -> Page<BatchRecord> {
    try await batches(ofKey: key, page)
  }

  private func batches(ofKey key: String?, _ page: PageRequest) async throws -> Page<BatchRecord> {
    var after: Int64?
    if let id = page.after {
      guard let row = try await storage.batch(id), key == nil || row.record.keyID == key else {
        throw StoreError(
          .unknownCursor,
          key == nil
            ? "There is no batch '\(id)'."
            : "No item of this list has the id given as 'after'.")
      }
      after = row.number
    }
    let rows = try await storage.batches(
      ofKey: key, after: after, limit: page.limit + 1, order: page.order)
    return Page(items: rows.prefix(page.limit).map(\.record), hasMore: rows.count > page.limit)
  }

  func jobs(after: String?, limit: Int) async throws -> Page<BatchRecord> {
    try await batches(ofKey: nil, PageRequest(after: after, limit: limit))
  }

  func cancelBatch(_ id: String, key: String, now: Timestamp) async throws -> BatchRecord {
    try await service.handle(CancelBatch(id: id, key: key), now: now)
  }

  func progress(of id: String, key: String?, now: Timestamp) async throws -> BatchProgress {
    try await service.read { try $0.progress(ofBatch: id, key: key, at: now) }
  }

  func batchesToValidate(limit: Int) async throws -> [BatchRecord] {
    try await service.read { fleet in
      fleet.index.work.validatingBatches.prefix(limit).compactMap { fleet.batches[$0]?.record }
    }
  }

  func appendRequests(_ requests: [NewRequest], to batch: String) async throws {
    try await handle(AppendRequests(requests, to: batch))
  }

  func finishValidation(
    _ batch: String, model: String?, now: Timestamp
  ) async throws -> BatchRecord {
    try await service.handle(FinishValidation(batch: batch, model: model), now: now)
  }

  func failValidation(
    _ batch: String, errors: [BatchError], now: Timestamp
  ) async throws -> BatchRecord {
    try await service.handle(FailValidation(batch: batch, errors: errors), now: now)
  }

  func batchesToFinalize(limit: Int) async throws -> [BatchRecord] {
    try await service.read { fleet in
      fleet.index.work.batchesAwaitingFiles.prefix(limit).compactMap { fleet.batches[$0]?.record }
    }
  }

  func outcomes(of batch: String, afterLine: Int, limit: Int) async throws -> [RequestOutcome] {
    guard let row = try await storage.batch(batch) else {
      throw StoreError(.notFound, "No batch found with id '\(batch)'.")
    }
    guard row.record.state.awaitsFiles || row.record.state.hasEnded else {
      throw StoreError(.conflict, "Batch \(batch) is still \(row.record.state.status).")
    }
    return try await storage.outcomes(ofBatch: row.number, afterLine: afterLine, limit: limit)
  }

  func finishBatch(
    _ batch: String, output: NewFile?, errors: NewFile?, now: Timestamp
  ) async throws -> BatchRecord {
    try await service.handle(FinishBatch(id: batch, output: output, errors: errors), now: now)
  }

  func setPriority(_ priority: Int, ofBatch id: String) async throws {
    try await handle(SetPriority(batch: id, priority: priority))
  }

  func units(of batch: String, for audience: Audience, limit: Int) async throws -> [UnitOverview] {
    guard let row = try await storage.batch(batch) else {
      throw StoreError(.notFound, "No batch found with id '\(batch)'.")
    }
    let units = try await storage.units(ofBatch: row.number, limit: limit)
    return try await service.read { fleet in units.map { fleet.overview(of: $0, for: audience) } }
  }
}
