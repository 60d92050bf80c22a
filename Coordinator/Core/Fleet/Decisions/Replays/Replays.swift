import WireProtocol

/// The trusted machine asks for a unit to compute; nil when there is none.
package struct TakeReplay: FleetEvent {
  package init() {}

  package func decide(in fleet: inout Fleet) throws -> ReplayJob? {
    guard let unit = fleet.nextReplay() else { return nil }
    let deadline = fleet.now.adding(
      seconds: fleet.policy.replaySeconds(flops: unit.estimatedFlops))
    let id = fleet.newID("replay_")
    fleet.change(UnitRow.self, unit.number) { ($0.replay, $0.replayDeadline) = (id, deadline) }
    fleet.charge(unit.replayedAccounts, unit.estimatedFlops)
    return ReplayJob(
      id: id, unit: unit.digest, specification: unit.specification,
      estimatedFlops: unit.estimatedFlops,
      reason: unit.unit.state.names.reason ?? ReplayJob.auditReason, deadline: deadline)
  }
}

/// The trusted machine computed a unit: its bits are the truth. Nil when the job was given to
/// another or the unit has ended.
package struct SettleReplay: FleetEvent {
  package let job: String
  package let result: NewResult

  package init(job: String, result: NewResult) {
    self.job = job
    self.result = result
  }

  /// - Throws: `Lack`; `StoreError.invalid` for a result that is none of the unit.
  package func decide(in fleet: inout Fleet) throws -> ReplayOutcome? {
    guard let before = fleet.replayed(job) else { return nil }
    guard result.sequences.count == before.promptTokens.count else {
      throw StoreError(.invalid, "The result does not have the unit's sequences.")
    }
    if before.audit == .due { return try fleet.settleAudit(before, result) }
    var row = before
    let actions = row.unit.settle(byReplay: result.digest)
    try fleet.settle(row, before: before, actions, summaries: result.sequences)
    // Who was right has not caused the work.
    let right = row.unit.replicas.filter { $0.result == result.digest }.map(\.account)
    fleet.charge(before.replayedAccounts.intersection(right), -before.estimatedFlops)
    return ReplayOutcome(
      agreed: actions.count { if case .grant = $0 { true } else { false } },
      rejected: actions.count { if case .reject = $0 { true } else { false } })
  }
}

/// The trusted machine could not compute a unit; after some attempts its requests fail.
package struct FailReplay: FleetEvent {
  package let job: String
  package let detail: String

  package init(job: String, detail: String) {
    self.job = job
    self.detail = detail
  }

  package func decide(in fleet: inout Fleet) throws {
    guard let before = fleet.replayed(job) else { return }
    if before.audit == .due { return fleet.failAudit(of: before) }
    var row = before
    let actions = row.unit.failReplay(reason: String(detail.prefix(500)), fleet.policy)
    (row.replay, row.replayDeadline) = (nil, nil)
    try fleet.settle(row, before: before, actions, summaries: [])
    // Who called it invalid may well be right, and then has not caused the work.
    if case .awaitingReplay(.calledInvalid) = before.unit.state {
      fleet.charge(before.replayedAccounts, -before.estimatedFlops)
    }
  }
}

extension Fleet {
  /// The unit to compute next: the smallest of those whose accounts have caused least work of this
  /// kind today, so that a liar's disputes do not keep others' waiting; of each worker's disputes
  /// one at a time, since it may end them all. Audits come when nothing else waits.
  fileprivate func nextReplay() -> UnitRow? {
    func isFree(_ unit: UnitRow) -> Bool { unit.replayDeadline.map { $0 <= now } ?? true }
    let waiting = index.work.awaitingReplay.compactMap { units[$0] }
    var busy: Set<String> = []
    for unit in waiting where unit.replayDeadline.map({ $0 > now }) ?? false {
      for replica in unit.unit.replicas where replica.state == .submitted {
        busy.insert(replica.worker)
      }
    }
    let dispute = waiting.filter { unit in
      isFree(unit) && !unit.replayedReplicas.contains { busy.contains($0.worker) }
    }.min { left, right in
      (charged(left), left.estimatedFlops, left.number)
        < (charged(right), right.estimatedFlops, right.number)
    }
    return dispute ?? index.work.dueAudits.lazy.compactMap { units[$0] }.first(where: isFree)
  }

  /// What the accounts of a unit caused the trusted machine to compute today, at most.
  private func charged(_ unit: UnitRow) -> Double {
    let day = Day(containing: now).number
    return unit.replayedAccounts.lazy.compactMap { accounts[$0] }
      .filter { $0.replayDay == day }.map(\.replayFlops).max() ?? 0
  }

  /// Adds to what accounts have caused the trusted machine to compute today.
  fileprivate mutating func charge(_ caused: Set<String>, _ flops: Double) {
    let day = Day(containing: now).number
    for account in caused.sorted() {
      change(AccountRow.self, account) { row in
        row.replayFlops = max(0, flops + (row.replayDay == day ? row.replayFlops : 0))
        row.replayDay = day
      }
    }
  }

  /// The unit that a replay job is for; nil when the job is not the unit's present one.
  fileprivate func replayed(_ job: String) -> UnitRow? {
    guard let unit = index.work.replays[job].flatMap({ units[$0] }),
      !unit.unit.state.hasEnded || unit.audit == .due
    else { return nil }
    return unit
  }
}

extension UnitRow {
  /// Those for whose results, or for want of them, the trusted machine computes the unit: of one
  /// that was called invalid, those who called it so; nobody for an audit.
  fileprivate var replayedReplicas: [Replica] {
    guard case .awaitingReplay(let reason) = unit.state else { return [] }
    return unit.replicas.filter { replica in
      switch replica.state {
      case .submitted: true
      case .expired, .abandoned:
        reason == .lostReplicas || (reason == .calledInvalid && replica.isRefusal)
      default: false
      }
    }
  }

  fileprivate var replayedAccounts: Set<String> { Set(replayedReplicas.map(\.account)) }
}
