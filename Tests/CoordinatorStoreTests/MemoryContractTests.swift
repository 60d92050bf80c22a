import CoordinatorCore
import CoordinatorStore
import Testing
import WireProtocol

@Suite("Store contract: memory of workers")
struct MemoryContractTests {
  @Test("a small machine gets the requests that fit it", arguments: StoreKind.allCases)
  func smallMachine(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let batch = try await lab.store.createBatch(
        lab.newBatch(), isRetry: false, now: Laboratory.start)
      try await lab.store.appendRequests(
        [lab.request(1, prompt: 700), lab.request(2), lab.request(3, prompt: 650, choices: 2)],
        to: batch.id)
      _ = try await lab.store.finishValidation(batch.id, model: nil, now: Laboratory.start)
      let small = try await lab.worker("small", account: "ann")
      let large = try await lab.worker("large", account: "bob")
      let memory = UnitMemory.leastBytes(Laboratory.cost, .f16) + (100 << 10)
      let lease = try #require(
        try await lab.store.lease(
          worker: small.id, request: Laboratory.leaseRequest(memory: memory),
          now: Laboratory.start
        ).leases.first)
      #expect(try await lab.inputs(lease.specification).sequences.map(\.promptTokens.count) == [10])
      let refused = try await lab.store.lease(
        worker: small.id, request: Laboratory.leaseRequest(memory: memory), now: Laboratory.start)
      #expect(refused.leases.isEmpty)
      #expect(refused.reasons == [.needsMoreMemory: 2, .sameAccount: 1])
      // The large one gets everything, the small one's unit for a replica.
      var lengths: [Int] = []
      while let lease = try await lab.lease(large).first {
        lengths += try await lab.inputs(lease.specification).sequences.map(\.promptTokens.count)
      }
      #expect(lengths.sorted() == [10, 650, 650, 700])
    }
  }
}
