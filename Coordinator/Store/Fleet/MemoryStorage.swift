import CoordinatorCore
import Foundation
import Synchronization
import WireProtocol

/// A storage in memory, for tests and simulations.
package final class MemoryStorage: FleetStorage {
  private let tables = Mutex(MemoryTables())
  private let blobs: any BlobStore
  private let willApply: @Sendable (FleetChanges) throws -> Void

  /// - Parameters:
  ///   - blobs: where what groups bring of blobs is kept.
  ///   - willApply: called before each group; when it throws, nothing of the group is written.
  package init(
    blobs: any BlobStore,
    willApply: @escaping @Sendable (FleetChanges) throws -> Void = { _ in }
  ) {
    self.blobs = blobs
    self.willApply = willApply
  }

  private func read<Value: Sendable>(_ body: (MemoryTables) throws -> Value) rethrows -> Value {
    try tables.withLock { try body($0) }
  }

  package func load() async throws -> WorkingSet { read { $0.workingSet() } }

  package func apply(_ changes: FleetChanges) async throws {
    try willApply(changes)
    var data: [Digest: Data] = [:]
    for case .blob(let digest, let bytes) in changes.effects { data[digest] = bytes }
    if !data.isEmpty { try blobs.persist(data) }
    tables.withLock { $0.apply(changes) }
  }

  package func supply(_ lack: Lack, afterLine line: Int) async throws -> Supply {
    read { $0.supply(lack, afterLine: line) }
  }

  package func batch(_ id: String) async throws -> BatchRow? {
    read { tables in tables.batchNumbers[id].flatMap { tables.batches[$0] } }
  }

  package func batches(
    ofKey key: String?, after number: Int64?, limit: Int, order: PageRequest.Order
  ) async throws -> [BatchRow] {
    read { tables in
      Self.page(tables.batches, after: number, limit: limit, order: order) {
        key == nil || $0.record.keyID == key
      }
    }
  }

  package func tuningJob(_ id: String) async throws -> TuningJobRow? {
    read { tables in tables.tuningJobs.values.first { $0.record.id == id } }
  }

  package func tuningJobs(
    ofKey key: String?, after number: Int64?, limit: Int, order: PageRequest.Order
  ) async throws -> [TuningJobRow] {
    read { tables in
      Self.page(tables.tuningJobs, after: number, limit: limit, order: order) {
        key == nil || $0.record.job.keyID == key
      }
    }
  }

  private static func page<Row>(
    _ rows: [Int64: Row], after number: Int64?, limit: Int, order: PageRequest.Order,
    where isWanted: (Row) -> Bool
  ) -> [Row] {
    let isRising = order == .ascending
    let numbers = rows.keys.filter { key in
      number.map { isRising ? key > $0 : key < $0 } ?? true
    }.sorted { isRising ? $0 < $1 : $0 > $1 }
    return Array(numbers.lazy.compactMap { rows[$0] }.filter(isWanted).prefix(limit))
  }

  package func rounds(ofJob number: Int64) async throws -> [TuningRoundRow] {
    read { $0.tuningRounds.values.filter { $0.job == number }.sorted { $0.number < $1.number } }
  }

  package func units(ofJob number: Int64) async throws -> [UnitRow] {
    read { tables in
      tables.units.values.filter { $0.tuning?.job == number }.sorted { $0.number < $1.number }
    }
  }

  package func events(
    ofJob number: Int64, after id: String?, limit: Int
  ) async throws -> [FineTuningEvent] {
    try read { tables in
      let events = (tables.events[number] ?? []).reversed() as [FineTuningEvent]
      guard let id else { return Array(events.prefix(limit)) }
      guard let place = events.firstIndex(where: { $0.id == id }) else {
        throw StoreError(.unknownCursor, "No item of this list has the id given as 'after'.")
      }
      return Array(events[(place + 1)...].prefix(limit))
    }
  }

  package func units(ofBatch number: Int64, limit: Int) async throws -> [UnitRow] {
    read { tables in
      let own = tables.units.values.filter { unit in
        tables.queues[unit.queue]?.owner == .batch(number)
      }
      let open = own.filter { !$0.unit.state.hasEnded }.sorted { $0.number < $1.number }
      let ended = own.filter(\.unit.state.hasEnded).sorted { left, right in
        if left.endedAt != right.endedAt {
          return (left.endedAt?.milliseconds ?? 0) > (right.endedAt?.milliseconds ?? 0)
        }
        return left.number < right.number
      }
      return Array((open + ended).prefix(limit))
    }
  }

  package func outcomes(
    ofBatch number: Int64, afterLine: Int, limit: Int
  ) async throws -> [RequestOutcome] {
    try read { tables in
      try tables.requests(ofBatch: number, afterLine: afterLine, limit: limit).map {
        try tables.outcome(of: $0)
      }
    }
  }

  package func failedAudits(limit: Int) async throws -> [UnitRow] {
    read { tables in
      let failed = tables.units.values.filter { $0.audit == .failed }.sorted { left, right in
        if left.auditedAt != right.auditedAt {
          return (left.auditedAt?.milliseconds ?? 0) > (right.auditedAt?.milliseconds ?? 0)
        }
        return left.number > right.number
      }
      return Array(failed.prefix(limit))
    }
  }

  package func units(naming blob: Digest) async throws -> [UnitRow] {
    read { tables in
      tables.units.values.filter { row in
        row.specification.inputs == blob || row.specification.adapter == blob
          || row.unit.state.acceptance?.result == blob
          || row.unit.replicas.contains { $0.result == blob }
      }.sorted { $0.number < $1.number }
    }
  }

  package func receipts(after sequence: Int, limit: Int) async throws -> [ReceiptRow] {
    read { tables in
      guard sequence < tables.receipts.count else { return [] }
      return Array(tables.receipts[max(0, sequence)...].prefix(limit))
    }
  }

  package func history(
    of workers: [String]?, from first: Day, through last: Day
  ) async throws -> [DayContribution] {
    read { tables in
      let wanted = workers.map(Set.init)
      var days: [Day: DayContribution] = [:]
      for (key, part) in tables.contributions
      where first <= key.day && key.day <= last && wanted?.contains(key.worker) ?? true {
        days[key.day] = days[key.day].map { $0.adding(part) } ?? part
      }
      return days.values.sorted { $0.day < $1.day }
    }
  }

  package func checkReady() async throws { try willApply(FleetChanges()) }
}
