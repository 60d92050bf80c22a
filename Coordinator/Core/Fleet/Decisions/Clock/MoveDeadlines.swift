import WireProtocol

/// The coordinator's clock was set: every end and every beginning that something is measured from
/// moves with it. What tells of the past (creation, receipts, days of the history) stays. A new
/// column that holds a time belongs here when anything is compared with it.
package struct MoveDeadlines: FleetEvent {
  /// What the clock was set forward by; negative: back.
  package let seconds: Double

  package init(seconds: Double) { self.seconds = seconds }

  package func decide(in fleet: inout Fleet) throws {
    let move = Move(milliseconds: Int64((seconds * 1000).rounded()), now: fleet.now)
    for row in fleet.units.sorted { fleet.put(move.applied(to: row, isOpen: fleet.isOfOpenRound)) }
    for row in fleet.accounts.sorted { fleet.put(move.applied(to: row)) }
    for row in fleet.workers.sorted { fleet.put(move.applied(to: row)) }
    for row in fleet.batches.sorted where !row.record.state.hasEnded {
      fleet.change(BatchRow.self, row.number) { batch in
        guard batch.record.state == .validating || batch.record.state == .inProgress else { return }
        move(&batch.record.times.expires)
      }
    }
    for row in fleet.files.sorted {
      fleet.change(FileRow.self, row.key) { move(&$0.record.expiresAt) }
    }
    for row in fleet.certificates.sorted {
      fleet.change(CertificateRow.self, row.key) { move(&$0.notAfter) }
    }
    for row in fleet.invitations.sorted where row.expiresAt.milliseconds > 0 {
      fleet.change(InvitationRow.self, row.key) { move(&$0.expiresAt) }
    }
    for row in fleet.tuningJobs.sorted where row.isGoingOn {
      fleet.change(TuningJobRow.self, row.key) { move(&$0.record.resumedAt) }
    }
    for row in fleet.tuningRounds.sorted where row.joinedAt == nil {
      guard fleet.tuningJobs[row.job]?.isGoingOn == true else { continue }
      fleet.change(TuningRoundRow.self, row.key) { move(&$0.publishedAt) }
    }
    // With the rows, so that a start after a kill does not move them once more.
    fleet.changeSettings { [now = fleet.now] in
      $0.clock = KeptClock(time: now, calendar: now, setAt: now)
    }
  }
}

/// By how much times move.
private struct Move {
  let milliseconds: Int64
  let now: Timestamp

  /// Days of UTC between the time before and now.
  var days: Int {
    Day(containing: now).number
      - Day(containing: Timestamp(milliseconds: now.milliseconds - milliseconds)).number
  }

  func callAsFunction(_ time: inout Timestamp) { time.milliseconds += milliseconds }

  func callAsFunction(_ time: inout Timestamp?) {
    if let old = time { time = Timestamp(milliseconds: old.milliseconds + milliseconds) }
  }

  /// Moves a time that is no later than now.
  func clamped(_ time: inout Timestamp?) {
    self(&time)
    time = time.map { min($0, now) }
  }

  func applied(to row: UnitRow, isOpen: (UnitRow) -> Bool) -> UnitRow {
    var unit = row
    for place in unit.unit.replicas.indices {
      var lease = unit.leases[place]
      switch unit.unit.replicas[place].state {
      case .running(var deadline):
        self(&deadline)
        unit.unit.replicas[place].state = .running(deadline: deadline)
        self(&lease.issuedAt)
        self(&lease.deadline)
        self(&lease.lastDeadline)
        self(&lease.idleDeadline)
        self(&lease.lateAt)
        self(&lease.progressAt)
      case .rejected, .abandoned(.invalidUnit):
        // Wrong results and refused units hold their worker back for a while.
        self(&lease.issuedAt)
        self(&lease.submittedAt)
      default: break
      }
      unit.leases[place] = lease
    }
    if unit.awaitsReplay || unit.audit == .due { self(&unit.replayDeadline) }
    if unit.unit.missing > 0 { self(&unit.wantedSince) }
    // What a round of fine-tuning took so far, and how long its stragglers have.
    if isOpen(unit) { self(&unit.endedAt) }
    return unit
  }

  func applied(to row: AccountRow) -> AccountRow {
    var account = row
    self(&account.backoffUntil)
    self(&account.returnsUntil)
    self(&account.suspendedUntil)
    self(&account.noEnrolmentUntil)
    self(&account.teamChangedAt)
    self(&account.tally.average.time)
    for place in account.wrongResults.indices { self(&account.wrongResults[place].submittedAt) }
    account.streak.move(days: days)
    if account.replayDay > 0 { account.replayDay += days }
    return account
  }

  func applied(to row: WorkerRow) -> WorkerRow {
    var worker = row
    self(&worker.suspendedUntil)
    self(&worker.backoffUntil)
    self(&worker.tally.average.time)
    for place in worker.refusals.indices { self(&worker.refusals[place].issuedAt) }
    clamped(&worker.lastSeen)
    clamped(&worker.failedAt)
    clamped(&worker.resultAt)
    // Whether several processes work with a key shows again when they ask for work.
    worker.runs = WorkerRuns()
    return worker
  }
}

extension TuningJobRow {
  fileprivate var isGoingOn: Bool { record.state == .running || record.state == .paused }
}

extension Fleet {
  /// Whether a unit is of a round that is not joined yet, of a job that goes on.
  fileprivate func isOfOpenRound(_ unit: UnitRow) -> Bool {
    guard let shard = unit.tuning, tuningJobs[shard.job]?.isGoingOn == true else { return false }
    return tuningRounds[TuningRoundRow.Key(job: shard.job, number: shard.round)]?.joinedAt == nil
  }
}

/// The time is kept when that is due.
package struct KeepClock: FleetEvent {
  /// What the system's clock says.
  package let calendar: Timestamp

  package init(calendar: Timestamp) { self.calendar = calendar }

  package func decide(in fleet: inout Fleet) throws {
    let (kept, now) = (fleet.setting.clock, fleet.now)
    guard kept?.isDue(time: now, calendar: calendar) ?? true else { return }
    fleet.changeSettings {
      $0.clock = KeptClock(time: now, calendar: calendar, setAt: kept?.setAt)
    }
  }
}
