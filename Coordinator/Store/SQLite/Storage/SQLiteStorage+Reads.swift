import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStorage {
  func supply(_ lack: Lack, afterLine line: Int) async throws -> Supply {
    try await read { db in
      var supply = Supply()
      switch lack {
      case .lease(let id):
        supply.units = try db.units(
          "SELECT unit.* FROM replica JOIN unit ON unit.number = replica.unit WHERE lease = ?",
          [id])
      case .batch(let id): supply.batches = try db.batches("id = ?", [id])
      case .tuningJob(let id): supply.tuningJobs = try db.tuningJobs("id = ?", [id])
      case .window(let queue):
        supply.window = (queue, line, try db.waitingRequests(ofQueue: queue, afterLine: line))
      case .acceptedUnits(let worker, let limit):
        supply.units = try db.units(
          """
          SELECT unit.* FROM (SELECT unit AS own, max(number) AS newest FROM
              (SELECT unit, number FROM replica WHERE worker = ? AND state = 'accepted'
                ORDER BY number DESC LIMIT ?) GROUP BY unit)
            JOIN unit ON unit.number = own ORDER BY newest DESC
          """, [worker, limit])
      }
      return supply
    }
  }

  func batch(_ id: String) async throws -> BatchRow? {
    try await read { try $0.batches("id = ?", [id]).first }
  }

  func batches(
    ofKey key: String?, after number: Int64?, limit: Int, order: PageRequest.Order
  ) async throws -> [BatchRow] {
    let page = RowPage(key: key, after: number, limit: limit, order: order)
    return try await read { try $0.batches(page.condition, page.arguments) }
  }

  func tuningJob(_ id: String) async throws -> TuningJobRow? {
    try await read { try $0.tuningJobs("id = ?", [id]).first }
  }

  func tuningJobs(
    ofKey key: String?, after number: Int64?, limit: Int, order: PageRequest.Order
  ) async throws -> [TuningJobRow] {
    let page = RowPage(key: key, after: number, limit: limit, order: order)
    return try await read { try $0.tuningJobs(page.condition, page.arguments) }
  }

  func rounds(ofJob number: Int64) async throws -> [TuningRoundRow] {
    try await read { db in
      try db.all("SELECT * FROM fine_tuning_round WHERE job = ? ORDER BY number", [number])
        .map(TuningRoundRow.init(row:))
    }
  }

  func units(ofJob number: Int64) async throws -> [UnitRow] {
    try await read { db in
      try db.units(
        """
        SELECT unit.* FROM fine_tuning_unit JOIN unit ON unit.number = fine_tuning_unit.unit
        WHERE fine_tuning_unit.job = ? ORDER BY unit.number
        """, [number])
    }
  }

  func events(
    ofJob number: Int64, after id: String?, limit: Int
  ) async throws -> [FineTuningEvent] {
    try await read { db in
      var start = Int64.max
      if let id {
        guard
          let row = try db.first(
            "SELECT number FROM fine_tuning_event WHERE id = ? AND job = ?", [id, number])
        else {
          throw StoreError(.unknownCursor, "No item of this list has the id given as 'after'.")
        }
        start = try row.value("number")
      }
      return try db.all(
        """
        SELECT * FROM fine_tuning_event WHERE job = ? AND number < ? ORDER BY number DESC LIMIT ?
        """, [number, start, limit]
      ).map(FineTuningEvent.init(row:))
    }
  }

  func units(ofBatch number: Int64, limit: Int) async throws -> [UnitRow] {
    try await read { db in
      let open = try db.units(
        """
        SELECT unit.* FROM queue JOIN unit ON unit.queue = queue.number
        WHERE queue.batch = ? AND unit.state IN ('open', 'awaiting_replay')
        ORDER BY unit.number LIMIT ?
        """, [number, limit])
      guard open.count < limit else { return open }
      return open
        + (try db.units(
          """
          SELECT unit.* FROM queue JOIN unit ON unit.queue = queue.number
          WHERE queue.batch = ? AND unit.state IN ('accepted', 'failed', 'cancelled')
          ORDER BY unit.ended_at DESC, unit.number LIMIT ?
          """, [number, limit - open.count]))
    }
  }

  func outcomes(
    ofBatch number: Int64, afterLine: Int, limit: Int
  ) async throws -> [RequestOutcome] {
    try await read { try $0.outcomes(ofBatch: number, afterLine: afterLine, limit: limit) }
  }

  func failedAudits(limit: Int) async throws -> [UnitRow] {
    try await read { db in
      try db.units(
        """
        SELECT * FROM unit WHERE audit = 'failed' ORDER BY audited_at DESC, number DESC LIMIT ?
        """, [limit])
    }
  }

  func units(naming blob: Digest) async throws -> [UnitRow] {
    try await read { db in
      try db.units(
        """
        SELECT * FROM unit WHERE number IN (
          SELECT number FROM unit WHERE inputs = ? UNION
          SELECT number FROM unit WHERE adapter = ? UNION
          SELECT number FROM unit WHERE result = ? UNION
          SELECT unit FROM replica WHERE result = ?) ORDER BY number
        """, [blob, blob, blob, blob])
    }
  }

  func receipts(after sequence: Int, limit: Int) async throws -> [ReceiptRow] {
    try await read { db in
      try db.all(
        "SELECT * FROM receipt WHERE sequence > ? ORDER BY sequence LIMIT ?", [sequence, limit]
      ).map(ReceiptRow.init(row:))
    }
  }

  func history(
    of workers: [String]?, from first: Day, through last: Day
  ) async throws -> [DayContribution] {
    try await read { try $0.contributions(of: workers, from: first, through: last) }
  }
}

/// A page of a table that has `key_id` and `number`, as a condition.
private struct RowPage: Sendable {
  let key: String?
  let after: Int64?
  let limit: Int
  let order: PageRequest.Order

  var condition: String {
    let own = key == nil ? "" : "key_id = ? AND "
    return order == .ascending
      ? "\(own)number > ? ORDER BY number LIMIT ?"
      : "\(own)number < ? ORDER BY number DESC LIMIT ?"
  }

  var arguments: StatementArguments {
    let start = after ?? (order == .ascending ? 0 : Int64.max)
    return key.map { [$0, start, limit] } ?? [start, limit]
  }
}
