import CoordinatorCore
import WireProtocol

/// The fleet could not make its last decisions durable, or has too many to make.
package struct FleetUnavailable: Error, Hashable, Sendable, CustomStringConvertible {
  package let description: String
  /// Seconds after which to ask again.
  package let retryAfterSeconds: Int

  package init(_ description: String, retryAfterSeconds: Int) {
    self.description = description
    self.retryAfterSeconds = retryAfterSeconds
  }
}

/// Runs a fleet over a storage: decisions are made in memory one after the other, what those that
/// wait together changed is written as one group, and no answer leaves before its group is durable.
package actor FleetService {
  /// Decisions that may wait for their group.
  package static let waitingLimit = 10_000

  private let storage: any FleetStorage
  private let policy: CoordinatorPolicy
  private let draw: FleetDraw
  /// Nil when it has to be loaded.
  private var fleet: Fleet?
  private var waiting: [CheckedContinuation<Void, any Error>] = []
  private var isCommitting = false
  /// Units that decisions lacked.
  private var adopted: Set<Int64> = []
  /// Times that rows were let go of, or the fleet was dropped.
  private var releases = 0
  private var loading: Task<WorkingSet, any Error>?

  package init(
    storage: any FleetStorage, policy: CoordinatorPolicy, draw: FleetDraw = .system
  ) {
    self.storage = storage
    self.policy = policy
    self.draw = draw
  }

  /// Decides an event; its changes are durable when this returns, and nothing has changed when it
  /// throws.
  ///
  /// - Throws: what the event says; `FleetUnavailable`; the storage's errors.
  package func handle<Event: FleetEvent>(
    _ event: Event, now: Timestamp
  ) async throws -> Event.Answer {
    try requireRoom()
    var absent: Set<Lack> = []
    while true {
      do {
        try await load()
        guard let answer = try fleet?.handle(event, at: now, draw: draw, absent: absent) else {
          continue
        }
        try await commit()
        return answer
      } catch let lack as Lack {
        if try await !supply(lack) { absent.insert(lack) }
      }
    }
  }

  /// Looks at the fleet as decided so far, once that is durable.
  package func read<Value: Sendable>(
    _ body: @Sendable (borrowing Fleet) throws -> Value
  ) async throws -> Value {
    try requireRoom()
    var absent: Set<Lack> = []
    while true {
      do {
        try await load()
        // No copy of the fleet may live beyond this: the next decision would copy its tables.
        let looked =
          try absent.isEmpty
          ? fleet.map { try body($0) } : fleet.map { try body($0.knowing(absent: absent)) }
        guard let value = looked else { continue }
        try await commit()
        return value
      } catch let lack as Lack {
        if try await !supply(lack) { absent.insert(lack) }
      }
    }
  }

  /// - Throws: `FleetUnavailable` when too many wait already.
  private func requireRoom() throws {
    guard waiting.count < Self.waitingLimit else {
      throw FleetUnavailable(
        "The coordinator has more to decide than it can write.", retryAfterSeconds: 5)
    }
  }

  private func load() async throws {
    while fleet == nil {
      let storage = storage
      let task = loading ?? Task { try await storage.load() }
      loading = task
      defer { if loading == task { loading = nil } }
      let set = try await task.value
      if fleet == nil { fleet = Fleet(policy: policy, set) }
    }
  }

  /// Fetches what a decision lacks; false when the storage has no more of it.
  private func supply(_ lack: Lack) async throws -> Bool {
    var line = 0
    if case .window(let queue) = lack { line = fleet?.windows[queue]?.lastLine ?? 0 }
    let before = releases
    let supply = try await storage.supply(lack, afterLine: line)
    // Rows that came back and left again meanwhile may be newer than these.
    guard before == releases, fleet != nil else { return true }
    if let window = supply.window, window.after != fleet?.windows[window.queue]?.lastLine ?? 0 {
      return true
    }
    adopted.formUnion(supply.units.map(\.number))
    return fleet?.adopt(supply) ?? true
  }

  /// Lets go of what has ended, once that is durable.
  private func release(after changes: FleetChanges) {
    if fleet?.release(after: changes, adopted: adopted) == true { releases += 1 }
    adopted = []
  }

  /// Waits until everything that was decided so far is durable.
  private func commit() async throws {
    if !isCommitting {
      guard fleet?.hasChanges == true else { return release(after: FleetChanges()) }
      isCommitting = true
      Task { await commitGroups() }
    }
    try await withCheckedThrowingContinuation { waiting.append($0) }
  }

  private func commitGroups() async {
    while !waiting.isEmpty {
      let group = waiting
      waiting = []
      let changes = fleet?.takeChanges() ?? FleetChanges()
      do {
        if !changes.isEmpty { try await storage.apply(changes) }
        release(after: changes)
        for one in group { one.resume() }
      } catch {
        // What was decided since rests on what is lost.
        let lost = group + waiting
        waiting = []
        fleet = nil
        releases += 1
        let failure = FleetUnavailable(
          "The coordinator could not write: \(error)", retryAfterSeconds: 5)
        for one in lost { one.resume(throwing: failure) }
      }
    }
    isCommitting = false
  }
}
