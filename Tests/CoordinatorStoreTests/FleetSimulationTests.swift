import CoordinatorCore
import CoordinatorStore
import Foundation
import TestSupport
import Testing
import WireProtocol

/// At the end of every simulated life: each request ended exactly once with the true answer, and
/// credit was granted once.
@Suite("Fleet simulation", .serialized)
struct FleetSimulationTests {
  @Test("weeks of a mixed fleet, in memory, loaded again every few days")
  func inMemory() async throws {
    for seed in testSeeds(4) {
      let blobs = MemoryBlobStore()
      let storage = MemoryStorage(blobs: blobs)
      let (identifiers, lots) = (Identifiers.seeded(seed), Lots.seeded(seed))
      let simulation = try await FleetSimulation(seed: seed, machines: 9, batches: 12) {
        let store = FleetStore(
          storage: storage, policy: FleetSimulation.policy(), identifiers: identifiers, lots: lots)
        return (store, blobs)
      }
      try await check(simulation, seed)
      #expect(simulation.kills > 3)
    }
  }

  @Test(
    "weeks of a mixed fleet, the store killed every few days",
    arguments: [StoreKind.file, .transactions])
  func killed(kind: StoreKind) async throws {
    for seed in testSeeds(2, from: 100) {
      let folder = try TemporaryFolder()
      let (identifiers, lots) = (Identifiers.seeded(seed), Lots.seeded(seed))
      let simulation = try await FleetSimulation(seed: seed, machines: 9, batches: 8) {
        // The store before is never closed, as by SIGKILL.
        let blobs = try FolderBlobStore(folder: folder.url.appendingPathComponent("blobs"))
        let path = folder.path("coordinator.sqlite")
        let policy = FleetSimulation.policy()
        if kind == .transactions {
          let store = try SQLiteStore.open(
            path: path, blobs: blobs, policy: policy, identifiers: identifiers, lots: lots)
          return (store, blobs)
        }
        let storage = try SQLiteStorage.open(path: path, blobs: blobs)
        let store = FleetStore(
          storage: storage, policy: policy, identifiers: identifiers, lots: lots)
        return (store, blobs)
      }
      try await check(simulation, seed)
      #expect(simulation.kills > 3)
    }
  }

  private func check(_ simulation: FleetSimulation, _ seed: UInt64) async throws {
    let ended = try await simulation.run(days: 200)
    #expect(ended, "seed \(seed): batches are still open after 200 days")
    let days = Int(simulation.now.seconds(since: Laboratory.start) / 86_400)
    print("seed \(seed): \(days) days of a fleet in \(simulation.steps) events")
    try await checkAnswers(simulation, seed)
    try await checkCredit(simulation, seed)
    try await checkEnergy(simulation, seed)
    try await checkBlame(simulation, seed)
    if let store = simulation.lab.store as? FleetStore {
      #expect(try await store.service.read { $0.inconsistencies() } == [], "seed \(seed)")
    }
  }

  private func checkAnswers(_ simulation: FleetSimulation, _ seed: UInt64) async throws {
    let lab = simulation.lab
    for id in simulation.batches {
      let batch = try await lab.batch(id)
      let outcomes = try await lab.store.outcomes(of: id, afterLine: 0, limit: 10_000)
      #expect(outcomes.map(\.line) == Array(1...batch.total), "seed \(seed)")
      #expect(Set(outcomes.map(\.id)).count == batch.total, "seed \(seed)")
      var completed = 0
      for outcome in outcomes {
        switch outcome.ending {
        case .completed(let done):
          completed += 1
          let inputs = try await lab.blobs.read(done.inputs)
          let truth = try Laboratory.compute(.init(decoding: inputs)).encoded()
          #expect(try await lab.blobs.read(done.result) == truth, "seed \(seed): a wrong answer")
          #expect(done.replicas >= 1 && (done.verification == .replay || done.replicas == 2))
        case .expired: #expect(batch.state == .expired, "seed \(seed)")
        case .cancelled: #expect(batch.state == .cancelled, "seed \(seed)")
        case .failed(let failure): Issue.record("seed \(seed): \(failure.message)")
        }
      }
      #expect(batch.completed == completed, "seed \(seed)")
      #expect(batch.completed + batch.failed == batch.total, "seed \(seed)")
    }
  }

