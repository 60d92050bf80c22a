import CoordinatorCore
import CoordinatorStore
import Foundation
import GRDB
import TestSupport
import Testing
import WireProtocol

/// The file on disk: what was acknowledged survives, several processes share it, tampering is
/// found.
@Suite("Durability")
struct DurabilityTests {
  private struct Folder {
    let folder = Result { try TemporaryFolder() }

    var url: URL { get throws { try folder.get().url } }

    func open(_ name: String = "data") async throws -> (SQLiteStore, FolderBlobStore) {
      let data = try url.appendingPathComponent(name)
      try FileManager.default.createDirectory(at: data, withIntermediateDirectories: true)
      let blobs = try FolderBlobStore(folder: data.appendingPathComponent("blobs"))
      let path = data.appendingPathComponent("coordinator.sqlite").path
      return (try SQLiteStore.open(path: path, blobs: blobs), blobs)
    }

    /// What a killed process leaves: the files as they are, without any closing.
    func snapshot(of present: String, as name: String) async throws -> (
      SQLiteStore, FolderBlobStore
    ) {
      try FileManager.default.copyItem(
        at: url.appendingPathComponent(present), to: url.appendingPathComponent(name))
      return try await open(name)
    }
  }

  @Test("a store that is killed after every step goes on from there")
  func killedAtEveryStep() async throws {
    let folder = Folder()
    let (store, blobs) = try await folder.open()
    var lab = try await Laboratory(store, blobs)
    let batch = try await lab.runningBatch(lines: 20)
    let workers = [
      try await lab.worker("a", account: "ann"), try await lab.worker("b", account: "bob"),
    ]
    var life = 0
    var present = "data"
    var unacknowledged: (lease: Lease, worker: WorkerRecord, receipt: ResultReceipt)?
    while try await lab.batch(batch.id).state == .inProgress, life < 100 {
      for worker in workers {
        for lease in try await lab.lease(worker) {
          let receipt = try await lab.submit(lease, by: worker)
          unacknowledged = (lease, worker, receipt)
        }
      }
      // The old store stays open, as a killed process never closes.
      let name = "life \(life)"
      life += 1
      let (next, nextBlobs) = try await folder.snapshot(of: present, as: name)
      present = name
      lab = lab.moved(to: next, nextBlobs)
      // Its worker had no answer, so it sends its last result again.
      if let (lease, worker, receipt) = unacknowledged {
        #expect(try await lab.submit(lease, by: worker) == receipt)
      }
    }
    #expect(try await lab.batch(batch.id).completed == 20)
    try await expectTrueAnswers(lab, batch.id)
    let statistics = try await lab.store.statistics(now: Laboratory.start.adding(seconds: 60))
    #expect(statistics.totals.accepted == 2 * statistics.unitsAccepted)
    #expect(life > 1)
  }

  @Test("commits wait for the disk")
  func pragmas() async throws {
    let folder = Folder()
    let (store, _) = try await folder.open()
    _ = try await store.createKey(
      NewKey(name: "k", hash: Laboratory.digest("k")), now: Laboratory.start)
    #expect(try await store.durabilitySettings() == ["wal", "2", "1"])
  }

