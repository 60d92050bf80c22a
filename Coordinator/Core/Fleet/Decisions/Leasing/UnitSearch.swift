import WireProtocol

/// The search for the unit that a worker is leased next.
struct UnitSearch {
  /// Units of one queue and account that are looked at.
  private static let unitLimit = 64

  private let call: LeaseCall
  private let presence: FleetPresence
  private let draw: Sortition
  private var walk: QueueWalk
  /// What the walk does not tell: units that were passed over though their queue fits.
  private var passedOver: [IdleReason: Int] = [:]
  /// Requests that were passed over, by what may be in one unit with them, and those of which no
  /// unit can be cut for this worker.
  private var behind: [SharedWork: Int] = [:]
  private var uncut: Set<SharedWork> = []

  private var profile: WorkerProfile { call.profile }

  init(call: LeaseCall, presence: FleetPresence, in fleet: Fleet) {
    self.call = call
    self.presence = presence
    draw = Sortition(secret: fleet.setting.drawSecret ?? "")
    walk = QueueWalk(for: call.profile, in: fleet)
  }

  /// Why nothing was found.
  var reasons: [IdleReason: Int] { walk.passedOver.merging(passedOver, uniquingKeysWith: +) }

  /// A replica that a unit of the fairest queue waits for, else a fresh unit of it, else the same
  /// of the next queue; when no queue has anything of a fitting size, the smallest replica of the
  /// fairest; and last what was given up here, when nobody else is there.
  mutating func next(in fleet: inout Fleet) throws -> (UnitRow, WorkQueue)? {
    let policy = fleet.policy
    // What is only assumed of a worker is not stretched.
    let stretch = profile.flopsPerSecond == nil ? 1 : policy.replicaStretch
    let fitting = profile.speed(policy) * Double(policy.targetUnitSeconds) * stretch
    var rank = 0
    while let queue = walk.queue(at: rank, in: fleet) {
      if queue.missingReplicas > 0, let unit = waitingUnit(queue, atMost: fitting, in: fleet) {
        return (unit, queue)
      }
      if queue.waitingRequests > 0 {
        let room = call.held.room(for: .requests, in: queue, presence, fleet.index.work)
        if room > 0, let unit = try freshUnit(queue, rank, room: room, in: &fleet) {
          return (unit, queue)
        }
        behind[queue.shared, default: 0] += queue.waitingRequests
        passedOver[room > 0 ? .needsMoreMemory : .holdsEnough, default: 0] += queue.waitingRequests
      }
      rank += 1
    }
    for isReturning in [false, true] {
      var rank = 0
      while let queue = walk.queue(at: rank, in: fleet) {
        rank += 1
        guard queue.missingReplicas > 0 else { continue }
        if let unit = waitingUnit(queue, atMost: nil, isReturning: isReturning, in: fleet) {
          return (unit, queue)
        }
        guard isReturning else { continue }
        let mayTake = call.held.room(for: .replicas, in: queue, presence, fleet.index.work) > 0
        passedOver[mayTake ? .sameAccount : .holdsEnough, default: 0] += queue.missingReplicas
      }
    }
    return nil
  }

  /// An open unit that wants a replica, which this account takes no part in and this worker has the
  /// memory for: the largest of at most so many operations, or for nil the smallest.
  ///
  /// Units are looked up by the account that alone takes part in them (empty for none or several),
  /// so that those of one's own account are passed over in one step, however many there are.
  ///
  /// - Parameter isReturning: whether to look among those that were given up here, instead of among
  ///   the others.
  private func waitingUnit(
    _ queue: WorkQueue, atMost flops: Double?, isReturning: Bool = false, in fleet: Fleet
  ) -> UnitRow? {
    guard call.held.room(for: .replicas, in: queue, presence, fleet.index.work) > 0,
      let accounts = fleet.index.work.lackingAccounts[queue.id]
    else { return nil }
    for account in accounts where account != call.worker.account {
      guard let places = fleet.index.work.lacking[queue.id]?[account] else { continue }
      let unit =
        if let flops {
          first(
            of: places[..<places.place(of: UnitPlace(flops: flops, number: .max))].reversed(),
            queue, isReturning: isReturning, in: fleet)
        } else {
          first(of: places, queue, isReturning: isReturning, in: fleet)
        }
      if let unit { return unit }
    }
    return nil
  }

