import WireProtocol

extension Fleet {
  /// Figures of what waits and runs, for an operator's monitoring.
  package func gauges(at time: Timestamp) -> FleetGauges {
    let totals = setting.totals
    let since = time.adding(seconds: -policy.activeSeconds)
    let released = queues.rows.values.filter(\.isReleased)
    let all = accounts.rows.values
    let oldest = index.work.openBatches.lazy.compactMap { batches[$0]?.record.times.created }.min()
    func sum(_ value: (Tally) -> Int64) -> Int64 { all.reduce(0) { $0 + value($1.tally) } }
    return FleetGauges(
      units: totals.units.filter { $0.value > 0 }, batches: totals.batches.filter { $0.value > 0 },
      fineTuningJobs: totals.tuningJobs.filter { $0.value > 0 },
      runningLeases: index.work.runningCount,
      waitingRequests: released.reduce(0) { $0 + $1.waiting },
      missingReplicas: released.reduce(0) { $0 + $1.missing },
      workers: workers.rows.values.count { $0.deletedAt == nil },
      activeWorkers: workers.rows.values.count { $0.lastSeen.map { $0 > since } ?? false },
      suspendedWorkers: workers.rows.values.count { $0.suspendedUntil.map { $0 > time } ?? false },
      suspendedAccounts: all.count { $0.suspendedUntil.map { $0 > time } ?? false },
      accounts: all.count { $0.deletedAt == nil },
      audits: FleetGauges.Audits(
        due: index.work.dueAudits.count, passed: totals.auditsPassed, failed: totals.auditsFailed,
        failedDelivered: totals.auditsFailedDelivered),
      acceptedResults: Int(sum { Int64($0.accepted) }),
      rejectedResults: Int(sum { Int64($0.rejected) }), tokens: Int(sum { Int64($0.tokens) }),
      energy: Energy(
        millijoules: sum(\.energy.millijoules),
        estimatedMillijoules: sum(\.energy.estimatedMillijoules)),
      credit: Credit(micro: sum(\.credit.micro)), receipts: setting.receipts,
      completedRequests: totals.completedRequests, failedRequests: totals.failedRequests,
      oldestBatchSeconds: oldest.map { max(0, time.seconds(since: $0)) } ?? 0)
  }
}
