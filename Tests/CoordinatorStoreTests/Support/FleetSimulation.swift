import CoordinatorCore
import CoordinatorStore
import Foundation
import Synchronization
import TestSupport
import WireProtocol

extension Identifiers {
  /// Ids that a seed repeats.
  static func seeded(_ seed: UInt64) -> Identifiers {
    let random = SharedRandom(seed)
    return Identifiers { random.next() }
  }
}

extension Lots {
  /// Lots that a seed repeats.
  static func seeded(_ seed: UInt64) -> Lots {
    let random = SharedRandom(seed)
    return Lots { random.next() }
  }
}

private final class SharedRandom: Sendable {
  private let random: Mutex<SeededRandom>

  init(_ seed: UInt64) { random = Mutex(SeededRandom(seed: seed)) }

  func next() -> UInt64 { random.withLock { $0.next() } }
}

/// Weeks of a fleet in seconds: honest, slow, vanishing, careless and lying machines against one
/// store, which is killed and opened again on the way. One seed repeats everything.
final class FleetSimulation {
  enum Temper: CaseIterable {
    case honest
    /// A tenth of the speed.
    case slow
    /// Often goes away with its leases, and sometimes comes back with late results.
    case vanishing
    /// Sends results twice, or again days later, and gives leases back.
    case careless
    /// Some of its results are wrong, each in its own way.
    case lying
  }

  struct Machine {
    let record: WorkerRecord
    let temper: Temper
    let flopsPerSecond: Double
    var lies = 0
  }

  private enum Event {
    case ask(Int)
    case heartbeat(Int, Lease, beats: Int)
    case finish(Int, Lease, lies: Bool)
    case giveBack(Int, Lease)
    case arrive
    case cancel(String)
    case tick
    case replay
    case finalize
    case kill
  }

  private(set) var lab: Laboratory
  private(set) var machines: [Machine] = []
  private(set) var batches: [String] = []
  private(set) var now = Laboratory.start
  private(set) var steps = 0
  private(set) var kills = 0
  /// Credit that machines were told of, the last word for each lease.
  private(set) var receipts: [String: ResultReceipt] = [:]
  let policy: CoordinatorPolicy
  private var events = EventQueue<Event>()
  private var random: SeededRandom
  private var arrivalsLeft: Int
  /// Opens the store anew, as after a kill.
  private let reopen: () async throws -> (any Store, any BlobStore)

  static func policy() -> CoordinatorPolicy {
    var policy = CoordinatorPolicy()
    // Long silences keep the number of events down.
    policy.silenceSeconds = 1_800
    policy.heartbeatSeconds = 900
    policy.targetUnitSeconds = 3_600
    policy.retryAfterSeconds = 3_600
    return policy
  }

  init(
    seed: UInt64, machines count: Int, batches: Int,
    reopen: @escaping () async throws -> (any Store, any BlobStore)
  ) async throws {
    random = SeededRandom(seed: seed)
    policy = Self.policy()
    arrivalsLeft = batches
    self.reopen = reopen
    let (store, blobs) = try await reopen()
    lab = try await Laboratory(store, blobs)
    for index in 0..<count {
      // The first five guarantee two honest accounts and one of each other kind.
      let temper =
        index < 2 ? .honest : Temper.allCases.randomElement(using: &random) ?? .honest
      let account = "account-\(index % max(2, count * 2 / 3))"
      let record = try await lab.worker("machine-\(index)", account: account)
      let speed = Double.random(in: 2e9...2e10, using: &random) * (temper == .slow ? 0.1 : 1)
      machines.append(Machine(record: record, temper: temper, flopsPerSecond: speed))
      events.add(.ask(index), at: .seconds(Int.random(in: 0..<600, using: &random)))
    }
    for event in [Event.arrive, .tick, .replay, .finalize, .kill] { events.add(event, at: .zero) }
  }

  private func later(_ event: Event, in seconds: Double) {
    events.add(
      event,
      at: .milliseconds(now.milliseconds - Laboratory.start.milliseconds)
        + .seconds(max(0.001, seconds)))
  }

  /// Runs until every batch has ended; gives up after so many days.
  func run(days: Int) async throws -> Bool {
    while let (at, event) = events.next() {
      let parts = at.components
      now = Timestamp(
        milliseconds: Laboratory.start.milliseconds + parts.seconds * 1000
          + parts.attoseconds / 1_000_000_000_000_000)
      if now.seconds(since: Laboratory.start) > Double(days) * 86_400 { return false }
      steps += 1
      try await handle(event)
      if arrivalsLeft == 0, case .finalize = event, try await allEnded() { return true }
    }
    return false
  }

