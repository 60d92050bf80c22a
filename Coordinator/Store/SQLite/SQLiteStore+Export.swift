import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  func export(now: Timestamp) async throws -> StatisticsExport {
    try await read { db in
      StatisticsExport(
        takenAt: now, accounts: try db.exportedAccounts(), teams: try db.exportedTeams(now: now),
        workers: try db.exportedWorkers(),
        deletedAccounts: try db.all(
          """
          SELECT number, cross_project_id AS key FROM account
          WHERE deleted_at IS NOT NULL ORDER BY number
          """
        ).map(StatisticsExport.Deleted.init(row:)),
        deletedWorkers: try db.all(
          "SELECT number, id AS key FROM worker WHERE deleted_at IS NOT NULL ORDER BY number"
        ).map(StatisticsExport.Deleted.init(row:)),
        accountsTotal: try db.integer("SELECT count(*) FROM account WHERE credit > 0"),
        teamsTotal: try db.integer("SELECT count(DISTINCT team) FROM account WHERE credit > 0"),
        workersTotal: try db.integer("SELECT count(*) FROM worker WHERE credit > 0"),
        credit: Credit(micro: Int64(try db.integer("SELECT sum(credit) FROM account"))))
    }
  }

  func gauges(now: Timestamp) async throws -> FleetGauges {
    let activeSince = now.adding(seconds: -policy.activeSeconds)
    return try await read { db in
      func counts(_ sql: String) throws -> [String: Int] {
        try db.all(sql).reduce(into: [:]) { counts, row in
          counts[try row.value("state"), default: 0] += try row.value("count", as: Int.self)
        }
      }
      let batches = try counts("SELECT state, count(*) AS count FROM batch GROUP BY 1")
        .reduce(into: [String: Int]()) { counts, entry in
          counts[try BatchState(column: entry.key).status, default: 0] += entry.value
        }
      let oldest = try db.first(
        """
        SELECT min(created_at) AS time FROM batch
        WHERE state NOT IN ('completed', 'failed', 'expired', 'cancelled')
        """)?.optional("time", as: Timestamp.self)
      return FleetGauges(
        units: try counts("SELECT state, count(*) AS count FROM unit GROUP BY 1"),
        batches: batches,
        fineTuningJobs: try counts(
          "SELECT state, count(*) AS count FROM fine_tuning_job GROUP BY 1"),
        runningLeases: try db.runningReplicas(),
        waitingRequests: try db.integer("SELECT sum(waiting) FROM queue WHERE released = 1"),
        missingReplicas: try db.integer("SELECT sum(missing) FROM queue WHERE released = 1"),
        workers: try db.integer("SELECT count(*) FROM worker WHERE deleted_at IS NULL"),
        activeWorkers: try db.integer(
          "SELECT count(*) FROM worker WHERE last_seen > ?", [activeSince]),
        suspendedWorkers: try db.integer(
          "SELECT count(*) FROM worker WHERE suspended_until > ?", [now]),
        suspendedAccounts: try db.integer(
          "SELECT count(*) FROM account WHERE suspended_until > ?", [now]),
        accounts: try db.integer("SELECT count(*) FROM account WHERE deleted_at IS NULL"),
        audits: try audits(db),
        acceptedResults: try db.integer("SELECT sum(accepted) FROM account"),
        rejectedResults: try db.integer("SELECT sum(rejected) FROM account"),
        tokens: try db.integer("SELECT sum(tokens) FROM account"),
        energy: Energy(
          millijoules: Int64(try db.integer("SELECT sum(energy) FROM account")),
          estimatedMillijoules: Int64(
            try db.integer("SELECT sum(estimated_energy) FROM account"))),
        credit: Credit(micro: Int64(try db.integer("SELECT sum(credit) FROM account"))),
        receipts: try db.integer("SELECT max(sequence) FROM receipt"),
        completedRequests: try db.integer("SELECT sum(completed) FROM batch"),
        failedRequests: try db.integer("SELECT sum(failed) FROM batch"),
        oldestBatchSeconds: oldest.map { max(0, now.seconds(since: $0)) } ?? 0)
    }
  }
}

