import WireProtocol

/// What follows from an audit.
extension Fleet {
  /// Compares an accepted result with the trusted machine's.
  mutating func settleAudit(_ before: UnitRow, _ result: NewResult) throws -> ReplayOutcome {
    guard let believed = before.unit.state.acceptance?.result else {
      throw StoreError(.corrupt, "Unit \(before.number) was not accepted.")
    }
    var row = before
    let actions = row.unit.audit(truth: result.digest)
    let accepted = before.unit.replicas.filter { $0.state == .accepted }
    row.auditedAt = now
    (row.replay, row.replayDeadline) = (nil, nil)
    guard believed != result.digest else {
      row.audit = .passed
      save(row, before: before)
      changeSettings { $0.totals.auditsPassed += 1 }
      for account in row.acceptedAccounts.sorted() { confirm(account, by: "unit \(row.number)") }
      return ReplayOutcome(agreed: accepted.count, rejected: 0, audit: .passed)
    }
    let caught = accepted.filter { $0.result != result.digest }
    try needSuspects(of: caught)
    let isDelivered = isDelivered(row)
    try withdrawAnswers(of: before)
    row.flops = row.flops(result.sequences, try cost(of: row))
    row.audit = .failed
    row.delivered = isDelivered ? believed : nil
    changeSettings { settings in
      settings.totals.auditsFailed += 1
      if isDelivered { settings.totals.auditsFailedDelivered += 1 }
    }
    try settle(row, before: before, actions, summaries: result.sequences)
    try complete(row, result.sequences)
    for replica in row.unit.replicas where replica.isRefusal { noteRefuted(replica) }
    if isDelivered { tellJob(of: row) }
    suspectOthers(of: caught)
    return ReplayOutcome(
      agreed: row.acceptedAccounts.count, rejected: caught.count,
      audit: .failed(delivered: isDelivered))
  }

  /// The trusted machine could not compute an audited unit; after some attempts it is let be.
  mutating func failAudit(of before: UnitRow) {
    var row = before
    row.unit.failedReplays += 1
    (row.replay, row.replayDeadline) = (nil, nil)
    if row.unit.failedReplays >= policy.maximumReplays { row.audit = nil }
    save(row, before: before)
  }

  /// Whether somebody was given the unit's result, or something was made of it.
  private func isDelivered(_ row: UnitRow) -> Bool {
    if let shard = row.tuning {
      let round = tuningRounds[TuningRoundRow.Key(job: shard.job, number: shard.round)]
      return shard.isJoined || (row.kind == .validate && round?.validationLoss != nil)
    }
    return row.members.contains { $0.isAnswered && !isOpen($0) }
  }

  /// Takes a wrong result out of the counts, and out of the answers of batches that are still open.
  private mutating func withdrawAnswers(of row: UnitRow) throws {
    let summaries = row.acceptedSummaries
    change(QueueRow.self, row.queue) { queue in
      queue.estimate.tokens -= summaries.reduce(0) { $0 + $1.tokens }
      queue.estimate.sequences -= summaries.count
    }
    if case .batch(let batch)? = queues[row.queue]?.owner {
      change(BatchRow.self, batch) { $0.flopsDone = max(0, $0.flopsDone - (row.flops ?? 0)) }
    }
    let withdrawn = row.members.filter { $0.isAnswered && isOpen($0) }
    guard !withdrawn.isEmpty else { return }
    append(.requestsReopened(withdrawn.map(\.request)))
    for member in withdrawn {
      guard let range = member.range(in: min(summaries.count, row.promptTokens.count)) else {
        throw StoreError(.corrupt, "The result of unit \(row.number) lacks sequences.")
      }
      let own = summaries[range]
      let isCompleted = !own.contains(where: \.nonFinite)
      change(BatchRow.self, member.batch) { batch in
        if isCompleted {
          batch.record.completed -= 1
          batch.record.inputTokens -= row.promptTokens[range].reduce(0, +)
          batch.record.outputTokens -= own.reduce(0) { $0 + $1.tokens }
        } else {
          batch.record.failed -= 1
        }
      }
      changeSettings { settings in
        if isCompleted {
          settings.totals.completedRequests -= 1
        } else {
          settings.totals.failedRequests -= 1
        }
      }
    }
  }

  /// A fine-tuning job that learnt from a wrong result says so among its events.
  private mutating func tellJob(of row: UnitRow) {
    guard let shard = row.tuning else { return }
    note(
      FineTuningEvent(
        "An audit found the result of shard \(shard.shard) of round "
          + "\(shard.round + 1) wrong after it was used.", level: .error), ofJob: shard.job)
  }

  /// - Throws: `Lack` for the latest units of those who were caught.
  private func needSuspects(of caught: [Replica]) throws {
    for worker in Set(caught.map(\.worker)).sorted() {
      try need(.acceptedUnits(worker: worker, limit: policy.maximumDueAudits))
    }
  }

  /// The latest units that nobody but those who were caught has confirmed are audited too.
  private mutating func suspectOthers(of caught: [Replica]) {
    let liars = Set(caught.map(\.account))
    var suspects: Set<Int64> = []
    for worker in Set(caught.map(\.worker)) {
      let own = units.rows.values.compactMap { unit in
        unit.unit.replicas.last { $0.worker == worker && $0.state == .accepted }
          .map { (replica: $0.id, unit: unit) }
      }.sorted { $0.replica > $1.replica }.prefix(policy.maximumDueAudits)
      for (_, unit) in own
      where unit.unit.state.acceptance?.verification == .quorum && unit.audit == nil
        && unit.acceptedAccounts.isSubset(of: liars)
      {
        suspects.insert(unit.number)
      }
    }
    makeDue(suspects.sorted())
  }

  /// An audit that found an accepted result wrong.
  package func failedAudit(of unit: UnitRow) -> FailedAudit {
    let ids = Set(unit.members.map(\.batch)).sorted().compactMap { batches[$0]?.record.id }
    let job = unit.tuning.flatMap { tuningJobs[$0.job]?.record.id }
    let liars = Set(unit.unit.replicas.lazy.filter { $0.state == .rejected }.map(\.account))
    let result = unit.unit.state.acceptance?.result ?? unit.digest
    return FailedAudit(
      unit: unit.digest, time: unit.auditedAt ?? unit.createdAt,
      jobs: ids + [job].compactMap(\.self),
      accounts: liars.compactMap { accounts[$0]?.name }.sorted(by: Self.precedes), result: result,
      delivered: unit.delivered)
  }

  /// Names in the order of their bytes.
  static func precedes(_ left: String, _ right: String) -> Bool {
    left.utf8.lexicographicallyPrecedes(right.utf8)
  }
}
