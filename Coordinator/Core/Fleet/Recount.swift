import WireProtocol

extension Fleet {
  /// What does not agree in the fleet: counters with what they count, indexes with the rows that
  /// they are derived from, and totals of accounts with those of their workers. Empty for a fleet
  /// that is right.
  package func inconsistencies() -> [String] {
    var found: [String] = []
    for queue in queues.sorted { found += inconsistencies(of: queue) }
    for batch in batches.sorted where batch.record.state == .inProgress {
      found += inconsistencies(of: batch)
    }
    for account in accounts.sorted { found += inconsistencies(of: account) }
    return found + staleIndexes()
  }

  private func inconsistencies(of queue: QueueRow) -> [String] {
    var found: [String] = []
    let own = index.work.openUnits[queue.number].sorted().compactMap { units[$0] }
    let missing = own.reduce(0) { $0 + $1.unit.missing }
    if missing != queue.missing {
      found.append("queue \(queue.number) says that \(queue.missing) replicas miss, not \(missing)")
    }
    for state in ["open", "awaiting_replay"] {
      let counted = own.count { $0.unit.state.names.state == state }
      let said = queue.tally.units[state] ?? 0
      if counted != said {
        found.append("queue \(queue.number) says that \(said) units are \(state), not \(counted)")
      }
    }
    if queue.waiting < 0 { found.append("queue \(queue.number) has \(queue.waiting) requests") }
    return found
  }

  /// Every line of a batch has ended, waits, or is in a unit that has not ended.
  private func inconsistencies(of batch: BatchRow) -> [String] {
    let waiting = index.work.queuesOfOwner[.batch(batch.number)]
      .reduce(0) { $0 + (queues[$1]?.waiting ?? 0) }
    let inUnits = index.work.openUnitsOfBatch[batch.number].reduce(0) { sum, number in
      sum + (units[number]?.members.count { $0.batch == batch.number } ?? 0)
    }
    let record = batch.record
    let counted = record.completed + record.failed + waiting + inUnits
    guard counted != record.total else { return [] }
    return [
      "\(record.id) has \(record.total) lines, of which \(record.completed) are completed, "
        + "\(record.failed) failed, \(waiting) wait and \(inUnits) are in units"
    ]
  }

  private func inconsistencies(of account: AccountRow) -> [String] {
    let own = workers(ofAccount: account.id).map(\.tally)
    let (tally, name) = (account.tally, "account \(account.id)")
    var found: [String] = []
    if own.reduce(0, { $0 + $1.credit.micro }) != tally.credit.micro {
      found.append("\(name) has other credit than its workers")
    }
    if own.reduce(0, { $0 + $1.accepted }) != tally.accepted
      || own.reduce(0, { $0 + $1.rejected }) != tally.rejected
    {
      found.append("\(name) has other results than its workers")
    }
    return found
  }

  /// Names of indexes that the same rows, loaded anew, give otherwise.
  private func staleIndexes() -> [String] {
    var anew = Fleet(policy: policy)
    for row in accounts.rows.values { anew.place(row, at: row.key) }
    for row in workers.rows.values { anew.place(row, at: row.key) }
    for row in batches.rows.values { anew.place(row, at: row.key) }
    for row in queues.rows.values { anew.place(row, at: row.key) }
    for row in units.rows.values { anew.place(row, at: row.key) }
    let (here, there) = (index, anew.index)
    let comparisons = [
      ("names of accounts", here.people.accountNames == there.people.accountNames),
      ("workers of accounts", here.people.workersOfAccount == there.people.workersOfAccount),
      ("open batches", here.work.openBatches == there.work.openBatches),
      ("batches to validate", here.work.validatingBatches == there.work.validatingBatches),
      ("batches to finish", here.work.batchesAwaitingFiles == there.work.batchesAwaitingFiles),
      ("active queues", here.work.activeQueues == there.work.activeQueues),
      ("leases", here.work.leases == there.work.leases),
      ("replays", here.work.replays == there.work.replays),
      ("units that lack replicas", here.work.lacking == there.work.lacking),
      ("running replicas", here.work.running == there.work.running),
      ("the count of running replicas", here.work.runningCount == there.work.runningCount),
      ("work that workers hold", here.work.heldByWorker == there.work.heldByWorker),
      ("work that accounts hold", here.work.heldByAccount == there.work.heldByAccount),
      ("open units of queues", here.work.openUnits == there.work.openUnits),
      ("open units of batches", here.work.openUnitsOfBatch == there.work.openUnitsOfBatch),
      ("unverified results", here.work.unverified == there.work.unverified),
      ("units that wait for a replay", here.work.awaitingReplay == there.work.awaitingReplay),
      ("audits", here.work.dueAudits == there.work.dueAudits),
    ]
    return comparisons.compactMap { $0.1 ? nil : "the index of \($0.0) is stale" }
  }
}