private func audits(_ db: Database) throws -> FleetGauges.Audits {
  func count(_ state: AuditState) throws -> Int {
    try db.integer("SELECT count(*) FROM unit WHERE audit = ?", [state.rawValue])
  }
  return FleetGauges.Audits(
    due: try count(.due), passed: try count(.passed), failed: try count(.failed),
    failedDelivered: try db.integer(
      "SELECT count(*) FROM unit WHERE audit = 'failed' AND delivered IS NOT NULL"))
}

extension Database {
  fileprivate func exportedAccounts() throws -> [StatisticsExport.Account] {
    try all("SELECT * FROM account WHERE named = 1 AND credit > 0 ORDER BY number").map { row in
      StatisticsExport.Account(
        number: try row.value("number"), name: try row.value("name"),
        createdAt: try row.value("created_at"), standing: try .init(row: row),
        crossProjectID: try row.value("cross_project_id"), email: try row.optional("email"),
        country: try row.optional("country"), url: try row.optional("url"),
        team: try row.optional("team"))
    }
  }

  /// Teams whose members have credit, as accounts and machines are listed that have some.
  fileprivate func exportedTeams(now: Timestamp) throws -> [StatisticsExport.Team] {
    let members = try Dictionary(
      grouping: all("SELECT * FROM account WHERE team IS NOT NULL"),
      by: { try $0.value("team", as: Int.self) })
    return try all(
      """
      SELECT team.*, account.number AS founder_number,
        CASE WHEN account.named = 1 THEN account.name END AS founder_name
      FROM team JOIN account ON account.id = team.founder ORDER BY team.id
      """
    ).map { row in
      let id: Int = try row.value("id")
      let standings = try (members[id] ?? []).map(StatisticsExport.Standing.init(row:))
      return StatisticsExport.Team(
        id: id, name: try row.value("name"), founder: try row.value("founder_number"),
        founderName: try row.optional("founder_name"), createdAt: try row.value("created_at"),
        standing: StatisticsExport.Standing(
          credit: Credit(micro: standings.reduce(0) { $0 + $1.credit.micro }),
          average: RecentAverage(
            value: standings.reduce(0) { $0 + $1.average.value(at: now) }, time: now)))
    }.filter { $0.standing.credit.micro > 0 }
  }

  fileprivate func exportedWorkers() throws -> [StatisticsExport.Worker] {
    try all(
      """
      SELECT worker.*, CASE WHEN account.named = 1 THEN account.number END AS account_number,
        CASE WHEN account.named = 1 THEN worker.machine END AS public_machine,
        coalesce((SELECT avg(submitted_at - issued_at) FROM replica
          WHERE replica.worker = worker.id AND submitted_at IS NOT NULL), 0.0) AS turnaround
      FROM worker JOIN account ON account.id = worker.account
      WHERE worker.credit > 0 AND worker.deleted_at IS NULL ORDER BY worker.number
      """
    ).map { row in
      StatisticsExport.Worker(
        number: try row.value("number"), id: try row.value("id"),
        account: try row.optional("account_number"), createdAt: try row.value("created_at"),
        lastSeen: try row.optional("last_seen"), standing: try .init(row: row),
        flopsPerSecond: try row.optional("speed"),
        turnaroundSeconds: try row.value("turnaround", as: Double.self) / 1000,
        machine: try MachineFacts(row: row, "public_machine"))
    }
  }
}

extension StatisticsExport.Standing {
  /// From the columns that `account` and `worker` share.
  fileprivate init(row: Row) throws {
    self.init(
      credit: Credit(micro: try row.value("credit")),
      average: RecentAverage(
        value: try row.value("average"), time: try row.value("average_at")))
  }
}

extension StatisticsExport.Deleted {
  fileprivate init(row: Row) throws {
    self.init(number: try row.value("number"), key: try row.value("key"))
  }
}
