import WireProtocol

/// What became of leases whose time had come.
package struct DueLeaseReport: Hashable, Sendable {
  package var handled = 0
  /// Those that could not be handled, and why; they are tried again at a later time.
  package var failures: [String] = []
  /// Whether more are due at the same time.
  package var hasMore = false
}

/// Ends leases whose deadline passed, which counts as a failure of their workers.
package struct ExpireLeases: FleetEvent {
  /// Leases at most.
  package let limit: Int

  package init(limit: Int) { self.limit = limit }

  /// - Throws: `Lack`.
  package func decide(in fleet: inout Fleet) throws -> DueLeaseReport {
    try fleet.handle(.deadline, limit: limit) { fleet, unit, place in
      let (replica, issued) = (unit.unit.replicas[place], unit.leases[place].issuedAt)
      try fleet.lose(replica.id, of: unit, as: .expired)
      try fleet.noteFailure(of: replica.worker, leased: issued)
    }
  }
}

/// Notes which leases run for longer than they should, so that a unit that has a result waits for
/// them no more.
package struct NoteLateLeases: FleetEvent {
  /// Leases at most.
  package let limit: Int

  package init(limit: Int) { self.limit = limit }

  /// - Throws: `Lack`.
  package func decide(in fleet: inout Fleet) throws -> DueLeaseReport {
    try fleet.handle(.lateness, limit: limit) { fleet, unit, place in
      var row = unit
      row.unit.noteLate(unit.unit.replicas[place].id)
      fleet.save(row, before: unit)
    }
  }
}

/// Until when leases that could not be handled are let be.
struct LeaseRetries: Sendable {
  var deadline: [ReplicaPlace: Timestamp] = [:]
  var lateness: [ReplicaPlace: Timestamp] = [:]
}

/// Which times of running leases are looked at.
private enum DueLeases {
  case deadline
  case lateness

  var queue: WritableKeyPath<WorkIndex, DueQueue<ReplicaPlace>> {
    switch self {
    case .deadline: \.leaseEnds
    case .lateness: \.lateness
    }
  }

  var retries: WritableKeyPath<LeaseRetries, [ReplicaPlace: Timestamp]> {
    switch self {
    case .deadline: \.deadline
    case .lateness: \.lateness
    }
  }

  /// When a lease falls due; nil when it does not.
  func time(_ place: ReplicaPlace, in fleet: Fleet) -> Timestamp? {
    guard let unit = fleet.units[place.unit], let index = unit.index(ofReplica: place.replica),
      unit.leases.indices.contains(index), case .running = unit.unit.replicas[index].state
    else { return nil }
    switch self {
    case .deadline: return unit.leases[index].deadline
    case .lateness: return unit.unit.replicas[index].isLate ? nil : unit.leases[index].lateAt
    }
  }
}

extension Fleet {
  /// When a running lease ends or becomes late next, at the latest.
  package var nextLeaseDue: Timestamp? {
    [index.work.leaseEnds.first?.time, index.work.lateness.first?.time].compactMap(\.self).min()
  }

  /// Handles running leases whose time has come, each by itself: one that cannot be handled is
  /// reported, and holds up no other.
  fileprivate mutating func handle(
    _ due: DueLeases, limit: Int,
    _ body: (inout Fleet, UnitRow, _ place: Int) throws -> Void
  ) throws -> DueLeaseReport {
    var report = DueLeaseReport()
    while let place = nextDue(due) {
      guard report.handled + report.failures.count < limit else {
        report.hasMore = true
        break
      }
      removeFirst(of: due)
      guard let unit = units[place.unit], let index = unit.index(ofReplica: place.replica) else {
        continue
      }
      do {
        try attempt { try body(&$0, unit, index) }
        report.handled += 1
        leaseRetries[keyPath: due.retries][place] = nil
      } catch {
        // The queues are no rows: what was taken out of them is not put back by undoing.
        let later = error is Lack ? now : Timestamp(milliseconds: now.milliseconds + 1)
        self.index.work[keyPath: due.queue].add(place, at: later)
        if error is Lack { throw error }
        leaseRetries[keyPath: due.retries][place] = later
        report.failures.append("replica \(place.replica): \(error)")
      }
    }
    return report
  }

  /// The first lease that is due, and still the first of its queue; what is before it in the queue
  /// and not due, or later, is put right.
  private mutating func nextDue(_ due: DueLeases) -> ReplicaPlace? {
    while let (said, place) = index.work[keyPath: due.queue].first {
      guard let time = due.time(place, in: self) else {
        removeFirst(of: due)
        leaseRetries[keyPath: due.retries][place] = nil
        continue
      }
      let later = max(time, leaseRetries[keyPath: due.retries][place] ?? time)
      if later > said {
        removeFirst(of: due)
        index.work[keyPath: due.queue].add(place, at: later)
        continue
      }
      return said <= now ? place : nil
    }
    return nil
  }

  /// Takes the first out of a queue, as often as it is there for the same time.
  private mutating func removeFirst(of due: DueLeases) {
    guard let taken = index.work[keyPath: due.queue].first else { return }
    repeat {
      index.work[keyPath: due.queue].removeFirst()
    } while index.work[keyPath: due.queue].first.map { $0 == taken } ?? false
  }
}
