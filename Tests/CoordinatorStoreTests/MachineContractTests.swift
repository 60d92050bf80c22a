import CoordinatorCore
import CoordinatorStore
import Testing
import WireProtocol

@Suite("Store contract: what workers say of their machines")
struct MachineContractTests {
  private static let start = Laboratory.start
  private static let facts = MachineFacts(
    processorVendor: "AuthenticAMD", processorModel: "EPYC", processors: 64, memoryBytes: 1 << 38,
    systemName: "Linux", systemVersion: "Debian", programVersion: "0.1.0", kernels: "avx512-vnni")

  private func tell(
    _ lab: Laboratory, _ worker: WorkerRecord, _ facts: MachineFacts?
  ) async throws {
    var request = Laboratory.leaseRequest()
    request.machine = facts
    _ = try await lab.store.lease(worker: worker.id, request: request, now: Self.start)
  }

  @Test("the last word counts, and who says nothing any more is forgotten",
    arguments: StoreKind.allCases)
  func lastWord(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let ann = try await lab.worker("a", account: "ann")
      func seen() async throws -> MachineFacts? {
        let fleet = try await lab.store.fleet(now: Self.start).workers.first?.machine
        let statistics = try await lab.store.statistics(now: Self.start).workers.first?.machine
        #expect(fleet == statistics)
        return fleet
      }
      #expect(try await seen() == nil)
      try await tell(lab, ann, Self.facts)
      #expect(try await seen() == Self.facts)
      var upgraded = Self.facts
      upgraded.programVersion = "0.2.0\u{1b}"
      try await tell(lab, ann, upgraded)
      #expect(try await seen()?.programVersion == "0.2.0")
      try await tell(lab, ann, nil)
      #expect(try await seen() == nil)
    }
  }

  @Test("statistics files tell of a machine only where its account is public",
    arguments: StoreKind.allCases)
  func consent(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let ann = try await lab.worker("a", account: "ann")
      let bob = try await lab.worker("b", account: "bob")
      _ = try await lab.runningBatch(lines: 3)
      try await lab.drain([ann, bob], now: Self.start)
      for worker in [ann, bob] { try await tell(lab, worker, Self.facts) }
      _ = try await lab.store.changeAccount(
        named: "ann", AccountChange(isNamed: true), now: Self.start)
      let workers = try await lab.store.export(now: Self.start).workers
      #expect(workers.count == 2)
      #expect(workers.first { $0.id == ann.id }?.machine == Self.facts)
      #expect(workers.first { $0.id == bob.id }?.machine == nil)
    }
  }
}
