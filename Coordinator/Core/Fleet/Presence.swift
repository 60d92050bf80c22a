import WireProtocol

/// Who is there: workers that asked for work of late and may be given some.
package struct FleetPresence: Hashable, Sendable {
  private struct Part: Hashable, Sendable {
    var workers = 0
    var accounts: Set<String> = []
    var flopsPerSecond = 0.0
  }
  /// All workers, who may have the public pool's units, and the trusted ones.
  private var all = Part()
  private var trusted = Part()
  /// Operations a second on average of those that have shown a speed; nil when none has.
  package private(set) var meanSpeed: Double?
  /// Ids of trusted workers that are there.
  package private(set) var presentTrustedWorkers: Set<String> = []

  package init() {}

  /// - Parameter present: the workers that are there.
  package init(_ present: [WorkerRow]) {
    for worker in present {
      all.workers += 1
      all.accounts.insert(worker.account)
      guard worker.trusted else { continue }
      trusted.workers += 1
      trusted.accounts.insert(worker.account)
      presentTrustedWorkers.insert(worker.id)
    }
    // Sums depend on the order.
    let fast = present.filter { $0.speed != nil }.sorted { $0.id < $1.id }
    var (sum, count) = (0.0, 0)
    for worker in fast {
      guard let speed = worker.speed else { continue }
      all.flopsPerSecond += speed
      if worker.trusted { trusted.flopsPerSecond += speed }
      guard speed > 0 else { continue }
      sum += speed
      count += 1
    }
    if count > 0 { meanSpeed = sum / Double(count) }
  }

  private func part(_ pool: WorkPool) -> Part { pool == .trusted ? trusted : all }

  /// Workers that may be given a pool's units.
  package func workers(_ pool: WorkPool) -> Int { part(pool).workers }
  /// Accounts with a worker that may be given a pool's units.
  package func accounts(_ pool: WorkPool) -> Int { part(pool).accounts.count }
  /// Operations a second of the workers of a pool together.
  package func flopsPerSecond(_ pool: WorkPool) -> Double { part(pool).flopsPerSecond }
  /// Ids of accounts with a worker that is there.
  package var presentAccounts: Set<String> { all.accounts }
}

/// Who was there when this was looked at last.
struct PresenceCache: Sendable {
  var version: Int
  /// Seconds since 1970.
  let second: Int
  let presence: FleetPresence
}

extension Fleet {
  /// Who is there; exact to the second.
  package func presence(at time: Timestamp) -> FleetPresence {
    if let cached = presenceCache, isCurrent(cached, at: time) { return cached.presence }
    return FleetPresence(workers.rows.values.filter { isPresent($0, at: time) })
  }

  /// Who is there, remembered for decisions of the same second.
  @discardableResult
  mutating func refreshPresence() -> FleetPresence {
    let presence = presence(at: now)
    if let cached = presenceCache, isCurrent(cached, at: now) { return presence }
    presenceCache = PresenceCache(
      version: index.people.presenceVersion, second: now.seconds, presence: presence)
    return presence
  }

  private func isCurrent(_ cached: PresenceCache, at time: Timestamp) -> Bool {
    cached.version == index.people.presenceVersion && cached.second == time.seconds
  }

  /// Whether a worker asked for work of late and may be given some.
  func isPresent(_ worker: WorkerRow, at time: Timestamp) -> Bool {
    func isOver(_ end: Timestamp?) -> Bool { end.map { $0 <= time } ?? true }
    guard let seen = worker.lastSeen, seen >= time.adding(seconds: -policy.activeSeconds),
      isOver(worker.suspendedUntil), isOver(worker.backoffUntil), worker.bannedAt == nil
    else { return false }
    guard let account = accounts[worker.account] else { return true }
    let returns = ReturnRate.countedUntil(heldBackUntil: time, policy)
    return isOver(account.suspendedUntil) && isOver(account.backoffUntil)
      && account.returnsUntil.map { $0 <= returns } ?? true && account.bannedAt == nil
  }

  /// Notes that a worker is there; not more often than needed.
  mutating func touch(worker id: String) {
    guard let old = workers[id] else { return }
    var row = old
    guard note(seen: &row) else { return }
    put(row)
    keepPresence(of: old, row)
  }

  /// Sets when a worker was seen last; false when that is not needed.
  func note(seen row: inout WorkerRow) -> Bool {
    if let seen = row.lastSeen, seen <= now, now.seconds(since: seen) < 20 { return false }
    row.lastSeen = now
    return true
  }

  /// Goes on with who is remembered to be there when all that changed is when a worker, there
  /// before and after, was seen. The change is the last one.
  func isSamePresence(_ old: WorkerRow, _ new: WorkerRow) -> Bool {
    var other = old
    other.lastSeen = new.lastSeen
    return other.standing == new.standing && old.speed == new.speed && isPresent(old, at: now)
      && isPresent(new, at: now)
  }

  mutating func keepPresence(of old: WorkerRow, _ new: WorkerRow) {
    guard old.standing != new.standing, isSamePresence(old, new),
      presenceCache?.version == index.people.presenceVersion - 1
    else { return }
    presenceCache?.version += 1
  }

  /// Workers that asked for work lately and may have a pool's, and their operations a second
  /// together.
  package func activeMachines(
    pool: WorkPool, at time: Timestamp
  ) -> (count: Int, flopsPerSecond: Double) {
    let presence = presence(at: time)
    return (presence.workers(pool), presence.flopsPerSecond(pool))
  }

  /// Accounts with a worker that was there within a day and is not banned; in the trusted pool its
  /// machines.
  func parties(of pool: WorkPool) -> Int {
    let day = now.adding(seconds: -86_400)
    let counted = workers.rows.values.filter { worker in
      guard let seen = worker.lastSeen, seen >= day else { return false }
      return (worker.trusted || pool == .public) && worker.bannedAt == nil
        && accounts[worker.account]?.bannedAt == nil
    }
    return pool == .public ? Set(counted.map(\.account)).count : counted.count
  }
}
