import WireProtocol

/// A worker says that it is still at a lease.
package struct HeartbeatLease: FleetEvent {
  package let lease: String
  package let worker: String
  /// Operations done so far.
  package let flopsDone: Double

  package init(lease: String, worker: String, flopsDone: Double) {
    self.lease = lease
    self.worker = worker
    self.flopsDone = flopsDone
  }

  /// - Throws: `Lack`; `StoreError.leaseUnknown`.
  package func decide(in fleet: inout Fleet) throws -> HeartbeatResponse {
    let (before, place) = try fleet.requireLease(lease, worker: worker)
    fleet.touch(worker: worker)
    let now = fleet.now
    let replica = before.unit.replicas[place]
    var row = before
    let known = row.leases[place]
    let done = max(known.flopsDone, flopsDone.isFinite ? flopsDone : 0)
    if done > known.flopsDone { row.leases[place].progressAt = now }
    row.leases[place].flopsDone = done
    guard let deadline = extend(&row, place, in: fleet) else {
      return HeartbeatResponse(
        verdict: .abandon, deadlineSeconds: 0, reason: replica.state.abandonReason)
    }
    row.leases[place].deadline = deadline
    fleet.save(row, before: before)
    return HeartbeatResponse(
      verdict: .proceed, deadlineSeconds: Int(deadline.seconds(since: now)))
  }

  /// The new deadline of a lease whose worker is alive; nil when it has to stop.
  private func extend(_ row: inout UnitRow, _ place: Int, in fleet: Fleet) -> Timestamp? {
    let (now, lease) = (fleet.now, row.leases[place])
    let replica = row.unit.replicas[place]
    let old: Timestamp
    switch replica.state {
    case .running(let deadline): old = deadline
    case .expired: old = now
    default: return nil
    }
    let extended = LeaseTerms.extended(
      old, idle: lease.idleDeadline, last: lease.lastDeadline,
      LeaseTerms.Progress(
        issued: lease.issuedAt, latest: lease.progressAt,
        share: lease.flopsDone / row.estimatedFlops),
      now: now, fleet.policy)
    guard extended > now else { return nil }
    if replica.state == .expired {
      return row.unit.revive(replica.id, until: extended) ? extended : nil
    }
    row.unit.replicas[place].state = .running(deadline: extended)
    return extended
  }
}

extension Replica.State {
  /// What a heartbeat of a lease in this state is told.
  fileprivate var abandonReason: String {
    switch self {
    case .running: "the unit takes too long, or gets no further"
    case .expired: "the lease expired and another took its place"
    case .abandoned: "the lease was given back"
    case .submitted, .accepted, .rejected, .takenBack: "the lease has a result already"
    case .notNeeded: "the unit is settled or cancelled"
    case .revoked: "the worker is suspended"
    }
  }
}
