import CoordinatorCore
import GRDB
import WireProtocol

/// What groups append: receipts, days, events.
extension Database {
  func apply(_ effect: FleetEffect) throws {
    switch effect {
    case .blob: break
    case .requestsAdded(let rows): try add(rows)
    case .requestsCut(let unit, let members): try cut(members, into: unit)
    case .requestsEnded(let ended, let time): try end(ended, at: time)
    case .requestsReopened(let numbers): try reopen(numbers)
    case .openRequestsEnded(let batch, let ending, let time):
      try endOpen(ofBatch: batch, ending, at: time)
    case .requestsRemoved(let batch): try removeRequests(ofBatch: batch)
    case .receipt(let row): try append(row)
    case .contribution(let worker, let part): try add(part, of: worker)
    case .tuningEvent(let job, let event): try append(event, ofJob: job)
    case .blobsForgotten(let blobs, let time): try forget(blobs, endedBy: time)
    }
  }

  private func append(_ row: ReceiptRow) throws {
    try run(
      "INSERT INTO receipt (sequence, previous, body, hash, replica) VALUES (?, ?, ?, ?, ?)",
      [
        row.record.body.sequence, row.record.previous, row.text, row.record.hash, row.replica,
      ])
  }

  func add(_ part: DayContribution, of worker: String) throws {
    try run(
      """
      INSERT INTO contribution
        (worker, day, accepted, rejected, tokens, credit, energy, estimated_energy)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (worker, day) DO UPDATE SET accepted = accepted + excluded.accepted,
        rejected = rejected + excluded.rejected, tokens = tokens + excluded.tokens,
        credit = credit + excluded.credit, energy = energy + excluded.energy,
        estimated_energy = estimated_energy + excluded.estimated_energy
      """,
      [
        worker, part.day.number, part.accepted, part.rejected, part.tokens, part.credit.micro,
        part.energy.millijoules, part.energy.estimatedMillijoules,
      ])
  }

  /// - Parameter workers: their ids, whose days are found by the table's key; nil for everyone's,
  ///   which are searched by day.
  func contributions(
    of workers: [String]?, from first: Day, through last: Day
  ) throws -> [DayContribution] {
    let own = workers == nil ? "" : "AND worker IN (SELECT value FROM json_each(?))"
    var arguments: StatementArguments = [first.number, last.number]
    if let workers { arguments += [try jsonText(workers)] }
    return try all(
      """
      SELECT day, sum(accepted) AS accepted, sum(rejected) AS rejected, sum(tokens) AS tokens,
        sum(credit) AS credit, sum(energy) AS energy, sum(estimated_energy) AS estimated_energy
      FROM contribution WHERE day BETWEEN ? AND ? \(own) GROUP BY day ORDER BY day
      """, arguments
    ).map(DayContribution.init(row:))
  }
}

extension ReceiptRow {
  init(row: Row) throws {
    self.init(
      replica: try row.value("replica"),
      record: ReceiptRecord(
        body: try row.json("body"), previous: try row.value("previous"),
        hash: try row.value("hash")),
      text: try row.value("body"))
  }
}

extension DayContribution {
  init(row: Row) throws {
    self.init(
      day: Day(number: try row.value("day")), accepted: try row.value("accepted"),
      rejected: try row.value("rejected"), tokens: try row.value("tokens"),
      credit: Credit(micro: try row.value("credit")), energy: try Energy(row: row))
  }
}