  private func allEnded() async throws -> Bool {
    for id in batches where try await !lab.batch(id).state.hasEnded { return false }
    return true
  }

  private func handle(_ event: Event) async throws {
    switch event {
    case .ask(let index): try await ask(index)
    case .heartbeat(let index, let lease, let beats):
      let answer = try await lab.store.heartbeat(
        lease: lease.id, worker: machines[index].record.id,
        flopsDone: min(
          lease.estimatedFlops, machines[index].flopsPerSecond * Double(900 * beats)), now: now)
      if answer.verdict == .proceed {
        later(.heartbeat(index, lease, beats: beats + 1), in: 900)
      }
    case .finish(let index, let lease, let lies): try await finish(index, lease, lies)
    case .giveBack(let index, let lease):
      try await lab.store.abandon(
        lease: lease.id, worker: machines[index].record.id,
        reason: random.chance(0.5) ? .failed : .shuttingDown, detail: "", now: now)
    case .arrive: try await arrive()
    case .cancel(let id):
      if try await !lab.batch(id).state.hasEnded, try await !lab.batch(id).state.awaitsFiles {
        _ = try await lab.store.cancelBatch(id, key: lab.batch(id).keyID, now: now)
      }
    case .tick:
      _ = try await lab.store.tick(now: now)
      later(.tick, in: 600)
    case .replay:
      if let job = try await lab.store.takeReplay(now: now), random.chance(0.8) {
        _ = try await lab.store.settleReplay(
          job.id, result: try await lab.result(of: job.specification), now: now)
      }
      later(.replay, in: 600)
    case .finalize:
      try await lab.finalizeAll(now: now)
      later(.finalize, in: 3_600)
    case .kill:
      let (store, blobs) = try await reopen()
      lab = lab.moved(to: store, blobs)
      kills += 1
      later(.kill, in: Double.random(in: 0.1...2, using: &random) * 86_400)
    }
  }

  private func arrive() async throws {
    guard arrivalsLeft > 0 else { return }
    arrivalsLeft -= 1
    let owner = random.chance(0.5) ? lab : try await lab.withKey("key-\(arrivalsLeft)")
    let lines = random.chance(0.2) ? 200 : Int.random(in: 1...30, using: &random)
    let batch = try await owner.runningBatch(
      lines: lines, windowSeconds: random.chance(0.1) ? 7_200 : 60 * 86_400,
      maxTokens: Int.random(in: 1...200, using: &random),
      choices: Int.random(in: 1...3, using: &random), now: now)
    batches.append(batch.id)
    if random.chance(0.1) { later(.cancel(batch.id), in: 5_000) }
    later(.arrive, in: Double.random(in: 0...400_000, using: &random))
  }

  private func ask(_ index: Int) async throws {
    let machine = machines[index]
    let response = try await lab.store.lease(
      worker: machine.record.id,
      request: Laboratory.leaseRequest(seconds: 7_200, units: 2), now: now)
    guard !response.leases.isEmpty else {
      later(.ask(index), in: Double(response.retryAfterSeconds) * (1 + Double(random.next() % 4)))
      return
    }
    var busy = 0.0
    for lease in response.leases {
      busy += lease.estimatedFlops / machine.flopsPerSecond
      switch machine.temper {
      case .vanishing where random.chance(0.4):
        if random.chance(0.5) { later(.finish(index, lease, lies: false), in: 3 * 86_400) }
        busy += 20_000
        continue
      case .careless where random.chance(0.2):
        later(.giveBack(index, lease), in: busy / 2)
        continue
      default: break
      }
      let lies = machine.temper == .lying && random.chance(0.4)
      later(.heartbeat(index, lease, beats: 1), in: 900)
      later(.finish(index, lease, lies: lies), in: busy)
    }
    later(.ask(index), in: busy + 1)
  }

  /// What every result claims.
  static let joules = 1.5

  private func finish(_ index: Int, _ lease: Lease, _ lies: Bool) async throws {
    let machine = machines[index]
    if lies { machines[index].lies += 1 }
    let repeats = machine.temper == .careless ? 1 + Int(random.next() % 3) : 1
    for _ in 0..<repeats {
      receipts[lease.id] = try await lab.submit(
        lease, by: machine.record, lyingAs: lies ? lease.id : nil,
        seconds: lease.estimatedFlops / machine.flopsPerSecond,
        energy: EnergyClaim(joules: Self.joules, isEstimated: index.isMultiple(of: 2)), now: now)
    }
    if machine.temper == .careless, random.chance(0.1) {
      later(.finish(index, lease, lies: lies), in: 86_400)
    }
  }
}
