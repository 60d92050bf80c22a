import CoordinatorCore
import GRDB
import WireProtocol

/// A unit with its replicas, as one decision reads and writes it.
struct StoredUnit {
  let number: Int64
  let digest: Digest
  let queue: Int64
  let kind: UnitKind
  /// Prompt tokens of each sequence; of units that learn, all tokens.
  let promptTokens: [Int]
  let estimatedFlops: Double
  /// Replicas that the row says are missing, which its queue counts.
  let missing: Int
  let audit: AuditState?
  var unit: WorkUnit
  /// Since when it lacks the replicas that it lacks now; nil when it lacks none, or never had any.
  let wantedSince: Timestamp?
  /// Operations of the verified result.
  var flops: Double?
  /// The attempt of the trusted machine that is under way.
  var replay: String?
  var replayDeadline: Timestamp?

  static func find(_ number: Int64, _ db: Database) throws -> StoredUnit? {
    guard let row = try db.first("SELECT * FROM unit WHERE number = ?", [number]) else {
      return nil
    }
    return try StoredUnit(row: row, db)
  }

  static func require(_ number: Int64, _ db: Database) throws -> StoredUnit {
    guard let unit = try find(number, db) else { throw Row.damaged("unit.number") }
    return unit
  }

  init(row: Row, _ db: Database) throws {
    number = try row.value("number")
    digest = try row.value("digest")
    queue = try row.value("queue")
    kind = try row.name("kind")
    promptTokens = try row.json("prompt_tokens")
    estimatedFlops = try row.value("estimated_flops")
    wantedSince = try row.optional("wanted_since")
    missing = try row.value("missing")
    audit = try row.optional("audit", as: String.self) == nil ? nil : row.name("audit")
    flops = try row.optional("flops")
    replay = try row.optional("replay")
    replayDeadline = try row.optional("replay_deadline")
    let replicas = try db.all(
      """
      SELECT number, worker, account, state, reason, deadline, result, late FROM replica
      WHERE unit = ? ORDER BY number
      """,
      [number]
    ).map(Replica.init(row:))
    unit = WorkUnit(
      pool: try row.name("pool"), wanted: try row.value("wanted"),
      state: try WorkUnit.State(row: row), replicas: replicas,
      failedReplays: try row.value("failed_replays"))
  }
}

extension Transaction {
  /// Writes what changed of a unit and its replicas, and keeps its queue's count of missing
  /// replicas.
  func save(_ row: StoredUnit, before: StoredUnit, now: Timestamp) throws {
    try saveReplicas(row.unit.replicas, before: before.unit.replicas)
    let missing = row.unit.missing
    let change = missing - before.missing
    if change != 0 {
      try db.run("UPDATE queue SET missing = missing + ? WHERE number = ?", [change, row.queue])
    }
    let since = change == 0 ? before.wantedSince : now
    let columns = row.unit.state.names
    let acceptance = row.unit.state.acceptance
    let isOver = row.unit.state.hasEnded
    let isReplayed = !isOver || row.audit == .due
    try db.run(
      """
      UPDATE unit SET state = ?, reason = ?, missing = ?, wanted_since = ?, parties = ?,
        sole_account = ?, flops = ?,
        failed_replays = ?, replay = ?, replay_deadline = ?, result = ?, verification = ?,
        replicas = ?, ended_at = CASE WHEN ? THEN ifnull(ended_at, ?) END
      WHERE number = ?
      """,
      [
        columns.state, columns.reason, missing, missing > 0 ? since : nil, row.unit.everyParty,
        soleAccount(row.unit), row.flops, row.unit.failedReplays, isReplayed ? row.replay : nil,
        isReplayed ? row.replayDeadline : nil,
        acceptance?.result, acceptance?.verification.rawValue, acceptance?.replicas, isOver, now,
        row.number,
      ])
  }

  /// The account that alone takes part, so that its other workers do not have to look at the unit.
  func soleAccount(_ unit: WorkUnit) -> String {
    let accounts = unit.accounts
    return accounts.count == 1 ? accounts.first ?? "" : ""
  }

  private func saveReplicas(_ replicas: [Replica], before: [Replica]) throws {
    let old = Dictionary(uniqueKeysWithValues: before.map { ($0.id, $0) })
    for replica in replicas where old[replica.id] != nil && old[replica.id] != replica {
      let columns = replica.state.names
      try db.run(
        "UPDATE replica SET state = ?, reason = ?, result = ?, late = ? WHERE number = ?",
        [columns.state, columns.reason, replica.result, replica.isLate, replica.id])
    }
  }
}
