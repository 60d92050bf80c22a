import WireProtocol

/// Which accepted units are computed again.
extension Fleet {
  /// Lets the lot decide whether a unit that a quorum accepted is audited.
  mutating func drawAudit(of row: UnitRow) throws {
    guard row.unit.state.acceptance?.verification == .quorum else { return }
    let confirmations = row.acceptedAccounts.sorted().map(confirmations(of:))
    let chance = AuditRule(share: policy.auditShare).chance(confirmations: confirmations)
    if draw.lots.hits(chance) { makeDue([row.number]) }
  }

  /// Puts units on the list of audits. From a full list `AuditBacklog` drops some; those that the
  /// trusted machine was given are not on it.
  mutating func makeDue(_ numbers: [Int64]) {
    for number in numbers {
      change(UnitRow.self, number) { unit in
        guard unit.audit == nil else { return }
        unit.audit = .due
        unit.unit.failedReplays = 0
      }
    }
    let waiting = index.work.dueAudits.compactMap { units[$0] }.filter { $0.replay == nil }
    guard waiting.count > policy.maximumDueAudits else { return }
    let due = waiting.map { unit in
      DueAudit(
        unit: unit.number, accounts: unit.acceptedAccounts,
        flops: unit.flops ?? unit.estimatedFlops)
    }
    let backlog = AuditBacklog(limit: policy.maximumDueAudits)
    for number in backlog.dropped(from: due, lot: draw.lots.pick(below:)) {
      change(UnitRow.self, number) { $0.audit = nil }
    }
  }

  private func confirmations(of account: String) -> Int {
    accounts[account]?.confirmations.count ?? 0
  }

  /// Keeps by whom the accounts that were granted credit have been confirmed, until they are
  /// established.
  mutating func noteConfirmations(of row: UnitRow, _ actions: [WorkUnit.Action]) {
    let granted = actions.compactMap { action in
      if case .grant(let replica) = action { replica } else { nil }
    }
    let confirmed = row.unit.replicas.filter { granted.contains($0.id) }.map(\.account)
    guard !confirmed.isEmpty else { return }
    switch row.unit.state.acceptance?.verification {
    case .quorum:
      let established = row.acceptedAccounts.sorted().filter {
        confirmations(of: $0) >= AuditRule.establishedConfirmations
      }
      for account in confirmed {
        for other in established where other != account { confirm(account, by: other) }
      }
    case .replay: for account in confirmed { confirm(account, by: "unit \(row.number)") }
    case .trustedPool, nil: break
    }
  }

  mutating func confirm(_ account: String, by other: String) {
    guard confirmations(of: account) < AuditRule.establishedConfirmations else { return }
    change(AccountRow.self, account) { row in
      if !row.confirmations.contains(other) { row.confirmations.append(other) }
    }
  }
}
