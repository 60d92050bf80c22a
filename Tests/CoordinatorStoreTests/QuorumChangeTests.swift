import CoordinatorCore
import CoordinatorStore
import Foundation
import GRDB
import TestSupport
import Testing
import WireProtocol

/// Processes with other settings, and other versions, on one database.
@Suite("Changes of the quorum")
struct QuorumChangeTests {
  private let folder = Result { try TemporaryFolder() }

  private func open(quorum: Int) throws -> (SQLiteStore, FolderBlobStore) {
    var policy = CoordinatorPolicy()
    policy.quorum = quorum
    let blobs = try FolderBlobStore(folder: try folder.get().url.appendingPathComponent("blobs"))
    return (
      try SQLiteStore.open(
        path: try folder.get().path("coordinator.sqlite"), blobs: blobs, policy: policy,
        lots: .never), blobs
    )
  }

  private func later(_ seconds: Int) -> Timestamp { Laboratory.start.adding(seconds: seconds) }

  @Test("a quorum of 2, 3 and 1 in turn, and a ban from a process that has another, wedge nothing")
  func changes() async throws {
    let (two, blobs) = try open(quorum: 2)
    var lab = try await Laboratory(two, blobs)
    var workers: [WorkerRecord] = []
    for name in ["a", "b", "c", "d", "e"] {
      workers.append(try await lab.worker(name, account: "account of \(name)"))
    }
    let expiring = try await lab.runningBatch(lines: 8, windowSeconds: 3_600)
    let cancelled = try await lab.runningBatch(lines: 8)
    let finished = try await lab.runningBatch(lines: 8)
    for quorum in [2, 3, 1] {
      lab = lab.moved(to: try open(quorum: quorum).0, blobs)
      // Open units of this quorum, with replicas that run and one that is submitted.
      for worker in workers.prefix(3) { _ = try await lab.lease(worker) }
      if let lease = try await lab.lease(workers[4]).first {
        try await lab.submit(lease, by: workers[4])
      }
    }
    lab = lab.moved(to: try open(quorum: 3).0, blobs)
    try await open(quorum: 2).0.ban(.worker(workers[0].id), reason: "", now: later(20))
    _ = try await lab.store.cancelBatch(cancelled.id, key: lab.key.id, now: later(20))
    let report = try await lab.store.tick(now: later(4_000))
    #expect(report.expiredBatches == 1 && report.expiredLeases > 0 && report.failures == 0)
    try await lab.drain(Array(workers[1...]), now: later(10_000))
    try await lab.finalizeAll(now: later(10_001))
    #expect(try await lab.batch(expiring.id).state == .expired)
    #expect(try await lab.batch(cancelled.id).state == .cancelled)
    #expect(try await lab.batch(finished.id).state == .completed)
    #expect(try await lab.store.gauges(now: later(10_001)).missingReplicas == 0)
    let late = try await lab.runningBatch(lines: 2, windowSeconds: 60, now: later(10_001))
    #expect(try await lab.store.tick(now: later(10_100)).expiredBatches == 1)
    #expect(try await lab.batch(late.id).state == .finalizing(.expired))
  }

  @Test(
    "a database whose counts of missing replicas are wrong is put right when it is opened",
    arguments: ["UPDATE queue SET missing = 0", "UPDATE queue SET missing = missing + 1"],
    [true, false])
  func recounted(change: String, isOld: Bool) async throws {
    let (store, blobs) = try open(quorum: 2)
    var lab = try await Laboratory(store, blobs)
    let batch = try await lab.runningBatch(lines: 8)
    let workers = [
      try await lab.worker("a", account: "ann"), try await lab.worker("b", account: "bob"),
    ]
    for worker in workers { _ = try await lab.lease(worker) }
    let gone = try #require(try await lab.lease(workers[0]).first)
    try await lab.abandon(gone, by: workers[0], .shuttingDown, now: later(1))
    try store.close()
    let path = try folder.get().path("coordinator.sqlite")
    if isOld { try makeReleased(path) }
    try await DatabaseQueue(path: path).write { db in
      try db.execute(sql: isOld ? change + "; UPDATE unit SET missing = 0" : change)
    }
    lab = lab.moved(to: try open(quorum: 2).0, blobs)
    #expect(try await lab.store.gauges(now: later(2)).missingReplicas > 0)
    #expect(try await lab.store.tick(now: later(5_000)).failures == 0)
    try await lab.drain(workers, now: later(20_000))
    #expect(try await lab.batch(batch.id).completed == 8)
    try await expectTrueAnswers(lab, batch.id)
    #expect(try await lab.store.gauges(now: later(2)).missingReplicas == 0)
  }

  @Test("a released database opens with all it has, and its lost units find volunteers again")
  func released() async throws {
    let (store, blobs) = try open(quorum: 2)
    var lab = try await Laboratory(store, blobs)
    let done = try await lab.runningBatch(lines: 4)
    let workers = [
      try await lab.worker("a", account: "ann"), try await lab.worker("b", account: "bob"),
    ]
    try await lab.drain(workers)
    try await lab.finalizeAll(now: later(1_000))
    let before = try await lab.store.statistics(now: later(1_000))
    let lost = try await lab.runningBatch(lines: 8)
    let lease = try #require(try await lab.lease(workers[0], now: later(1_000)).first)
    try await lab.abandon(lease, by: workers[0], .failed, now: later(1_001))
    try store.close()
    let path = try folder.get().path("coordinator.sqlite")
    try makeReleased(path)
    try await DatabaseQueue(path: path).write { db in
      try db.execute(
        sql: """
          UPDATE queue SET missing = 0;
          UPDATE unit SET state = 'awaiting_replay', reason = 'lostReplicas', missing = 0
          WHERE state = 'open';
          """)
    }
    lab = lab.moved(to: try open(quorum: 2).0, blobs)
    #expect(try await lab.batch(done.id).state == .completed)
    let after = try await lab.store.statistics(now: later(1_000))
    #expect(after.totals == before.totals && after.unitsAccepted == before.unitsAccepted)
    guard case .intact = try await lab.store.verifyReceiptChain() else {
      Issue.record("receipts are as they were")
      return
    }
    let again = try await lab.lease(workers[1], now: later(1_100))
    #expect(again.map(\.unit) == [lease.unit])
    try await lab.submit(try #require(again.first), by: workers[1], now: later(1_110))
    try await lab.drain(workers, now: later(20_000))
    #expect(try await lab.batch(lost.id).completed == 8)
    try await expectTrueAnswers(lab, lost.id)
  }

  @Test("a batch that cannot be expired is told and does not hold up the later ones")
  func poisoned() async throws {
    let (store, blobs) = try open(quorum: 2)
    let lab = try await Laboratory(store, blobs)
    let first = try await lab.runningBatch(lines: 2, windowSeconds: 60)
    let second = try await lab.runningBatch(lines: 2, windowSeconds: 120)
    _ = try await lab.lease(try await lab.worker("a", account: "ann"))
    try await DatabaseQueue(path: try folder.get().path("coordinator.sqlite")).write { db in
      try db.execute(
        sql: "UPDATE batch SET errors = 'no JSON' WHERE id = ?", arguments: [first.id])
    }
    for _ in 0..<2 {
      let report = try await lab.store.tick(now: later(500))
      #expect(report.failures == 1 && report.firstFailure?.contains("errors") == true)
    }
    #expect(try await lab.batch(second.id).state == .finalizing(.expired))
  }
}
