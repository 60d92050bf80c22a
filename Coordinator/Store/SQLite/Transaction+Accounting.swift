import CoordinatorCore
import Foundation
import GRDB
import WirePayloads
import WireProtocol

/// What a verdict adds to the totals, or takes from them.
private struct Grant {
  var results: Int
  var credit: Credit
  var tokens: Int
  var energy: Energy
}

/// Whose result was wrong, and what its account has to bear.
struct Caught {
  let worker: String
  let account: String
  let penalty: AccountPenalty
}

/// Credit, trust and receipts: what a verdict does to those who sent results.
extension Transaction {
  /// A result was the verified one: its worker and account get the unit's credit.
  func grant(_ row: StoredUnit, _ replica: Int64, now: Timestamp) throws {
    guard let acceptance = row.unit.state.acceptance,
      let one = row.unit.replicas.first(where: { $0.id == replica })
    else { throw Row.damaged("replica.number") }
    let credit = Credit(flops: row.flops ?? 0)
    try db.run("UPDATE replica SET credit = ? WHERE number = ?", [credit.micro, replica])
    try book(
      Grant(
        results: 1, credit: credit, tokens: try generatedTokens(replica),
        energy: try claimedEnergy(replica)), to: one, day: now, now: now)
    try extendStreak(of: one.account, now: now)
    var trust = TrustRecord(
      consecutiveValid: try db.integer(
        "SELECT consecutive_valid FROM worker WHERE id = ?", [one.worker]))
    trust.recordValid(acceptance.verification)
    try db.run(
      "UPDATE worker SET consecutive_valid = ? WHERE id = ?", [trust.consecutiveValid, one.worker])
    try appendReceipt(row, one, .accepted, acceptance.verification, credit, now: now)
  }

  /// Adds to what an account, a worker and a day have been granted, or takes from it.
  ///
  /// - Parameter day: a time of the day that it counts for.
  private func book(
    _ grant: Grant, to one: Replica, day: Timestamp, now: Timestamp
  ) throws {
    try book(
      grant,
      standing: try db.first("SELECT average, average_at FROM account WHERE id = ?", [one.account]),
      """
      UPDATE account SET accepted = accepted + ?, tokens = tokens + ?, credit = credit + ?,
        energy = energy + ?, estimated_energy = estimated_energy + ?,
        average = ?, average_at = ? WHERE id = ?
      """, one.account, now: now)
    try book(
      grant,
      standing: try db.first("SELECT average, average_at FROM worker WHERE id = ?", [one.worker]),
      """
      UPDATE worker SET accepted = accepted + ?, tokens = tokens + ?, credit = credit + ?,
        energy = energy + ?, estimated_energy = estimated_energy + ?,
        average = ?, average_at = ? WHERE id = ?
      """, one.worker, now: now)
    try count(
      worker: one.worker, accepted: grant.results, tokens: grant.tokens, credit: grant.credit,
      energy: grant.energy, now: day)
  }

