import CoordinatorCore
import CoordinatorStore
import Foundation
import TestSupport
import WireProtocol

/// Hours of a small fleet in virtual time: honest machines beside some that misbehave in one way
/// each.
final class FleetHours {
  enum Temper: Hashable, Sendable {
    /// Computes so many operations a second, with heartbeats.
    case honest(flopsPerSecond: Double)
    /// Takes units and is not heard of again.
    case silent
    /// Takes units, says nothing, and sends a right result when its lease has ended.
    case tardy
    /// Gives every unit back, for this reason.
    case givingBack(Abandonment.Reason)
    /// Says that it is there, and gets no further.
    case zombie
  }

  private enum Event {
    case ask(Int)
    case heartbeat(Int, Lease, done: Double)
    case finish(Int, Lease)
    case tick
  }

  let lab: Laboratory
  private(set) var machines: [(record: WorkerRecord, temper: Temper)] = []
  private(set) var now = Laboratory.start
  /// Seconds without work of each machine.
  private(set) var idleSeconds: [Int: Double] = [:]
  /// Times that a machine was given a unit.
  private(set) var leases: [Int: Int] = [:]
  private(set) var reasons: [Int: Set<IdleReason>] = [:]
  /// Units that were seen waiting for the trusted machine.
  private(set) var replays = 0
  private var events = EventQueue<Event>()

  init(_ lab: Laboratory) {
    self.lab = lab
    events.add(.tick, at: .zero)
  }

  /// Lets a machine of an account join now; gives its index.
  @discardableResult
  func join(_ account: String, _ temper: Temper, trusted: Bool = false) async throws -> Int {
    let index = machines.count
    let record = try await lab.worker(
      "machine-\(index)", account: account, trusted: trusted, now: now)
    machines.append((record, temper))
    later(.ask(index), in: 0.1 * Double(index))
    return index
  }

  private func later(_ event: Event, in seconds: Double) {
    let since = now.milliseconds - Laboratory.start.milliseconds
    events.add(event, at: .milliseconds(since + Int64(max(1, seconds * 1000))))
  }

  /// Runs for so many seconds more, or until `isDone`, which is asked once a minute.
  func run(seconds: Int, until isDone: () async throws -> Bool = { false }) async throws {
    let end = now.adding(seconds: seconds)
    var look = now
    while let next = events.nextTime {
      let milliseconds = Int64(next.components.seconds) * 1000
        + next.components.attoseconds / 1_000_000_000_000_000
      guard Laboratory.start.milliseconds + milliseconds <= end.milliseconds,
        let (_, event) = events.next()
      else { break }
      now = Timestamp(milliseconds: Laboratory.start.milliseconds + milliseconds)
      try await handle(event)
      if look <= now {
        look = now.adding(seconds: 60)
        if try await isDone() { return }
      }
    }
    now = end
  }

  private func handle(_ event: Event) async throws {
    switch event {
    case .tick:
      _ = try await lab.store.tick(now: now)
      // Audits come when nothing else waits for the trusted machine.
      if let job = try await lab.store.takeReplay(now: now), !job.isAudit { replays += 1 }
      later(.tick, in: 5)
    case .ask(let index): try await ask(index)
    case .finish(let index, let lease):
      try await lab.submit(lease, by: machines[index].record, seconds: nil, now: now)
      if case .honest = machines[index].temper { later(.ask(index), in: 0.01) }
    case .heartbeat(let index, let lease, let done):
      let answer = try await lab.store.heartbeat(
        lease: lease.id, worker: machines[index].record.id, flopsDone: done, now: now)
      guard answer.verdict == .proceed else { return }
      let speed =
        if case .honest(let flopsPerSecond) = machines[index].temper { flopsPerSecond } else { 0.0 }
      later(.heartbeat(index, lease, done: done + speed * 30), in: 30)
    }
  }

  private func ask(_ index: Int) async throws {
    let (record, temper) = machines[index]
    let response = try await lab.store.lease(
      worker: record.id, request: Laboratory.leaseRequest(seconds: 60), now: now)
    reasons[index, default: []].formUnion(response.reasons.keys)
    guard let lease = response.leases.first else {
      idleSeconds[index, default: 0] += Double(response.retryAfterSeconds)
      later(.ask(index), in: Double(response.retryAfterSeconds))
      return
    }
    leases[index, default: 0] += 1
    switch temper {
    case .honest(let flopsPerSecond):
      let seconds = lease.estimatedFlops / flopsPerSecond
      if seconds > 30 { later(.heartbeat(index, lease, done: flopsPerSecond * 30), in: 30) }
      later(.finish(index, lease), in: seconds)
    case .silent: later(.ask(index), in: 1)
    case .tardy:
      later(.finish(index, lease), in: Double(lease.deadlineSeconds) + 300)
      later(.ask(index), in: 1)
    case .givingBack(let reason):
      try await lab.store.abandon(
        lease: lease.id, worker: record.id, reason: reason, detail: "as asked", now: now)
      later(.ask(index), in: 1)
    case .zombie:
      later(.heartbeat(index, lease, done: 0), in: 30)
      later(.ask(index), in: 1)
    }
  }

  /// How the completed requests of a batch were verified, by kind.
  func verifications(of batch: String) async throws -> [Verification: Int] {
    var counts: [Verification: Int] = [:]
    for outcome in try await lab.store.outcomes(of: batch, afterLine: 0, limit: 100_000) {
      if case .completed(let done) = outcome.ending { counts[done.verification, default: 0] += 1 }
    }
    return counts
  }
}
