import CoordinatorCore
import GRDB
import WireProtocol

/// Workers and their certificates.
extension Database {
  func loadWorkers(into set: inout WorkingSet) throws {
    // Of the last day of anybody: what of it is today's, reads decide.
    let today = try all(
      "SELECT * FROM contribution WHERE day = (SELECT max(day) FROM contribution)"
    ).reduce(into: [String: DayContribution]()) { parts, row in
      parts[try row.value("worker")] = try DayContribution(row: row)
    }
    set.workers = try all("SELECT * FROM worker ORDER BY number").map { row in
      var worker = try WorkerRow(row: row)
      if let part = today[worker.id] {
        worker.today = part.day
        worker.acceptedToday = part.accepted
        worker.creditToday = part.credit
      }
      return worker
    }
    set.certificates = try all("SELECT * FROM certificate ORDER BY fingerprint").map { row in
      var certificate = CertificateRow(
        fingerprint: try row.value("fingerprint"), worker: try row.value("worker"),
        notAfter: try row.value("not_after"), der: try row.value("der"),
        renames: try row.value("renames"))
      certificate.isRevoked = try row.value("revoked")
      return certificate
    }
  }

  func writeWorkers(_ changes: FleetChanges) throws {
    for row in changes.workers.upserts { try write(row) }
    for fingerprint in changes.certificates.deletions {
      try run("DELETE FROM certificate WHERE fingerprint = ?", [fingerprint])
    }
    for row in changes.certificates.upserts {
      try run(
        """
        INSERT INTO certificate (fingerprint, worker, not_after, der, revoked, renames)
        VALUES (?, ?, ?, ?, ?, ?)
        ON CONFLICT (fingerprint) DO UPDATE SET not_after = excluded.not_after,
          revoked = excluded.revoked
        """, [row.fingerprint, row.worker, row.notAfter, row.der, row.isRevoked, row.renames])
    }
  }

  private func write(_ row: WorkerRow) throws {
    let tally = row.tally
    try run(
      """
      INSERT INTO worker (id, number, account, trusted, invitation, public_key, created_at, name,
        last_seen, suspended_until, backoff_until, failures, failed_at, result_at,
        consecutive_valid, speed, accepted, rejected, tokens, credit, energy, estimated_energy,
        average, average_at, turnaround_seconds, results, refusals, banned_at, ban_reason,
        revoked_at, deleted_at, machine, runs)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
        ?, ?, ?, ?, ?)
      ON CONFLICT (id) DO UPDATE SET name = excluded.name, last_seen = excluded.last_seen,
        suspended_until = excluded.suspended_until, backoff_until = excluded.backoff_until,
        failures = excluded.failures, failed_at = excluded.failed_at,
        result_at = excluded.result_at, consecutive_valid = excluded.consecutive_valid,
        speed = excluded.speed, accepted = excluded.accepted, rejected = excluded.rejected,
        tokens = excluded.tokens, credit = excluded.credit, energy = excluded.energy,
        estimated_energy = excluded.estimated_energy, average = excluded.average,
        average_at = excluded.average_at, turnaround_seconds = excluded.turnaround_seconds,
        results = excluded.results, refusals = excluded.refusals,
        banned_at = excluded.banned_at, ban_reason = excluded.ban_reason,
        revoked_at = excluded.revoked_at, deleted_at = excluded.deleted_at,
        machine = excluded.machine, runs = excluded.runs
      """,
      [
        row.id, row.number, row.account, row.trusted, row.invitation, row.publicKey, row.createdAt,
        row.name, row.lastSeen, row.suspendedUntil, row.backoffUntil, row.failures, row.failedAt,
        row.resultAt, row.consecutiveValid, row.speed, tally.accepted, tally.rejected,
        tally.tokens, tally.credit.micro, tally.energy.millijoules,
        tally.energy.estimatedMillijoules, tally.average.value, tally.average.time,
        row.turnaroundSeconds, row.results, try jsonText(row.refusals), row.bannedAt,
        row.banReason, row.revokedAt, row.deletedAt, try row.machine.map { try jsonText($0) },
        row.runs == WorkerRuns() ? nil : try jsonText(row.runs),
      ] as StatementArguments)
  }
}

extension WorkerRow {
  fileprivate init(row: Row) throws {
    self.init(
      id: try row.value("id"), number: try row.value("number"), account: try row.value("account"),
      name: try row.value("name"), trusted: try row.value("trusted"),
      invitation: try row.value("invitation"), publicKey: try row.value("public_key"),
      createdAt: try row.value("created_at"))
    lastSeen = try row.optional("last_seen")
    suspendedUntil = try row.optional("suspended_until")
    backoffUntil = try row.optional("backoff_until")
    failures = try row.value("failures")
    failedAt = try row.optional("failed_at")
    resultAt = try row.optional("result_at")
    consecutiveValid = try row.value("consecutive_valid")
    speed = try row.optional("speed")
    tally = try Tally(row: row, created: createdAt)
    turnaroundSeconds = try row.value("turnaround_seconds")
    results = try row.value("results")
    refusals = try row.json("refusals")
    bannedAt = try row.optional("banned_at")
    banReason = try row.optional("ban_reason")
    revokedAt = try row.optional("revoked_at")
    deletedAt = try row.optional("deleted_at")
    machine = try MachineFacts(row: row)
    runs = try WorkerRuns(row: row)
  }
}
