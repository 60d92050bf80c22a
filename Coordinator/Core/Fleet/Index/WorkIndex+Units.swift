import WireProtocol

extension WorkIndex {
  mutating func reindex(unit old: UnitRow?, to new: UnitRow?) {
    reindexLeases(from: old, to: new)
    reindexRunning(from: old, to: new)
    reindexLacking(from: old, to: new)
    reindexReplays(from: old, to: new)
    reindexOpen(from: old, to: new)
  }

  private mutating func reindexLeases(from old: UnitRow?, to new: UnitRow?) {
    let (before, after) = (old?.leases.count ?? 0, new?.leases.count ?? 0)
    if let old, after < before {
      for lease in old.leases[after...] { leases[lease.lease] = nil }
    }
    if let new, before < after {
      for lease in new.leases[before...] { leases[lease.lease] = new.number }
    }
    if let old, new == nil, let round = old.roundKey {
      unitsOfRound.remove(old.number, under: round)
    }
    if let new, old == nil, let round = new.roundKey {
      unitsOfRound.insert(new.number, under: round)
    }
  }

  private mutating func reindexRunning(from old: UnitRow?, to new: UnitRow?) {
    let count = max(old?.unit.replicas.count ?? 0, new?.unit.replicas.count ?? 0)
    for place in 0..<count {
      let before = old.flatMap { $0.runningReplica(place) }
      let after = new.flatMap { $0.runningReplica(place) }
      if let old, let before, after == nil { hold(before, of: old, by: -1) }
      guard let new, let after else { continue }
      if before == nil { hold(after, of: new, by: 1) }
      let replica = ReplicaPlace(unit: new.number, replica: after.id)
      let lease = new.leases[place]
      // A deadline that moved on shows when the old one has come.
      if before == nil || lease.deadline < (old?.leases[place].deadline ?? lease.deadline) {
        leaseEnds.add(replica, at: lease.deadline)
      }
      if !after.isLate,
        before == nil || lease.lateAt < (old?.leases[place].lateAt ?? lease.lateAt)
      {
        lateness.add(replica, at: lease.lateAt)
      }
    }
  }

  /// Counts a running replica as held, or as no more so.
  private mutating func hold(_ replica: Replica, of unit: UnitRow, by sign: Int) {
    let place = ReplicaPlace(unit: unit.number, replica: replica.id)
    runningCount += sign
    if sign > 0 {
      running.insert(place, under: replica.worker)
    } else {
      running.remove(place, under: replica.worker)
    }
    let sequences = sign * unit.promptTokens.count
    Self.add(sign, sequences, of: unit.queue, to: &heldByWorker, replica.worker)
    Self.add(sign, sequences, of: unit.queue, to: &heldByAccount, replica.account)
  }

  private static func add(
    _ leases: Int, _ sequences: Int, of queue: Int64, to held: inout [String: [Int64: HeldPart]],
    _ holder: String
  ) {
    var part = held[holder]?[queue] ?? HeldPart()
    part.leases += leases
    part.sequences += sequences
    held[holder, default: [:]][queue] = part.leases == 0 ? nil : part
    if held[holder]?.isEmpty == true { held[holder] = nil }
  }

  private mutating func reindexLacking(from old: UnitRow?, to new: UnitRow?) {
    let (before, after) = (old?.lackingPlace, new?.lackingPlace)
    guard before != after else { return }
    if let old, let before {
      let place = UnitPlace(flops: old.estimatedFlops, number: old.number)
      lacking[old.queue]?[before]?.remove(place)
      if lacking[old.queue]?[before]?.isEmpty == true {
        lacking[old.queue]?[before] = nil
        lackingAccounts[old.queue]?.remove(before)
        if lackingAccounts[old.queue]?.isEmpty == true { lackingAccounts[old.queue] = nil }
      }
      if lacking[old.queue]?.isEmpty == true { lacking[old.queue] = nil }
    }
    if let new, let after {
      let place = UnitPlace(flops: new.estimatedFlops, number: new.number)
      lacking[new.queue, default: [:]][after, default: SortedArray()].insert(place)
      lackingAccounts[new.queue, default: SortedArray()].insert(after)
    }
  }

  private mutating func reindexReplays(from old: UnitRow?, to new: UnitRow?) {
    if old?.replay != new?.replay {
      if let replay = old?.replay { replays[replay] = nil }
      if let new, let replay = new.replay { replays[replay] = new.number }
    }
    let (waited, waits) = (old?.awaitsReplay ?? false, new?.awaitsReplay ?? false)
    if let old, waited, !waits { awaitingReplay.remove(old.number) }
    if let new, waits, !waited { awaitingReplay.insert(new.number) }
    let (wasDue, isDue) = (old?.audit == .due, new?.audit == .due)
    if let old, wasDue, !isDue { dueAudits.remove(old.number) }
    if let new, isDue, !wasDue { dueAudits.insert(new.number) }
  }

  private mutating func reindexOpen(from old: UnitRow?, to new: UnitRow?) {
    let (before, after) = (old.flatMap(\.openUnit), new.flatMap(\.openUnit))
    if let old = before, after == nil {
      openUnits.remove(old.number, under: old.queue)
      for batch in old.memberBatches { openUnitsOfBatch.remove(old.number, under: batch) }
    }
    if let new = after, before == nil {
      openUnits.insert(new.number, under: new.queue)
      for batch in new.memberBatches { openUnitsOfBatch.insert(new.number, under: batch) }
    }
    let (had, has) = (before?.unjudgedWorkers ?? [], after?.unjudgedWorkers ?? [])
    guard had != has, let number = (new ?? old)?.number else { return }
    for worker in had.subtracting(has) { unverified.remove(number, under: worker) }
    for worker in has.subtracting(had) { unverified.insert(number, under: worker) }
  }
}

extension UnitRow {
  fileprivate var roundKey: TuningRoundRow.Key? {
    tuning.map { TuningRoundRow.Key(job: $0.job, number: $0.round) }
  }

  /// The replica at a place, if it runs.
  fileprivate func runningReplica(_ place: Int) -> Replica? {
    guard unit.replicas.indices.contains(place), leases.indices.contains(place),
      case .running = unit.replicas[place].state
    else { return nil }
    return unit.replicas[place]
  }

  /// The account that alone takes part in a unit that lacks replicas; nil for one that lacks none.
  fileprivate var lackingPlace: String? { unit.missing > 0 ? soleAccount : nil }

  var awaitsReplay: Bool {
    if case .awaitingReplay = unit.state { return true }
    return false
  }

  fileprivate var openUnit: UnitRow? { unit.state.hasEnded ? nil : self }

  fileprivate var memberBatches: Set<Int64> { Set(members.lazy.map(\.batch)) }

  /// Workers with a replica of which nothing is decided.
  fileprivate var unjudgedWorkers: Set<String> {
    Set(
      unit.replicas.lazy.filter { replica in
        switch replica.state {
        case .running, .submitted, .expired, .abandoned, .notNeeded: true
        case .accepted, .rejected, .takenBack, .revoked: false
        }
      }.map(\.worker))
  }
}
