import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  func progress(of id: String, key: String?, now: Timestamp) async throws -> BatchProgress {
    let policy = policy
    return try await read { db in
      let batch = try BatchRow.require(id, key: key, db)
      var progress = BatchProgress(
        batch: batch.record, units: BatchProgress.Units(), replicas: BatchProgress.Replicas(),
        agreements: 0, replays: 0, waitingRequests: 0, flopsDone: 0, flopsEstimated: 0,
        waitReasons: [], secondsLeft: 0)
      try progress.countUnits(batch, db)
      try progress.countReplicas(batch, db)
      try progress.estimate(batch, db)
      if batch.record.state == .inProgress {
        progress.waitReasons = try WaitReasons(batch, now: now, policy, db).sentences(progress)
      }
      if !batch.record.state.hasEnded {
        progress.secondsLeft = max(0, Int(batch.record.times.expires.seconds(since: now)))
      }
      return progress
    }
  }
}

extension BatchProgress {
  fileprivate mutating func countUnits(_ batch: BatchRow, _ db: Database) throws {
    let rows = try db.all(
      """
      SELECT unit.state AS state, verification, count(*) AS count FROM unit
      JOIN queue ON queue.number = unit.queue WHERE queue.batch = ? GROUP BY 1, 2
      """, [batch.number])
    for row in rows {
      let count: Int = try row.value("count")
      switch try row.value("state", as: String.self) {
      case "open": units.open += count
      case "awaiting_replay": units.awaitingReplay += count
      case "accepted": units.accepted += count
      case "failed": units.failed += count
      default: units.cancelled += count
      }
      switch try row.optional("verification", as: String.self) {
      case Verification.quorum.rawValue: agreements += count
      case Verification.replay.rawValue: replays += count
      default: break
      }
    }
  }

  fileprivate mutating func countReplicas(_ batch: BatchRow, _ db: Database) throws {
    let rows = try db.all(
      """
      SELECT replica.state AS state, count(*) AS count FROM replica
      JOIN unit ON unit.number = replica.unit JOIN queue ON queue.number = unit.queue
      WHERE queue.batch = ? GROUP BY 1
      """, [batch.number])
    for row in rows {
      let count: Int = try row.value("count")
      switch try row.value("state", as: String.self) {
      case "running": replicas.running += count
      case "submitted": replicas.waiting += count
      case "accepted": replicas.accepted += count
      case "rejected", "taken_back": replicas.rejected += count
      default: replicas.lost += count
      }
    }
  }

  /// Waiting requests are counted with their mean length: exact enough for a progress bar.
  fileprivate mutating func estimate(_ batch: BatchRow, _ db: Database) throws {
    flopsDone =
      try db.first("SELECT flops_done FROM batch WHERE number = ?", [batch.number])?
      .value("flops_done") ?? 0
    let units = try db.first(
      """
      SELECT ifnull(sum(unit.estimated_flops), 0.0) AS open FROM unit
      JOIN queue ON queue.number = unit.queue
      WHERE queue.batch = ? AND unit.state IN ('open', 'awaiting_replay')
      """, [batch.number])
    flopsEstimated = flopsDone + (try units?.value("open") ?? 0)
    for row in try db.all(
      """
      SELECT queue.*, manifest.* FROM queue JOIN manifest ON manifest.digest = queue.manifest
      WHERE queue.batch = ? AND queue.waiting > 0
      """, [batch.number])
    {
      waitingRequests += try row.value("waiting", as: Int.self)
      let lengths = try db.first(
        """
        SELECT sum(sequences) AS sequences, sum(prompt_tokens) AS prompt, sum(max_tokens) AS limits
        FROM request WHERE queue = ? AND state = 'waiting'
        """, [try row.value("number", as: Int64.self)])
      guard let sequences: Int = try lengths?.optional("sequences"), sequences > 0 else { continue }
      let estimate = GenerationEstimate(
        tokens: try row.value("learned_tokens"), sequences: try row.value("learned_sequences"))
      let prompt: Int = try lengths?.value("prompt") ?? 0
      let limit: Int = try lengths?.value("limits") ?? 0
      flopsEstimated +=
        Double(sequences)
        * (try ModelCost(row: row)).flops(
          prompt: prompt / sequences, generated: estimate.tokens(limit: max(1, limit / sequences)))
    }
  }
}

/// Says in words why a batch does not get on.
private struct WaitReasons {
  let pool: WorkPool
  /// Accounts with a worker that asked for work lately and is not suspended.
  let active: Set<String>
  /// Units that want a replica, by the account that alone takes part in them; its name only when its
  /// owner agreed to be named.
  let alone: [(account: String, name: String?, units: Int)]
  let minutes: Int
  /// What runs, for a sentence.
  let model: String
  /// Units that workers called invalid, when none of the batch was computed.
  let refusedUnits: Int

  init(
    _ batch: BatchRow, now: Timestamp, _ policy: CoordinatorPolicy, _ db: Database
  ) throws {
    pool = batch.record.pool
    model = batch.record.model.map { "model \($0)" } ?? "this batch"
    refusedUnits = try db.integer(
      """
      SELECT count(DISTINCT unit.number) FROM unit JOIN queue ON queue.number = unit.queue
      JOIN replica ON replica.unit = unit.number
      WHERE queue.batch = ? AND replica.reason = 'invalidUnit' AND NOT EXISTS (
        SELECT 1 FROM unit AS done JOIN queue AS other ON other.number = done.queue
        WHERE other.batch = queue.batch AND done.state = 'accepted')
      """, [batch.number])
    minutes = policy.activeSeconds / 60
    active = Set(
      try db.all(
        """
        SELECT DISTINCT account FROM worker
        WHERE last_seen >= ? AND ifnull(suspended_until <= ?, 1) AND (trusted = 1 OR ? = 'public')
        """, [now.adding(seconds: -policy.activeSeconds), now, batch.record.pool.rawValue]
      ).map { try $0.value("account") })
    alone = try db.all(
      """
      SELECT account.id AS id, CASE WHEN account.named = 1 THEN account.name END AS name,
        count(*) AS units FROM unit
      JOIN queue ON queue.number = unit.queue JOIN account ON account.id = unit.sole_account
      WHERE queue.batch = ? AND unit.missing > 0 GROUP BY account.id ORDER BY account.name
      """, [batch.number]
    ).map { (try $0.value("id"), try $0.optional("name"), try $0.value("units")) }
  }

  func sentences(_ progress: BatchProgress) -> [String] {
    var sentences: [String] = []
    let pending = progress.waitingRequests > 0 || progress.units.open > 0
    if pending, active.isEmpty {
      sentences.append(
        "No worker of the \(pool.rawValue) pool has asked for work in the last \(minutes) minutes.")
    }
    for (account, name, units) in alone where active.subtracting([account]).isEmpty {
      let runner = name.map { "'\($0)'" } ?? "one account"
      sentences.append(
        "Too few accounts: \(Self.units(units, "run by \(runner)")) for a worker "
          + "of a second account, "
          + "and no other account of the \(pool.rawValue) pool is active.")
    }
    if refusedUnits > 0 {
      sentences.append(
        "No unit of \(model) could be computed so far: workers called \(refusedUnits) of them "
          + "invalid. Lines that failed say why.")
    }
    if progress.units.awaitingReplay > 0 {
      sentences.append(
        "\(Self.units(progress.units.awaitingReplay, "with disputed or lost results")) "
          + "for the coordinator's own machine.")
    }
    return sentences
  }

  private static func units(_ count: Int, _ which: String) -> String {
    count == 1 ? "1 unit \(which) waits" : "\(count) units \(which) wait"
  }
}
