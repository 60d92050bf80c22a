import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  func tick(now: Timestamp) async throws -> TickReport {
    var report = TickReport()
    // Slices, so that a fleet that vanished at once does not hold up everyone else.
    while case let expired = try await write({ try $0.expireLeases(limit: 100, now: now) }),
      expired > 0
    {
      report.expiredLeases += expired
    }
    while try await write({ try $0.expireBatch(now: now) }) { report.expiredBatches += 1 }
    report.deletedFiles = try await write { transaction in
      try transaction.db.all(
        "DELETE FROM file WHERE expires_at <= ? RETURNING blob, created_at", [now]
      ).map {
        DeletedFile(blob: try $0.value("blob"), createdAt: try $0.value("created_at"))
      }
    }
    report.nextDue = try await read { db in
      try [
        "SELECT min(deadline) AS due FROM replica WHERE state = 'running'",
        "SELECT min(expires_at) AS due FROM batch WHERE state IN ('validating', 'in_progress')",
        "SELECT min(expires_at) AS due FROM file WHERE expires_at IS NOT NULL",
      ].compactMap { try db.first($0)?.optional("due", as: Timestamp.self) }.min()
    }
    return report
  }
}

extension Transaction {
  /// Ends leases whose deadline passed; gives how many.
  fileprivate func expireLeases(limit: Int, now: Timestamp) throws -> Int {
    let due = try db.all(
      """
      SELECT number, unit FROM replica WHERE state = 'running' AND deadline <= ?
      ORDER BY deadline LIMIT ?
      """,
      [now, limit])
    for row in due {
      let before = try UnitRow.require(try row.value("unit"), db)
      var unit = before
      unit.unit.lose(try row.value("number"), as: .expired, policy)
      try save(unit, before: before, now: now)
    }
    return due.count
  }

  /// Ends one batch whose window closed; false when there is none.
  fileprivate func expireBatch(now: Timestamp) throws -> Bool {
    guard
      let row = try db.first(
        """
        SELECT * FROM batch WHERE state IN ('validating', 'in_progress') AND expires_at <= ?
        ORDER BY expires_at LIMIT 1
        """, [now])
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
