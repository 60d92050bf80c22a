import WireProtocol

extension Fleet {
  /// Puts a unit in its place, with everything that is counted of it.
  ///
  /// - Parameter before: how it was; nil for a new unit.
  mutating func save(_ unit: UnitRow, before: UnitRow?) {
    var row = unit
    let missing = row.unit.missing
    let lack = missing - (before?.unit.missing ?? 0)
    // What nobody had yet is for whoever asks, and lacks nothing since.
    if before != nil, lack != 0 { row.wantedSince = now }
    if missing == 0 { row.wantedSince = nil }
    let isOver = row.unit.state.hasEnded
    if isOver {
      row.endedAt = row.endedAt ?? now
      if row.audit != .due { (row.replay, row.replayDeadline) = (nil, nil) }
    } else {
      row.endedAt = nil
    }
    guard row != before else { return }
    change(QueueRow.self, row.queue) { queue in
      queue.missing += lack
      if let before { queue.tally.count(before, by: -1) }
      queue.tally.count(row, by: 1)
    }
    let (old, new) = (before?.unit.state.names.state, row.unit.state.names.state)
    if old != new {
      changeSettings { settings in
        if let old { settings.totals.units[old, default: 0] -= 1 }
        settings.totals.units[new, default: 0] += 1
      }
    }
    put(row)
  }

  /// The unit of a lease and the lease's place in it.
  ///
  /// - Throws: `Lack`; `StoreError.leaseUnknown`, also for another worker's lease.
  package func requireLease(
    _ lease: String, worker: String
  ) throws -> (unit: UnitRow, place: Int) {
    if let number = index.work.leases[lease], let unit = units[number] {
      if let place = unit.index(ofLease: lease), unit.unit.replicas[place].worker == worker {
        return (unit, place)
      }
    } else {
      try need(.lease(lease))
    }
    throw StoreError(.leaseUnknown, "This worker has no lease \(lease).")
  }
}

extension UnitTally {
  /// Counts a unit and its replicas, or takes them out for -1.
  mutating func count(_ row: UnitRow, by sign: Int) {
    Self.add(sign, to: &units, row.unit.state.names.state)
    if let acceptance = row.unit.state.acceptance {
      Self.add(sign, to: &verified, acceptance.verification.rawValue)
    }
    for replica in row.unit.replicas { Self.add(sign, to: &replicas, replica.state.names.state) }
    if !row.unit.state.hasEnded { openFlops += Double(sign) * row.estimatedFlops }
    if row.unit.replicas.contains(where: \.isRefusal) { refused += sign }
    // Sums of floating-point numbers that were taken apart again do not come to 0.
    if (units["open"] ?? 0) + (units["awaiting_replay"] ?? 0) == 0 { openFlops = 0 }
  }

  private static func add(_ sign: Int, to counts: inout [String: Int], _ name: String) {
    let count = (counts[name] ?? 0) + sign
    counts[name] = count == 0 ? nil : count
  }
}
