import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  func tick(now: Timestamp, calendar: Timestamp) async throws -> TickReport {
    var report = TickReport()
    try await each(.deadline, now: now, &report) { transaction, row in
      let number: Int64 = try row.value("number")
      try transaction.lose(number, of: try row.value("unit"), as: .expired, now: now)
      try transaction.noteFailure(
        of: try row.value("worker"), leased: try row.value("issued_at"), now: now)
    } count: { $0.expiredLeases += $1 }
    for batch in try await dueBatches(now: now) {
      do {
        if try await write({ try $0.expireBatch(batch, now: now) }) { report.expiredBatches += 1 }
      } catch {
        // One that cannot be ended must not keep the later ones open.
        report.note("batch \(batch): \(error)")
      }
    }
    try await each(.lateness, now: now, &report) { transaction, row in
      let before = try StoredUnit.require(try row.value("unit"), transaction.db)
      var unit = before
      unit.unit.noteLate(try row.value("number"))
      try transaction.save(unit, before: before, now: now)
    }
    let (files, damaged) = try await write { transaction in
      try transaction.keep(time: now, calendar: calendar)
      return try transaction.deleteExpiredFiles(now: now)
    }
    report.deletedFiles = files
    for failure in damaged { report.note(failure) }
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

  /// Handles every running lease whose time of this kind has come, each in a savepoint of its own:
  /// one that cannot be handled is noted in the report, and holds up neither the others nor what
  /// follows.
  ///
  /// Slices, so that a fleet that vanished at once does not hold up everyone else.
  private func each(
    _ due: DueLeases, now: Timestamp, _ report: inout TickReport,
    _ handle: @escaping @Sendable (Transaction, Row) throws -> Void,
    count: (inout TickReport, Int) -> Void = { _, _ in }
  ) async throws {
    var place: DueLeases.Place? = DueLeases.Place()
    while let after = place {
      let slice = try await write {
        try $0.handle(due, after: after, limit: 100, now: now, handle)
      }
      count(&report, slice.handled)
      for failure in slice.failures { report.note(failure) }
      place = slice.next
    }
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

/// Which running leases a tick looks at.
private enum DueLeases {
  /// Those whose deadline passed: they end, which counts as a failure.
  case deadline
  /// Those that run for longer than they should, so that a unit that has a result waits for them no
  /// more.
  case lateness

  /// A place in the order of leases by their time. What could not be handled lies before it, and is
  /// looked at again by the next tick.
  struct Place {
    var time = Timestamp(milliseconds: .min)
    var number: Int64 = .min
  }

  struct Slice {
    var handled = 0
    var failures: [String] = []
    /// Nil when there are no more.
    var next: Place?
  }

  /// Takes now, a place's time twice and its number, and a limit.
  var statement: String {
    switch self {
    case .deadline:
      """
      SELECT number, unit, worker, issued_at, deadline AS due FROM replica
      WHERE state = 'running' AND deadline <= ? AND deadline >= ? AND (deadline, number) > (?, ?)
      ORDER BY deadline, number LIMIT ?
      """
    case .lateness:
      """
      SELECT number, unit, late_at AS due FROM replica
      WHERE state = 'running' AND late = 0 AND late_at <= ? AND late_at >= ?
        AND (late_at, number) > (?, ?)
      ORDER BY late_at, number LIMIT ?
      """
    }
  }
}

extension Transaction {
  fileprivate func handle(
    _ due: DueLeases, after place: DueLeases.Place, limit: Int, now: Timestamp,
    _ handle: (Transaction, Row) throws -> Void
  ) throws -> DueLeases.Slice {
    let rows = try db.all(due.statement, [now, place.time, place.time, place.number, limit])
    var slice = DueLeases.Slice()
    for row in rows {
      let number: Int64 = try row.value("number")
      do {
        try db.inSavepoint {
          try handle(self, row)
          return .commit
        }
        slice.handled += 1
      } catch {
        slice.failures.append("replica \(number): \(error)")
      }
      if rows.count == limit {
        slice.next = DueLeases.Place(time: try row.value("due"), number: number)
      }
    }
    return slice
  }

  /// Deletes files that have expired. One whose row says nonsense goes too, since it is nobody's
  /// any more; a sweep finds its blob.
  fileprivate func deleteExpiredFiles(
    now: Timestamp
  ) throws -> (files: [DeletedFile], failures: [String]) {
    var (files, failures): ([DeletedFile], [String]) = ([], [])
    for row in try db.all(
      "DELETE FROM file WHERE expires_at <= ? RETURNING number, blob, created_at", [now])
    {
      do {
        files.append(
          DeletedFile(blob: try row.value("blob"), createdAt: try row.value("created_at")))
      } catch {
        failures.append("file \(try row.value("number", as: Int64.self)): \(error)")
      }
    }
    return (files, failures)
  }

  /// Ends a batch whose window closed; false when it has ended meanwhile.
  fileprivate func expireBatch(_ number: Int64, now: Timestamp) throws -> Bool {
    guard
      let row = try db.first(
        "SELECT * FROM batch WHERE number = ? AND state IN ('validating', 'in_progress')", [number])
    else { return false }
    var batch = try StoredBatch(row: row)
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
