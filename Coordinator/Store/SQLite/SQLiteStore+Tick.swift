import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  func tick(now: Timestamp, calendar: Timestamp) async throws -> TickReport {
    var report = TickReport()
    // Slices, so that a fleet that vanished at once does not hold up everyone else.
    while case let slice = try await write({ try $0.expireLeases(limit: 100, now: now) }),
      slice.expired > 0 || !slice.failures.isEmpty
    {
      report.expiredLeases += slice.expired
      for failure in slice.failures { report.note(failure) }
      if slice.expired == 0 { break }
    }
    for batch in try await dueBatches(now: now) {
      do {
        if try await write({ try $0.expireBatch(batch, now: now) }) { report.expiredBatches += 1 }
      } catch {
        // One that cannot be ended must not keep the later ones open.
        report.note("batch \(batch): \(error)")
      }
    }
    while try await write({ try $0.noteLateLeases(limit: 100, now: now) }) > 0 {}
    report.deletedFiles = try await write { transaction in
      try transaction.keep(time: now, calendar: calendar)
      return try transaction.db.all(
        "DELETE FROM file WHERE expires_at <= ? RETURNING blob, created_at", [now]
      ).map {
        DeletedFile(blob: try $0.value("blob"), createdAt: try $0.value("created_at"))
      }
    }
    report.nextDue = try await read { db in
      try [
        "SELECT min(deadline) AS due FROM replica WHERE state = 'running'",
        "SELECT min(late_at) AS due FROM replica WHERE state = 'running' AND late = 0",
        "SELECT min(expires_at) AS due FROM batch WHERE state IN ('validating', 'in_progress')",
        "SELECT min(expires_at) AS due FROM file WHERE expires_at IS NOT NULL",
      ].compactMap { try db.first($0)?.optional("due", as: Timestamp.self) }.min()
    }
    return report
  }

  /// Batches whose window closed, the earliest first.
  private func dueBatches(now: Timestamp) async throws -> [Int64] {
    try await read { db in
      try db.all(
        """
        SELECT number FROM batch WHERE state IN ('validating', 'in_progress') AND expires_at <= ?
        ORDER BY expires_at, number
        """, [now]
      ).map { try $0.value("number") }
    }
  }
}

extension Transaction {
  /// Ends leases whose deadline passed, which counts as a failure; gives how many, and what went
  /// wrong with others.
  fileprivate func expireLeases(
    limit: Int, now: Timestamp
  ) throws -> (expired: Int, failures: [String]) {
    let due = try db.all(
      """
      SELECT number, unit, worker, issued_at FROM replica WHERE state = 'running' AND deadline <= ?
      ORDER BY deadline LIMIT ?
      """,
      [now, limit])
    var failures: [String] = []
    for row in due {
      let number: Int64 = try row.value("number")
      do {
        try db.inSavepoint {
          try lose(number, of: try row.value("unit"), as: .expired, now: now)
          try noteFailure(
            of: try row.value("worker"), leased: try row.value("issued_at"), now: now)
          return .commit
        }
      } catch {
        failures.append("replica \(number): \(error)")
      }
    }
    return (due.count - failures.count, failures)
  }

  /// Notes which leases run for longer than they should, so that a unit that has a result waits for
  /// them no more; gives how many.
  fileprivate func noteLateLeases(limit: Int, now: Timestamp) throws -> Int {
    let due = try db.all(
      """
      SELECT number, unit FROM replica WHERE state = 'running' AND late = 0 AND late_at <= ?
      ORDER BY late_at LIMIT ?
      """, [now, limit])
    for row in due {
      let before = try UnitRow.require(try row.value("unit"), db)
      var unit = before
      unit.unit.noteLate(try row.value("number"))
      try save(unit, before: before, now: now)
    }
    return due.count
  }

  /// Ends a batch whose window closed; false when it has ended meanwhile.
  fileprivate func expireBatch(_ number: Int64, now: Timestamp) throws -> Bool {
    guard
      let row = try db.first(
        "SELECT * FROM batch WHERE number = ? AND state IN ('validating', 'in_progress')", [number])
    else { return false }
    var batch = try BatchRow(row: row)
    try advance(&batch, .windowClosed, now: now)
    if batch.record.state == .failed {
      let message = "The completion window closed before the batch was validated."
      try record([BatchError(code: "batch_expired", line: nil, message: message)], of: &batch)
    } else {
      try endOpenRequests(of: &batch, as: "expired", now: now)
    }
    return true
  }
}
