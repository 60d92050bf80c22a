import CoordinatorCore
import CoordinatorStore
import Foundation
import GRDB
import Synchronization
import TestSupport
import Testing
import WireProtocol

/// Whatever a coordinator asks of its database is found by an index, however long the history is.
@Suite("Query plans")
struct PlanTests {
  /// Tables that a statement may read from one end to the other.
  private static let small: [String: String] = [
    "account": "the fleet's people, of which lists and totals are made",
    "worker": "the fleet's machines, of which lists are made",
    "team": "teams are fewer than accounts",
    "api_key": "an operator's keys are few",
    "account_key": "an account's keys are few",
    "model": "an operator's models are few",
    "manifest": "models are few",
    "setting": "a row for each setting",
    "invitation": "an operator's invitations are few",
    "queue": "one for each batch and model; read once at the start",
  ]

  /// Statements that read a large table, by how they begin.
  private static let exceptions: [(statement: String, reason: String)] = [
    ("SELECT state, count(*) AS count FROM unit GROUP BY 1", "for /metrics, from an index alone"),
    ("SELECT count(*) FROM unit WHERE state = 'accepted'", "for /stats, from an index alone"),
    ("SELECT state, count(*) AS count FROM batch GROUP BY 1", "batches are few beside units"),
    ("SELECT count(*) FROM batch", "batches are few beside units"),
    ("SELECT sum(completed) FROM batch", "batches are few beside units"),
    ("SELECT sum(failed) FROM batch", "batches are few beside units"),
    ("SELECT state, count(*) AS count FROM fine_tuning_job GROUP BY 1", "jobs are few"),
    ("SELECT (SELECT count(*) FROM batch", "open batches by an index; fine-tuning jobs are few"),
    ("SELECT * FROM receipt ORDER BY sequence", "checks every receipt"),
    ("SELECT sequence, hash FROM receipt ORDER BY sequence DESC LIMIT 1", "reads the last row"),
  ]

  /// What a coordinator does in its days, in a few steps.
  private func session(_ lab: Laboratory) async throws {
    let (store, start) = (lab.store, Laboratory.start)
    let later = start.adding(seconds: 20)
    let batch = try await lab.runningBatch(lines: 60)
    let liar = try await lab.worker("l", account: "liar")
    let honest = [
      try await lab.worker("a", account: "ann"), try await lab.worker("b", account: "bob"),
    ]
    let lie = try #require(try await lab.lease(liar).first)
    _ = try await store.heartbeat(lease: lie.id, worker: liar.id, flopsDone: 1, now: start)
    try await lab.submit(lie, by: liar, lyingAs: "liar")
    let other = try #require(try await lab.lease(honest[0]).first)
    try await lab.submit(other, by: honest[0])
    _ = try await store.leaseRecord(other.id, worker: honest[0].id)
    _ = try await store.mayRead(blob: lie.specification.inputs, worker: liar.id, now: later)
    try await lab.replayAll()
    _ = try await store.progress(of: batch.id, key: lab.key.id, now: later)
    _ = try await store.tick(now: later)
    try await lab.drain(honest, now: later)
    try await lab.replayAll(now: later)
    try await lab.finalizeAll(now: later)
    _ = try await store.outcomes(of: batch.id, afterLine: 0, limit: 10)
    let cancelled = try await lab.runningBatch(lines: 2)
    let given = try #require(try await lab.lease(honest[0], now: later).first)
    try await store.abandon(
      lease: given.id, worker: honest[0].id, reason: .failed, detail: "", now: later)
    _ = try await lab.lease(honest[1], now: later)
    _ = try await store.cancelBatch(cancelled.id, key: lab.key.id, now: later)
    _ = try await store.batchesToValidate(limit: 1)
    _ = try await store.batches(key: lab.key.id, page: PageRequest(limit: 5))
    _ = try await lab.runningBatch(lines: 2, windowSeconds: 60)
    _ = try await store.tick(now: start.adding(seconds: 10_000))
    let job = try await FineTuningContractTests.running(lab)
    _ = try await store.openFineTuningJobs(limit: 5)
    try await store.publish(
      FineTuningContractTests.round(1, lab), joining: FineTuningContractTests.joined(0),
      ofFineTuningJob: job, now: later)
    _ = try await store.fineTuningRounds(of: job, key: nil)
    _ = try await store.fineTuningEvents(of: job, key: lab.key.id, after: nil, limit: 5)
    try await look(lab, batch, honest[0], later)
    try await store.ban(.account(honest[1].accountID), reason: "", now: later)
    _ = try await store.revokeWorker(honest[0].id, now: later)
  }