  private func checkCredit(_ simulation: FleetSimulation, _ seed: UInt64) async throws {
    let store = simulation.lab.store
    let receipts = try await store.receipts(after: 0, limit: 1_000_000)
    guard case .intact(receipts.count, _) = try await store.verifyReceiptChain() else {
      Issue.record("seed \(seed): the receipt chain is broken")
      return
    }
    let granted = receipts.filter { $0.body.verdict == .accepted }
    let pairs = granted.map { "\($0.body.unit) \($0.body.account ?? "")" }
    #expect(Set(pairs).count == pairs.count, "seed \(seed): an account was paid twice for a unit")
    var byAccount: [String: Int64] = [:]
    for receipt in granted {
      byAccount[receipt.body.account ?? "", default: 0] += receipt.body.microcredit
    }
    let statistics = try await store.statistics(now: simulation.now)
    for account in statistics.accounts {
      let credit = Credit(micro: byAccount[account.id, default: 0])
      #expect(abs(account.contribution.credit - credit.value) < 1e-9, "seed \(seed)")
    }
    #expect(statistics.totals.accepted == granted.count, "seed \(seed)")
    let told = simulation.receipts.values.filter { $0.state == .accepted }
    #expect(told.allSatisfy { $0.credit > 0 }, "seed \(seed)")
  }

  /// Each accepted result counts once, in every total alike.
  private func checkEnergy(_ simulation: FleetSimulation, _ seed: UInt64) async throws {
    let store = simulation.lab.store
    let statistics = try await store.statistics(now: simulation.now)
    let totals = statistics.totals
    #expect(
      totals.energyJoules == Double(totals.accepted) * FleetSimulation.joules, "seed \(seed)")
    #expect(totals.estimatedEnergyJoules <= totals.energyJoules, "seed \(seed)")
    for (index, machine) in simulation.machines.enumerated() {
      guard let own = statistics.workers.first(where: { $0.id == machine.record.id })?.contribution
      else { continue }
      let joules = Double(own.accepted) * FleetSimulation.joules
      #expect(own.energyJoules == joules, "seed \(seed)")
      let estimated = index.isMultiple(of: 2) ? joules : 0
      #expect(own.estimatedEnergyJoules == estimated, "seed \(seed)")
    }
    let first = Day(containing: Laboratory.start)
    let days = try await store.history(of: .everyone, from: first, through: first.adding(days: 999))
    #expect(days.reduce(0) { $0 + $1.energyJoules } == totals.energyJoules, "seed \(seed)")
    let fleet = try await store.fleetNow(
      for: .everyone, listedWorkers: 0, now: simulation.now)
    #expect(fleet.energyJoules == totals.energyJoules, "seed \(seed)")
    #expect(fleet.estimatedEnergyJoules == totals.estimatedEnergyJoules, "seed \(seed)")
    let gauges = try await store.gauges(now: simulation.now)
    #expect(gauges.energy.joules == totals.energyJoules, "seed \(seed)")
  }

  private func checkBlame(_ simulation: FleetSimulation, _ seed: UInt64) async throws {
    let statistics = try await simulation.lab.store.statistics(now: simulation.now)
    for machine in simulation.machines {
      guard let entry = statistics.workers.first(where: { $0.id == machine.record.id }) else {
        Issue.record("seed \(seed): a worker is missing")
        continue
      }
      if machine.lies == 0 {
        #expect(entry.contribution.rejected == 0, "seed \(seed): an honest machine is accused")
      } else {
        #expect(entry.contribution.rejected <= machine.lies, "seed \(seed)")
      }
    }
  }
}
