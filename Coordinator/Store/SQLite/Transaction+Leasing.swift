import CoordinatorCore
import GRDB
import WireProtocol

extension Transaction {
  /// The draw of second accounts, whose secret is made once.
  func draw() throws -> Sortition {
    let name = "draw_secret"
    if let row = try db.first("SELECT value FROM setting WHERE name = ?", [name]) {
      return Sortition(secret: try row.value("value"))
    }
    let secret = identifiers.make("")
    try db.run("INSERT INTO setting (name, value) VALUES (?, ?)", [name, secret])
    return Sortition(secret: secret)
  }

  /// Operations a second of the workers that are there, on average of those that have shown a
  /// speed: few that seem slow change it little. Nil when none has.
  func meanSpeed(now: Timestamp) throws -> Double? {
    try db.first(
      "SELECT avg(speed) AS speed FROM worker WHERE \(FleetPresence.condition) AND speed > 0",
      FleetPresence.arguments(now: now, policy)
    )?.optional("speed")
  }

  /// Manifests of which a worker called several units invalid of late, or one that the trusted
  /// machine computed: it gets no more of them for a while.
  func refusedModels(of worker: String, now: Timestamp) throws -> Set<Digest> {
    Set(
      try db.all(
        """
        SELECT queue.manifest AS model FROM replica JOIN unit ON unit.number = replica.unit
        JOIN queue ON queue.number = unit.queue
        WHERE replica.worker = ? AND replica.reason = 'invalidUnit' AND replica.issued_at >= ?
        GROUP BY 1 HAVING sum(replica.issued_at >= ?) >= ?
          OR sum(unit.state = 'accepted' AND unit.verification = 'replay') > 0
        """,
        [
          worker, now.adding(seconds: -max(3600, policy.refutedSeconds)),
          now.adding(seconds: -3600), policy.maximumRefusals,
        ]
      ).map { try $0.value("model") })
  }

  /// Where the key that was served last started.
  func virtualTime() throws -> Double {
    try db.first("SELECT value FROM setting WHERE name = 'virtual_time'")?.value("value") ?? 0
  }

  func setVirtualTime(_ value: Double) throws {
    try db.run(
      """
      INSERT INTO setting (name, value) VALUES ('virtual_time', ?)
      ON CONFLICT DO UPDATE SET value = excluded.value
      """, [value])
  }

  /// Notes that a worker is there; not more often than needed.
  func touch(worker: String, lastSeen: Timestamp?, now: Timestamp) throws {
    if let lastSeen, lastSeen <= now, now.seconds(since: lastSeen) < 20 { return }
    try db.run("UPDATE worker SET last_seen = ? WHERE id = ?", [now, worker])
  }

  /// Keeps what a worker says of its machine, and forgets it when the worker says nothing; writes
  /// only when that changed.
  func note(
    _ machine: MachineFacts?, ofWorker id: String, stored: String?
  ) throws {
    let text = try machine.map { try jsonText($0) }
    guard text != stored else { return }
    try db.run("UPDATE worker SET machine = ? WHERE id = ?", [text, id])
  }

  func specification(of unit: Int64) throws -> UnitSpecification {
    guard let row = try db.first("SELECT specification FROM unit WHERE number = ?", [unit]) else {
      throw Row.damaged("unit.number")
    }
    return try row.json("specification")
  }
}
