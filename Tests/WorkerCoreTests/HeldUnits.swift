import WireProtocol
import WorkerCore

/// The held units on a simulated worker's disk, with what each has computed.
struct HeldUnits {
  private struct Progress {
    let lease: Lease
    var total: Duration?
    var done = Duration.zero
    var startedAt: Duration?
    var fruitlessStarts = 0
  }

  private var files: [String: Progress] = [:]
  /// Every unit that was ever stored, and those that were given back.
  private(set) var remembered: Set<String> = []
  var givenUp: Set<String> = []
  /// What did not have to be computed again.
  private(set) var saved = Duration.zero

  /// What a starting worker finds.
  var stored: [StoredUnit] {
    files.values.sorted { $0.lease.id < $1.lease.id }.map {
      StoredUnit(lease: $0.lease, fruitlessStarts: $0.fruitlessStarts)
    }
  }

  mutating func remember(_ lease: Lease) {
    remembered.insert(lease.id)
    if files[lease.id] == nil { files[lease.id] = Progress(lease: lease) }
  }

  /// Starts a unit; returns how long it takes from here.
  mutating func start(_ lease: Lease, seconds: Int, at now: Duration) -> Duration {
    var unit = files[lease.id] ?? Progress(lease: lease)
    let total = unit.total ?? .seconds(seconds)
    unit.total = total
    unit.startedAt = now
    unit.fruitlessStarts += 1
    saved += unit.done
    files[lease.id] = unit
    return total - unit.done
  }

  mutating func crash(at now: Duration) {
    for (id, unit) in files {
      guard let startedAt = unit.startedAt else { continue }
      let kept = Duration.seconds((now - startedAt).components.seconds / 10 * 10)
      files[id]?.startedAt = nil
      files[id]?.done += kept
      if kept > .zero { files[id]?.fruitlessStarts = 0 }
    }
  }

  /// - Parameter leavesTraces: the removal does not reach the disk.
  mutating func drop(allBut held: [String], leavesTraces: Bool) {
    if leavesTraces { return }
    files = files.filter { held.contains($0.key) }
  }
}