  /// Everything that pages, exports and operators read.
  private func look(
    _ lab: Laboratory, _ batch: BatchRecord, _ worker: WorkerRecord, _ now: Timestamp
  ) async throws {
    let store = lab.store
    _ = try await store.statistics(now: now)
    _ = try await store.ranking(now: now)
    _ = try await store.export(now: now)
    _ = try await store.gauges(now: now)
    _ = try await store.standing(worker: worker.id, now: now)
    _ = try await store.receipts(after: 0, limit: 5)
    _ = try await store.verifyReceiptChain()
    let day = Day(containing: now)
    for scope in [HistoryScope.everyone, .worker(id: worker.id), .account(id: worker.accountID)] {
      _ = try await store.history(of: scope, from: day, through: day)
    }
    _ = try await store.fleetNow(for: .operator, listedWorkers: 5, now: now)
    _ = try await store.jobs(after: nil, limit: 5)
    _ = try await store.tuningJobs(limit: 5)
    _ = try await store.units(of: batch.id, for: .operator, limit: 5)
    _ = try await store.workerOverview(worker.id, now: now)
    _ = try await store.accountOverview(worker.accountID, now: now)
    _ = try await store.fleet(now: now)
    _ = try await store.failedAudits(limit: 5)
    _ = try await store.runningLeases()
    _ = try await store.usage(ofKey: lab.key.id, now: now)
    _ = try await store.invitations(now: now)
    _ = try await store.models(visibleTo: lab.key.id)
    _ = try await store.uses(of: [Laboratory.digest("a chunk")], now: now)
    try await store.forgetUnused([Laboratory.digest("a chunk")], now: now)
  }

  @Test("no statement of a coordinator's day reads a table that grows for ever from end to end")
  func noScans() async throws {
    let folder = try TemporaryFolder()
    let path = folder.path("coordinator.sqlite")
    let blobs = try FolderBlobStore(folder: folder.url.appendingPathComponent("blobs"))
    try SQLiteStore.open(path: path, blobs: blobs).close()
    let seen = Mutex(Set<String>())
    var policy = CoordinatorPolicy()
    // So few that the list of audits is too long.
    policy.maximumDueAudits = 1
    let store = try SQLiteStore.open(path: path, blobs: blobs, policy: policy, lots: .always) {
      sql in
      _ = seen.withLock { $0.insert(sql) }
    }
    try await session(try await Laboratory(store, blobs))
    try store.close()
    let statements = seen.withLock { $0 }.filter { sql in
      ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].contains { sql.hasPrefix($0) }
        && !sql.contains("sqlite_") && !sql.contains("grdb_migrations")
    }
    #expect(statements.count > 100, "the session reaches the store's statements")
    let found = try await DatabaseQueue(path: path).read { db in
      let partial = try partialIndexes(db)
      return try statements.sorted().flatMap { sql in
        try scans(sql, db, partial).map { "\($0) in:\n\(sql)" }
      }
    }
    #expect(found.isEmpty, "\(found.joined(separator: "\n\n"))")
  }

  /// Indexes of just the rows that matter now.
  private func partialIndexes(_ db: Database) throws -> Set<String> {
    Set(
      try String.fetchAll(
        db, sql: "SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '% WHERE %'"))
  }

  /// What a statement reads from end to end though it should not.
  private func scans(_ sql: String, _ db: Database, _ partial: Set<String>) throws -> [String] {
    if Self.exceptions.contains(where: { sql.hasPrefix($0.statement) }) { return [] }
    let statement = try db.makeStatement(sql: "EXPLAIN QUERY PLAN " + sql)
    statement.setUncheckedArguments(StatementArguments())
    return try Row.fetchAll(statement).map { $0["detail"] as String }.filter { step in
      // Nearly all units have no replay.
      if sql.contains("replay IS NULL"), step.contains("(replay=?)") { return true }
      let words = step.split(separator: " ").map(String.init)
      guard words.first == "SCAN", words.count > 1 else { return false }
      if Self.small[words[1]] != nil { return false }
      if let index = words.firstIndex(of: "INDEX"), words.count > index + 1 {
        return !partial.contains(words[index + 1])
      }
      return !step.hasPrefix("SCAN CONSTANT") && !step.hasPrefix("SCAN (")
        && !step.contains("VIRTUAL TABLE")
    }
  }
}
