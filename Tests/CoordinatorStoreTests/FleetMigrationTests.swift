import CoordinatorCore
import CoordinatorStore
import Foundation
import TestSupport
import Testing
import WireProtocol

/// A database that transactions decided in is a fleet's from its next opening on.
@Suite("Fleet migration")
struct FleetMigrationTests {
  private static let now = Laboratory.start.adding(seconds: 30)

  /// A batch in the middle of its life: units accepted, disputed, called invalid, running, and
  /// requests that wait.
  private func live(_ lab: Laboratory) async throws -> (batch: String, honest: [WorkerRecord]) {
    var honest: [WorkerRecord] = []
    for account in ["ann", "bob"] {
      honest.append(try await lab.worker("of \(account)", account: account))
    }
    let liar = try await lab.worker("of mallory", account: "mallory")
    let batch = try await lab.runningBatch(lines: 40, windowSeconds: 7 * 86_400)
    for worker in honest {
      for lease in try await lab.lease(worker) { try await lab.submit(lease, by: worker) }
    }
    for lease in try await lab.lease(liar) {
      try await lab.submit(lease, by: liar, lyingAs: "mallory")
    }
    for lease in try await lab.lease(honest[0], now: Self.now) {
      try await lab.submit(lease, by: honest[0], now: Self.now)
    }
    _ = try await lab.replayAll()
    for lease in try await lab.lease(honest[1], now: Self.now) {
      try await lab.abandon(lease, by: honest[1], .invalidUnit, now: Self.now)
    }
    _ = try await lab.lease(honest[1], now: Self.now.adding(seconds: 700))
    return (batch.id, honest)
  }

  @Test("it says the same of everything, counts right, and goes on")
  func migration() async throws {
    for seed in testSeeds(6) { try await migration(seed) }
  }

  private func migration(_ seed: UInt64) async throws {
    let identifiers = Identifiers.seeded(seed)
    let folder = try TemporaryFolder()
    let path = folder.path("coordinator.sqlite")
    let blobs = try FolderBlobStore(folder: folder.url.appendingPathComponent("blobs"))
    let old = try SQLiteStore.open(
      path: path, blobs: blobs, identifiers: identifiers, lots: .never)
    var lab = try await Laboratory(old, blobs)
    let (batch, honest) = try await live(lab)
    let time = Self.now.adding(seconds: 800)
    let before = (
      try await old.gauges(now: time), try await old.statistics(now: time),
      try await old.fleet(now: time), try await old.export(now: time),
      try await old.progress(of: batch, key: nil, now: time)
    )
    try old.close()

    let storage = try SQLiteStorage.open(path: path, blobs: blobs)
    let store = FleetStore(storage: storage, identifiers: identifiers, lots: .never)
    #expect(try await store.service.read { $0.inconsistencies() } == [])
    #expect(try await store.gauges(now: time) == before.0)
    #expect(try await store.statistics(now: time) == before.1)
    #expect(try await store.fleet(now: time) == before.2)
    #expect(try await store.export(now: time) == before.3)
    let progress = try await store.progress(of: batch, key: nil, now: time)
    #expect(progress.units == before.4.units && progress.replicas == before.4.replicas)
    #expect(progress.batch == before.4.batch)
    #expect(progress.waitingRequests == before.4.waitingRequests)

    lab = Laboratory(store: store, blobs: blobs, key: lab.key, model: lab.model)
    var now = time
    // Who called a unit invalid that was computed gets nothing of the model for a day.
    for _ in 0..<400 where try await lab.batch(batch).state == .inProgress {
      now = now.adding(seconds: 900)
      _ = try await store.tick(now: now)
      for worker in honest {
        for lease in try await lab.lease(worker, now: now) {
          try await lab.submit(lease, by: worker, now: now)
        }
      }
      _ = try await lab.replayAll(now: now)
    }
    #expect(try await lab.batch(batch).completed == 40, "seed \(seed)")
    #expect(try await store.service.read { $0.inconsistencies() } == [])
    guard case .intact = try await store.verifyReceiptChain() else {
      Issue.record("the chain of receipts is broken")
      return
    }
    try storage.close()
  }
}
