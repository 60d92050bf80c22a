import WireProtocol

extension Fleet {
  /// A worker failed at a unit: it waits before it gets another, longer each time in a row. So does
  /// its account when as many failed in a row as it has workers. Leases from before the last
  /// failure are part of it: a machine that went away with several failed once.
  ///
  /// - Parameter leased: when the worker was given the unit.
  /// - Throws: `StoreError.corrupt` when there is no such worker.
  mutating func noteFailure(of worker: String, leased: Timestamp) throws {
    guard var row = workers[worker], var account = accounts[row.account] else {
      throw StoreError(.corrupt, "There is no worker \(worker), or it has no account.")
    }
    if let last = row.failedAt, leased < last { return }
    row.failures += 1
    row.failedAt = now
    row.backoffUntil = now.adding(seconds: policy.backoff(afterFailures: row.failures))
    put(row)
    account.failures += 1
    let times = account.failures / workersThere(of: account.id)
    if times > 0 {
      let until = now.adding(seconds: policy.backoff(afterFailures: times))
      account.backoffUntil = max(account.backoffUntil ?? until, until)
    }
    put(account)
  }

  /// A worker gave a unit back though it could compute it: more of them than restarts explain hold
  /// its account back.
  ///
  /// - Throws: `StoreError.corrupt` when there is no such worker.
  mutating func noteReturn(by worker: String) throws {
    guard let row = workers[worker], var account = accounts[row.account] else {
      throw StoreError(.corrupt, "There is no worker \(worker), or it has no account.")
    }
    account.returnsUntil = ReturnRate.adding(
      to: account.returnsUntil, workers: workersThere(of: account.id), now: now, policy)
    put(account)
  }

  /// An account's workers that were there within a day, 1 or more.
  private func workersThere(of account: String) -> Int {
    let day = now.adding(seconds: -86_400)
    return max(
      1,
      index.people.workersOfAccount[account].count { id in
        workers[id]?.lastSeen.map { $0 >= day } ?? false
      })
  }

  /// A lease ends without a result, with all that this means for its unit.
  ///
  /// - Parameter detail: what the worker says of it; nil when it says nothing.
  /// - Throws: `Lack`, `StoreError`.
  mutating func lose(
    _ replica: Int64, of before: UnitRow, as state: Replica.State, detail: String? = nil
  ) throws {
    var row = before
    if let detail, let place = row.index(ofReplica: replica), row.leases.indices.contains(place) {
      row.leases[place].detail = detail
    }
    let actions = row.unit.lose(
      replica, as: state, detail: detail ?? "", among: parties(of: before.unit.pool), policy)
    try settle(row, before: before, actions, summaries: [])
  }
}

/// A worker gave a result that does not fit its unit: a failure like another.
package struct NoteInvalidResult: FleetEvent {
  package let worker: String

  package init(worker: String) { self.worker = worker }

  /// - Throws: `StoreError.corrupt` when there is no such worker.
  package func decide(in fleet: inout Fleet) throws {
    try fleet.noteFailure(of: worker, leased: fleet.now)
  }
}
