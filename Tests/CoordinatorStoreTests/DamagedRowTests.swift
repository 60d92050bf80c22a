import CoordinatorCore
import CoordinatorStore
import Foundation
import GRDB
import TestSupport
import Testing
import WireProtocol

/// Rows that say nonsense, as a failing disk leaves them, hold up nothing but themselves.
@Suite("Damaged rows")
struct DamagedRowTests {
  /// A laboratory, and a second connection to its database.
  private func withDatabase(
    _ body: (Laboratory, DatabaseQueue) async throws -> Void
  ) async throws {
    let folder = try TemporaryFolder()
    let path = folder.path("coordinator.sqlite")
    let blobs = try FolderBlobStore(folder: folder.url.appendingPathComponent("blobs"))
    let store = try SQLiteStore.open(path: path, blobs: blobs)
    let database = try DatabaseQueue(path: path)
    try await body(try await Laboratory(store, blobs), database)
    try database.close()
    try store.close()
  }

  @Test("a tick ends, marks and deletes everything else that is due, and says what it could not")
  func tick() async throws {
    try await withDatabase { lab, database in
      let start = Laboratory.start
      _ = try await lab.runningBatch(lines: 40, pool: .trusted)
      let t = try await lab.worker("t", account: "lab", trusted: true)
      let u = try await lab.worker("u", account: "lab", trusted: true)
      #expect(try await lab.lease(t).count == 1)
      let sound = try #require(try await lab.lease(u).first)
      // The silence, and a hundred seconds for 100 MiB of model: then a lease is late.
      for seconds in [100, 200] {
        let beat = try await lab.store.heartbeat(
          lease: sound.id, worker: u.id, flopsDone: 0, now: start.adding(seconds: seconds))
        #expect(beat.verdict == .proceed)
      }
      let blob = Laboratory.digest("expired")
      for name in ["good", "bad"] {
        _ = try await lab.store.createFile(
          NewFile(
            keyID: lab.key.id, purpose: .batch, filename: name, bytes: 1, blob: blob,
            expiresAt: start.adding(seconds: 60)), now: start)
      }
      try await database.write { db in
        try db.execute(
          sql: """
            UPDATE unit SET prompt_tokens = 'nonsense' WHERE number = 1;
            UPDATE file SET blob = 'nonsense' WHERE filename = 'bad';
            """)
      }

      let report = try await lab.store.tick(now: start.adding(seconds: 230))
      #expect(report.failures == 3, "a lease by its deadline, the same as a late one, and a file")
      #expect(report.firstFailure?.contains("prompt_tokens") == true)
      #expect(report.expiredLeases == 0)
      #expect(report.deletedFiles.map(\.blob) == [blob])
      let late = try await database.read { db in
        try Int.fetchAll(db, sql: "SELECT late FROM replica ORDER BY number")
      }
      #expect(late == [0, 1])
      // It is tried again, and that ends too.
      let again = try await lab.store.tick(now: start.adding(seconds: 231))
      #expect(again.failures == 2 && again.deletedFiles.isEmpty)
    }
  }

  @Test("a replay that cannot be read is told, and the others are taken")
  func replays() async throws {
    try await withDatabase { lab, database in
      let now = Laboratory.start
      _ = try await lab.runningBatch(lines: 8)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      for _ in 0..<2 {
        let first = try #require(try await lab.lease(a).first)
        let second = try #require(try await lab.lease(b).first)
        #expect(first.unit == second.unit)
        try await lab.submit(first, by: a)
        try await lab.submit(second, by: b)
      }
      // As if the results of both had differed.
      try await database.write { db in
        try db.execute(
          sql: """
            UPDATE unit SET state = 'awaiting_replay', reason = 'lostReplicas' WHERE number <= 2;
            UPDATE unit SET prompt_tokens = 'nonsense', estimated_flops = 1 WHERE number = 1;
            """)
      }
      await #expect {
        try await lab.store.takeReplay(now: now)
      } throws: { ($0 as? StoreError)?.message.contains("unit 1") == true }
      let job = try #require(try await lab.store.takeReplay(now: now))
      #expect(job.reason == "lostReplicas")
      #expect(try await lab.store.takeReplay(now: now) == nil)
    }
  }

  @Test("so many damaged leases as a slice holds keep no later one alive")
  func slices() async throws {
    try await withDatabase { lab, database in
      _ = try await lab.runningBatch(lines: 2_000, pool: .trusted)
      for index in 0..<4 {
        let worker = try await lab.worker("w\(index)", account: "lab", trusted: true)
        for _ in 0..<32 { #expect(try await lab.lease(worker).count == 1) }
      }
      try await database.write { db in
        try db.execute(
          sql: """
            UPDATE unit SET prompt_tokens = 'nonsense' WHERE number IN (
              SELECT unit FROM replica ORDER BY deadline, number LIMIT 100)
            """)
      }
      let report = try await lab.store.tick(now: Laboratory.start.adding(seconds: 10_000))
      #expect(report.expiredLeases == 28, "\(report)")
    }
  }
}
