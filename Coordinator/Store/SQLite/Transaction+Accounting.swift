import CoordinatorCore
import Foundation
import GRDB
import WirePayloads
import WireProtocol

/// Credit, trust and receipts: what a verdict does to those who sent results.
extension Transaction {
  /// A result was the verified one: its worker and account get the unit's credit.
  func grant(_ row: UnitRow, _ replica: Int64, now: Timestamp) throws {
    guard let acceptance = row.unit.state.acceptance,
      let one = row.unit.replicas.first(where: { $0.id == replica })
    else { throw Row.damaged("replica.number") }
    let credit = Credit(flops: row.flops ?? 0)
    let tokens = try generatedTokens(replica)
    let energy = try claimedEnergy(replica)
    try db.run("UPDATE replica SET credit = ? WHERE number = ?", [credit.micro, replica])
    try addCredit(
      credit, tokens, energy,
      standing: try db.first("SELECT average, average_at FROM account WHERE id = ?", [one.account]),
      """
      UPDATE account SET accepted = accepted + 1, tokens = tokens + ?, credit = credit + ?,
        energy = energy + ?, estimated_energy = estimated_energy + ?,
        average = ?, average_at = ? WHERE id = ?
      """, one.account, now: now)
    try addCredit(
      credit, tokens, energy,
      standing: try db.first("SELECT average, average_at FROM worker WHERE id = ?", [one.worker]),
      """
      UPDATE worker SET accepted = accepted + 1, tokens = tokens + ?, credit = credit + ?,
        energy = energy + ?, estimated_energy = estimated_energy + ?,
        average = ?, average_at = ? WHERE id = ?
      """, one.worker, now: now)
    try count(
      worker: one.worker, accepted: 1, tokens: tokens, credit: credit, energy: energy, now: now)
    try extendStreak(of: one.account, now: now)
    var trust = TrustRecord(
      consecutiveValid: try db.integer(
        "SELECT consecutive_valid FROM worker WHERE id = ?", [one.worker]))
    trust.recordValid(acceptance.verification)
    try db.run(
      "UPDATE worker SET consecutive_valid = ? WHERE id = ?", [trust.consecutiveValid, one.worker])
    try appendReceipt(row, one, .accepted, acceptance.verification, credit, now: now)
  }

  private func addCredit(
    _ credit: Credit, _ tokens: Int, _ energy: Energy, standing: Row?, _ update: String,
    _ id: String, now: Timestamp
  ) throws {
    guard let standing else { throw Row.damaged("replica.account") }
    var average = RecentAverage(
      value: try standing.value("average"), time: try standing.value("average_at"))
    average.add(credit, now: now)
    try db.run(
      update,
      [
        tokens, credit.micro, energy.millijoules, energy.estimatedMillijoules, average.value,
        average.time, id,
      ])
  }

  private func generatedTokens(_ replica: Int64) throws -> Int {
    guard let row = try db.first("SELECT summaries FROM replica WHERE number = ?", [replica]) else {
      throw Row.damaged("replica.number")
    }
    return try row.json("summaries", as: [SequenceSummary].self).reduce(0) { $0 + $1.tokens }
  }

  private func claimedEnergy(_ replica: Int64) throws -> Energy {
    guard
      let row = try db.first(
        "SELECT energy, estimated_energy FROM replica WHERE number = ?", [replica])
    else { throw Row.damaged("replica.number") }
    return try Energy(optional: row) ?? Energy()
  }

  /// A result was wrong: no trust is left, and the worker gets no work for a while. Gives the
  /// worker.
  func reject(_ row: UnitRow, _ replica: Int64, now: Timestamp) throws -> String {
    guard let one = row.unit.replicas.first(where: { $0.id == replica }) else {
      throw Row.damaged("replica.number")
    }
    try db.run("UPDATE account SET rejected = rejected + 1 WHERE id = ?", [one.account])
    var trust = TrustRecord()
    trust.recordInvalid()
    try db.run(
      "UPDATE worker SET rejected = rejected + 1, consecutive_valid = ? WHERE id = ?",
      [trust.consecutiveValid, one.worker])
    try count(worker: one.worker, rejected: 1, now: now)
    let rejections = try db.integer("SELECT rejected FROM worker WHERE id = ?", [one.worker])
    try db.run(
      "UPDATE worker SET suspended_until = ? WHERE id = ?",
      [now.adding(seconds: policy.suspension(afterRejections: rejections)), one.worker])
    try appendReceipt(
      row, one, .rejected, row.unit.state.acceptance?.verification, Credit(micro: 0), now: now)
    return one.worker
  }

  /// Takes back everything of a worker that is not verified yet: its results count for nothing and
  /// its leases end, so that others run those units.
  func takeBack(worker: String, now: Timestamp) throws {
    let units = try db.all(
      """
      SELECT DISTINCT unit.number AS number FROM replica JOIN unit ON unit.number = replica.unit
      WHERE replica.worker = ? AND unit.state IN ('open', 'awaiting_replay')
        AND replica.state IN ('running', 'submitted', 'expired', 'abandoned', 'not_needed')
      """, [worker])
    for unit in units {
      let before = try UnitRow.require(try unit.value("number"), db)
      var row = before
      row.unit.takeBack(worker: worker)
      try save(row, before: before, now: now)
      for (old, new) in zip(before.unit.replicas, row.unit.replicas)
      where new.state == .takenBack && old.state != .takenBack {
        try appendReceipt(row, new, .takenBack, nil, Credit(micro: 0), now: now)
      }
    }
  }

  private func appendReceipt(
    _ row: UnitRow, _ replica: Replica, _ verdict: ReceiptRecord.Body.Verdict,
    _ verification: Verification?, _ credit: Credit, now: Timestamp
  ) throws {
    guard let result = replica.result else { throw Row.damaged("replica.result") }
    let last = try db.first("SELECT sequence, hash FROM receipt ORDER BY sequence DESC LIMIT 1")
    let previous = try last?.value("hash") ?? ReceiptRecord.start
    let body = ReceiptRecord.Body(
      sequence: (try last?.value("sequence") ?? 0) + 1, unit: row.digest, result: result,
      worker: replica.worker, account: replica.account, verdict: verdict,
      verification: verification, microcredit: credit.micro, time: now)
    let text = try jsonText(body)
    try db.run(
      "INSERT INTO receipt (sequence, previous, body, hash, replica) VALUES (?, ?, ?, ?, ?)",
      [
        body.sequence, previous, text, ReceiptRecord.hash(previous: previous, body: text),
        replica.id,
      ])
  }
}

extension ReceiptRecord {
  /// What the first receipt has for a previous hash.
  static let start = Digest(bytes: [UInt8](repeating: 0, count: 32)) ?? BlobDigest.sha256(Data())

  static func hash(previous: Digest, body: String) -> Digest {
    BlobDigest.sha256(Data("\(previous.hex)\n\(body)".utf8))
  }
}