  private func book(
    _ grant: Grant, standing: Row?, _ update: String, _ id: String, now: Timestamp
  ) throws {
    guard let standing else { throw Row.damaged("replica.account") }
    var average = RecentAverage(
      value: try standing.value("average"), time: try standing.value("average_at"))
    average.add(grant.credit, now: now)
    try db.run(
      update,
      [
        grant.results, grant.tokens, grant.credit.micro, grant.energy.millijoules,
        grant.energy.estimatedMillijoules, max(0, average.value), average.time, id,
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

  /// A result was accepted and is wrong: what it was granted is taken back. Gives its worker and
  /// account.
  func revoke(_ row: StoredUnit, _ replica: Int64, now: Timestamp) throws -> Caught {
    guard let one = row.unit.replicas.first(where: { $0.id == replica }),
      let receipt = try db.first(
        "SELECT body FROM receipt WHERE replica = ? ORDER BY sequence DESC LIMIT 1", [replica])
    else { throw Row.damaged("receipt.replica") }
    let granted = try receipt.json("body", as: ReceiptRecord.Body.self)
    let energy = try claimedEnergy(replica)
    let credit = Credit(micro: -granted.microcredit)
    try db.run("UPDATE replica SET credit = 0 WHERE number = ?", [replica])
    try book(
      Grant(
        results: -1, credit: credit, tokens: -(try generatedTokens(replica)),
        energy: Energy(
          millijoules: -energy.millijoules, estimatedMillijoules: -energy.estimatedMillijoules)),
      to: one, day: granted.time, now: now)
    return try reject(row, replica, credit: credit, now: now)
  }

  /// A result was wrong: no trust is left, the worker gets no work for a while, and its account is
  /// held back. Gives both.
  ///
  /// - Parameter credit: what the receipt says; negative for credit that is taken back.
  func reject(
    _ row: StoredUnit, _ replica: Int64, credit: Credit = Credit(micro: 0), now: Timestamp
  ) throws -> Caught {
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
    let end = now.adding(seconds: policy.suspension(afterRejections: rejections))
    try db.run("UPDATE worker SET suspended_until = ? WHERE id = ?", [end, one.worker])
    try appendReceipt(
      row, one, .rejected, row.unit.state.acceptance?.verification, credit, now: now)
    let penalty = try penalise(
      account: one.account, atLeast: row.flops ?? row.estimatedFlops, enrolmentFrom: end, now: now)
    return Caught(worker: one.worker, account: one.account, penalty: penalty)
  }

  /// Holds back the account of a worker that gave a wrong result. However much it has to show for
  /// itself, nobody joins in the worker's place, and its results are audited like a stranger's.
  ///
  /// - Parameters:
  ///   - wrongWork: operations of the unit that was wrong.
  ///   - end: when that worker gets work again: so long, no other may join in its place.
  private func penalise(
    account: String, atLeast wrongWork: Double, enrolmentFrom end: Timestamp, now: Timestamp
  ) throws -> AccountPenalty {
    try db.run(
      """
      UPDATE account SET no_enrolment_until = max(ifnull(no_enrolment_until, 0), ?) WHERE id = ?
      """, [end, account])
    try db.run("DELETE FROM confirmation WHERE account = ?", [account])
    let penalty = policy.accountPenalty(
      try strikes(against: account, atLeast: wrongWork, now: now))
    guard let seconds = penalty.seconds else { return penalty }
    let held = now.adding(seconds: seconds)
    try db.run(
      """
      UPDATE account SET suspended_until = max(ifnull(suspended_until, 0), ?),
        no_enrolment_until = max(no_enrolment_until, ?) WHERE id = ?
      """, [held, held, account])
    return penalty
  }

  /// What an account's wrong results weigh against what it has to show for itself.
  private func strikes(
    against account: String, atLeast wrongWork: Double, now: Timestamp
  ) throws -> AccountStrikes {
    guard
      let wrong = try db.first(
        """
        SELECT count(DISTINCT replica.worker) AS machines,
          ifnull(sum(ifnull(unit.flops, unit.estimated_flops)), 0.0) AS flops
        FROM replica JOIN unit ON unit.number = replica.unit
        WHERE replica.account = ? AND replica.state = 'rejected' AND replica.submitted_at >= ?
        """, [account, now.adding(seconds: -AccountStrikes.memorySeconds)]),
      let shown = try db.first("SELECT accepted, credit FROM account WHERE id = ?", [account])
    else { throw Row.damaged("replica.account") }
    // An audit may find what was submitted long ago.
    return AccountStrikes(
      wrongMachines: max(1, try wrong.value("machines")),
      wrongWork: max(wrongWork, try wrong.value("flops")),
      accepted: try shown.value("accepted"),
      acceptedWork: Credit(micro: try shown.value("credit")).flops,
      tolerance: policy.accountTolerance)
  }

  /// Takes back what those who were caught have not had verified: of the worker, and of its whole
  /// account when that is suspended.
  func takeBack(_ caught: [Caught], now: Timestamp) throws {
    var workers: Set<String> = []
    for one in caught {
      workers.insert(one.worker)
      if case .suspension = one.penalty { workers.formUnion(try self.workers(of: one.account)) }
    }
    for worker in workers.sorted() { try takeBack(worker: worker, now: now) }
  }

  func workers(of account: String) throws -> [String] {
    try db.all("SELECT id FROM worker WHERE account = ? ORDER BY id", [account])
      .map { try $0.value("id") }
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
      let before = try StoredUnit.require(try unit.value("number"), db)
      var row = before
      let actions = row.unit.takeBack(worker: worker)
      try settle(
        row, before: before, actions, summaries: try acceptedSummaries(of: row), now: now)
      for (old, new) in zip(before.unit.replicas, row.unit.replicas)
      where new.state == .takenBack && old.state != .takenBack {
        try appendReceipt(row, new, .takenBack, nil, Credit(micro: 0), now: now)
      }
    }
  }

  /// What is known of the sequences of a unit's accepted result; nothing where none was accepted.
  func acceptedSummaries(of row: StoredUnit) throws -> [SequenceSummary] {
    guard let result = row.unit.state.acceptance?.result,
      let replica = row.unit.replicas.first(where: { $0.result == result })
    else { return [] }
    guard
      let stored = try db.first("SELECT summaries FROM replica WHERE number = ?", [replica.id])
    else { throw Row.damaged("replica.number") }
    return try stored.json("summaries")
  }

  private func appendReceipt(
    _ row: StoredUnit, _ replica: Replica, _ verdict: ReceiptRecord.Body.Verdict,
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
