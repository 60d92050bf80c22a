import CoordinatorCore
import GRDB
import WireProtocol

/// What there is one of.
extension Database {
  func loadSettings(into set: inout WorkingSet) throws {
    var settings = SettingsRow()
    settings.administration = try Administration(self)
    settings.operatorKey = try setting("operator_key")
    settings.virtualTime = try setting("virtual_time") ?? 0
    settings.drawSecret = try setting("draw_secret")
    settings.clock = try json("clock")
    settings.totals = try json("totals") ?? countedTotals()
    settings.numbers = try json("numbers") ?? [:]
    for (kind, number) in try usedNumbers() {
      settings.numbers[kind] = max(settings.numbers[kind] ?? 0, number)
    }
    if let last = try first(
      "SELECT sequence, hash FROM receipt ORDER BY sequence DESC LIMIT 1")
    {
      settings.receipts = try last.value("sequence")
      settings.receiptHead = try last.value("hash")
    }
    set.settings = settings
  }

  private func setting<Value: DatabaseValueConvertible>(_ name: String) throws -> Value? {
    try first("SELECT value FROM setting WHERE name = ?", [name])?.value("value")
  }

  private func json<Value: Decodable>(_ name: String) throws -> Value? {
    try first("SELECT value FROM setting WHERE name = ?", [name])?.json("value")
  }

  /// The last number of each kind of row that is there.
  private func usedNumbers() throws -> [String: Int64] {
    let statements = [
      "account": "SELECT max(number) FROM account", "worker": "SELECT max(number) FROM worker",
      "team": "SELECT max(id) FROM team", "account key": "SELECT max(number) FROM account_key",
      "file": "SELECT max(number) FROM file", "batch": "SELECT max(number) FROM batch",
      "queue": "SELECT max(number) FROM queue", "request": "SELECT max(number) FROM request",
      "unit": "SELECT max(number) FROM unit", "replica": "SELECT max(number) FROM replica",
      "job": "SELECT max(number) FROM fine_tuning_job",
    ]
    return try statements.mapValues { Int64(try integer($0)) }
  }

  /// The counters of a database that never kept them.
  private func countedTotals() throws -> FleetTotals {
    func counts(_ table: String) throws -> [String: Int] {
      try all("SELECT state, count(*) AS count FROM \(table) GROUP BY 1").reduce(into: [:]) {
        $0[try $1.value("state")] = try $1.value("count", as: Int.self)
      }
    }
    var totals = FleetTotals()
    totals.units = try counts("unit")
    totals.tuningJobs = try counts("fine_tuning_job")
    for (state, count) in try counts("batch") {
      totals.batches[try BatchState(column: state).status, default: 0] += count
    }
    totals.completedRequests = try integer("SELECT sum(completed) FROM batch")
    totals.failedRequests = try integer("SELECT sum(failed) FROM batch")
    totals.auditsPassed = try integer("SELECT count(*) FROM unit WHERE audit = 'passed'")
    totals.auditsFailed = try integer("SELECT count(*) FROM unit WHERE audit = 'failed'")
    totals.auditsFailedDelivered = try integer(
      "SELECT count(*) FROM unit WHERE audit = 'failed' AND delivered IS NOT NULL")
    return totals
  }

  func writeSettings(_ changes: FleetChanges) throws {
    for row in changes.settings.upserts {
      let set = row.administration
      try keep("leasing", set.leasing == .open ? nil : set.leasing.rawValue)
      try keep("message", set.message)
      try keep("minimum_worker_version", set.minimumWorkerVersion?.description)
      try keep("next_address", set.nextAddress)
      try keep("operator_key", row.operatorKey?.hex)
      try keep("virtual_time", row.virtualTime)
      try keep("draw_secret", row.drawSecret)
      try keep("clock", try row.clock.map { try jsonText($0) })
      try keep("totals", try jsonText(row.totals))
      try keep("numbers", try jsonText(row.numbers))
    }
  }

  private func keep(_ name: String, _ value: (any DatabaseValueConvertible)?) throws {
    guard let value else { return try run("DELETE FROM setting WHERE name = ?", [name]) }
    try run(
      """
      INSERT INTO setting (name, value) VALUES (?, ?)
      ON CONFLICT DO UPDATE SET value = excluded.value WHERE value <> excluded.value
      """, [name, value])
  }
}