  @Test("what another process writes is seen at once, and both may write")
  func sharedFile() async throws {
    let folder = Folder()
    let (one, blobs) = try await folder.open()
    let (two, _) = try await folder.open()
    let key = try await two.createKey(
      NewKey(name: "operator", hash: Laboratory.digest("o")), now: Laboratory.start)
    #expect(try await one.key(hash: Laboratory.digest("o")) == key)
    let lab = try await Laboratory(one, blobs)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for index in 0..<40 {
        group.addTask {
          let store = index % 2 == 0 ? one : two
          _ = try await store.createBatch(lab.newBatch(), isRetry: false, now: Laboratory.start)
        }
      }
      try await group.waitForAll()
    }
    let page = try await two.batches(key: lab.key.id, page: PageRequest(limit: 100))
    #expect(page.items.count == 40 && Set(page.items.map(\.id)).count == 40)
  }

  @Test("a changed, removed or forged receipt is found")
  func tampering() async throws {
    for change in [
      "UPDATE receipt SET body = replace(body, 'accepted', 'rejected') WHERE sequence = 3",
      "UPDATE receipt SET hash = previous WHERE sequence = 3",
      "DELETE FROM receipt WHERE sequence = 3",
      "UPDATE receipt SET previous = hash WHERE sequence = 3",
    ] {
      let folder = Folder()
      let (store, blobs) = try await folder.open()
      let lab = try await Laboratory(store, blobs)
      _ = try await lab.runningBatch(lines: 12)
      try await lab.drain([
        try await lab.worker("a", account: "ann"), try await lab.worker("b", account: "bob"),
      ])
      guard case .intact(let count, _) = try await store.verifyReceiptChain() else {
        Issue.record("the chain is intact before")
        continue
      }
      #expect(count >= 4)
      let path = try folder.url.appendingPathComponent("data/coordinator.sqlite").path
      let queue = try DatabaseQueue(path: path)
      try await queue.write { try $0.execute(sql: change) }
      guard case .broken(let sequence, _) = try await store.verifyReceiptChain() else {
        Issue.record("\(change) is found")
        continue
      }
      #expect(sequence == 3 || sequence == 4)
    }
  }

  @Test("a database from before history was kept has it afterwards, from its receipts")
  func historyOfBefore() async throws {
    let folder = Folder()
    let (store, blobs) = try await folder.open()
    let lab = try await Laboratory(store, blobs)
    let workers = [
      try await lab.worker("a", account: "ann"), try await lab.worker("b", account: "bob"),
    ]
    for day in 0..<3 {
      let now = Laboratory.start.adding(seconds: day * 86_400)
      _ = try await lab.runningBatch(lines: 6, now: now)
      let lease = try #require(try await lab.lease(workers[0], now: now).first)
      try await lab.submit(lease, by: workers[0], lyingAs: day == 1 ? "ann" : nil, now: now)
      try await lab.drain(workers, now: now)
      try await lab.replayAll(now: now)
    }
    let now = Laboratory.start.adding(seconds: 2 * 86_400)
    func seen(_ store: SQLiteStore) async throws -> ([DayContribution], [[Int]]) {
      let first = Day(containing: Laboratory.start)
      return (
        try await store.history(of: .everyone, from: first, through: first.adding(days: 9)),
        try await store.statistics(now: now).accounts.map {
          [$0.streakDays, $0.longestStreakDays]
        }
      )
    }
    let before = try await seen(store)
    #expect(before.0.count == 3 && before.0.contains { $0.rejected > 0 })
    try store.close()
    let path = try folder.url.appendingPathComponent("data/coordinator.sqlite").path
    try await DatabaseQueue(path: path).write { db in
      for change in [
        "DROP TABLE contribution", "DROP INDEX account_of_team", "DROP INDEX account_number",
        "DROP INDEX worker_number", "DELETE FROM grdb_migrations WHERE identifier LIKE '4:%'",
        "DELETE FROM grdb_migrations WHERE identifier LIKE '7:%'", "DROP INDEX account_likeness",
        "DROP INDEX team_likeness", "DELETE FROM grdb_migrations WHERE identifier LIKE '%: names'",
      ] { try db.execute(sql: change) }
      for column in [
        "number", "named", "team", "country", "url", "email", "cross_project_id", "streak",
        "longest_streak", "streak_day", "deleted_at", "likeness", "team_changed_at",
      ] { try db.execute(sql: "ALTER TABLE account DROP COLUMN \(column)") }
      for column in ["number", "deleted_at"] {
        try db.execute(sql: "ALTER TABLE worker DROP COLUMN \(column)")
      }
      for table in ["replica", "account", "worker"] {
        for column in ["energy", "estimated_energy"] {
          try db.execute(sql: "ALTER TABLE \(table) DROP COLUMN \(column)")
        }
      }
      try db.execute(sql: "DROP TABLE team")
    }
    let (reopened, _) = try await folder.open()
    let after = try await seen(reopened)
    #expect(after == before)
  }

  @Test("a decision that fails changes nothing and disturbs no other of its group")
  func failedDecision() async throws {
    let folder = Folder()
    let (store, blobs) = try await folder.open()
    let lab = try await Laboratory(store, blobs)
    let batch = try await lab.store.createBatch(
      lab.newBatch(), isRetry: false, now: Laboratory.start)
    await withTaskGroup(of: Void.self) { group in
      for line in 1...60 {
        group.addTask {
          let bad = lab.request(line, model: Laboratory.digest("unknown"))
          let good = lab.request(100 + line)
          try? await store.appendRequests(line % 3 == 0 ? [good, bad] : [good], to: batch.id)
        }
      }
    }
    let running = try await store.finishValidation(batch.id, model: nil, now: Laboratory.start)
    #expect(running.total == 40)
  }
}

extension Laboratory {
  /// The same key and model in another store.
  func moved(to store: any Store, _ blobs: any BlobStore) -> Laboratory {
    Laboratory(store: store, blobs: blobs, key: key, model: model)
  }
}
