/// The rows that a fleet begins with: everything that is alive, and all batches, queues, jobs and
/// rounds, so that whatever names one finds it.
package struct WorkingSet: Sendable {
  package var accounts: [AccountRow] = []
  package var accountKeys: [AccountKeyRow] = []
  package var teams: [TeamRow] = []
  package var invitations: [InvitationRow] = []
  package var workers: [WorkerRow] = []
  package var certificates: [CertificateRow] = []
  package var keys: [KeyRow] = []
  package var files: [FileRow] = []
  package var manifests: [ManifestRow] = []
  package var models: [ModelRow] = []
  package var batches: [BatchRow] = []
  package var queues: [QueueRow] = []
  /// Units that have not ended, or that wait for an audit.
  package var units: [UnitRow] = []
  package var tuningJobs: [TuningJobRow] = []
  package var tuningRounds: [TuningRoundRow] = []
  package var settings: SettingsRow?

  package init() {}
}

/// Rows that a decision lacked.
package struct Supply: Sendable {
  package var batches: [BatchRow] = []
  package var queues: [QueueRow] = []
  package var units: [UnitRow] = []
  package var tuningJobs: [TuningJobRow] = []
  package var tuningRounds: [TuningRoundRow] = []
  /// The next waiting requests of a queue after a line.
  package var window: (queue: Int64, after: Int, requests: [WaitingRequest])?

  package init() {}
}

extension Fleet {
  package init(policy: CoordinatorPolicy, _ set: WorkingSet) {
    self.init(policy: policy)
    load(set.settings.map { [$0] } ?? [])
    load(set.accounts)
    load(set.accountKeys)
    load(set.teams)
    load(set.invitations)
    load(set.workers)
    load(set.certificates)
    load(set.keys)
    load(set.files)
    load(set.manifests)
    load(set.models)
    load(set.batches)
    load(set.queues)
    load(set.units)
    load(set.tuningJobs)
    load(set.tuningRounds)
  }

  private mutating func load<Row: FleetRow>(_ rows: [Row]) {
    for row in rows { place(row, at: row.key) }
  }

  /// Takes rows in that a decision lacked; those that are there are newer than the storage's.
  ///
  /// - Returns: whether anything came that was not there.
  package mutating func adopt(_ supply: Supply) -> Bool {
    var isNew = false
    func take<Row: FleetRow>(_ rows: [Row], _ fleet: inout Fleet) {
      for row in rows where fleet[keyPath: Row.table][row.key] == nil {
        fleet.place(row, at: row.key)
        isNew = true
      }
    }
    take(supply.batches, &self)
    take(supply.queues, &self)
    take(supply.units, &self)
    take(supply.tuningJobs, &self)
    take(supply.tuningRounds, &self)
    if let window = supply.window {
      var row = windows[window.queue] ?? RequestWindow(queue: window.queue)
      guard row.lastLine == window.after, let last = window.requests.last else { return isNew }
      row.requests += window.requests
      row.lastLine = last.line
      place(row, at: row.queue)
      isNew = true
    }
    return isNew
  }

  /// Lets go of units that have ended and that nothing more is expected of.
  ///
  /// - Parameters:
  ///   - changes: a group that is durable.
  ///   - adopted: units that decisions lacked.
  /// - Returns: whether there were any.
  package mutating func release(after changes: FleetChanges, adopted: Set<Int64>) -> Bool {
    var numbers = adopted.union(
      changes.units.upserts.lazy.filter(\.unit.state.hasEnded).map(\.number))
    for job in changes.tuningJobs.upserts where job.record.state.hasEnded {
      for round in 0..<max(0, job.record.rounds) {
        let key = TuningRoundRow.Key(job: job.number, number: round)
        numbers.formUnion(index.work.unitsOfRound[key])
      }
    }
    var isAny = false
    for number in numbers {
      guard let unit = units[number], unit.unit.state.hasEnded, unit.audit != .due,
        !units.isChanged(number), !isOfOpenRound(unit)
      else { continue }
      place(nil as UnitRow?, at: number)
      isAny = true
    }
    return isAny
  }

  /// Whether a fine-tuning job that goes on has yet to look at the unit's result.
  private func isOfOpenRound(_ unit: UnitRow) -> Bool {
    guard let shard = unit.tuning, let job = tuningJobs[shard.job] else { return false }
    return !job.record.state.hasEnded
  }
}