  private func first(
    of places: some Sequence<UnitPlace>, _ queue: WorkQueue, isReturning: Bool, in fleet: Fleet
  ) -> UnitRow? {
    var count = 0
    for place in places {
      guard count < Self.unitLimit else { return nil }
      guard let unit = fleet.units[place.number], unit.memoryBytes <= profile.memoryLimitBytes
      else { continue }
      count += 1
      guard isReturning || isDrawn(unit, queue, in: fleet),
        unit.unit.mayLease(account: call.worker.account),
        unit.unit.wasGivenUp(by: call.worker.id, of: call.worker.account) == isReturning
      else { continue }
      if !isReturning || mayReturn(unit, in: fleet) { return unit }
    }
    return nil
  }

  /// Whether this account was drawn for what a unit lacks. What nobody had yet is for whoever asks,
  /// and so is everything in the trusted pool.
  private func isDrawn(_ row: UnitRow, _ queue: WorkQueue, in fleet: Fleet) -> Bool {
    guard queue.pool == .public, let since = row.wantedSince else { return true }
    return draw.isDrawn(
      call.worker.account, unit: row.digest.hex, since: since, now: fleet.now,
      places: row.unit.missing, candidates: presence.accounts(.public) - row.unit.everyParty,
      epochSeconds: fleet.policy.drawSeconds(isBusy: queue.waitingRequests > 0))
  }

  /// Whether a unit that was given up here may come back: when nobody else is there, or has taken
  /// it for long.
  private func mayReturn(_ row: UnitRow, in fleet: Fleet) -> Bool {
    if let since = row.wantedSince,
      fleet.now.seconds(since: since) >= Double(fleet.policy.activeSeconds)
    {
      return true
    }
    if row.unit.wasRefused(by: call.worker.id, of: call.worker.account) { return false }
    switch row.unit.pool {
    case .public:
      return presence.presentAccounts.isSubset(of: row.unit.replicas.lazy.map(\.account))
    case .trusted:
      return presence.presentTrustedWorkers.isSubset(of: row.unit.replicas.lazy.map(\.worker))
    }
  }

  /// A unit of waiting requests of a queue, filled up from those that follow it.
  private mutating func freshUnit(
    _ queue: WorkQueue, _ rank: Int, room: Int, in fleet: inout Fleet
  ) throws -> UnitRow? {
    let shared = queue.shared
    guard !uncut.contains(shared) else { return nil }
    var whole = queue
    whole.waitingRequests =
      (fleet.index.work.waitingRequests[shared] ?? 0) - (behind[shared] ?? 0)
    let sizing = UnitSizing(
      queue: whole, worker: profile,
      secondsLeft: Double(call.request.secondsWanted) - call.seconds,
      activeWorkers: presence.workers(queue.pool), room: room, fleet.policy)
    var cutting = Cutting(sizing: sizing)
    var (next, left) = (rank, whole.waitingRequests)
    while !cutting.isFull, left > 0, let other = walk.queue(at: next, in: fleet) {
      next += 1
      guard other.waitingRequests > 0, other.sharesUnits(with: queue) else { continue }
      left -= other.waitingRequests
      try cutting.fill(from: other, in: fleet)
    }
    guard let unit = try cutting.open(for: queue, in: &fleet) else {
      uncut.insert(shared)
      return nil
    }
    return unit
  }
}

extension WorkQueue {
  fileprivate var shared: SharedWork {
    SharedWork(pool: pool, model: model, cache: cache, kind: kind, adapter: adapter)
  }
}
