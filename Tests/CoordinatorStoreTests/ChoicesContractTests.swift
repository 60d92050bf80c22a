import CoordinatorCore
import CoordinatorStore
import Testing
import WireProtocol

@Suite("Store contract: choices of work")
struct ChoicesContractTests {
  private static let start = Laboratory.start

  private func answer(
    _ lab: Laboratory, _ worker: WorkerRecord, _ choices: WorkChoices?, seconds: Int = 0
  ) async throws -> LeaseResponse {
    var request = Laboratory.leaseRequest()
    request.choices = choices
    return try await lab.store.lease(
      worker: worker.id, request: request, now: Self.start.adding(seconds: seconds))
  }

  @Test("a worker gets what its owner chose, and is told what else waits",
    arguments: StoreKind.allCases)
  func choosing(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 10)
      let worker = try await lab.worker("a", account: "ann")
      for choices in [
        WorkChoices(models: ["other*"]), WorkChoices(models: ["-tiny"]),
        WorkChoices(licences: ["*"]), WorkChoices(pools: ["trusted"]),
        WorkChoices(kinds: ["train"]),
      ] {
        let none = try await answer(lab, worker, choices)
        #expect(none.leases.isEmpty && none.reasons == [.notChosen: 10], "\(choices)")
      }
      let some = try await answer(lab, worker, WorkChoices(models: ["t*"], licences: ["unknown"]))
      #expect(
        try #require(some.leases.first).work
          == WorkDescription(models: ["tiny"], licence: nil, pool: "public"))
    }
  }

  @Test("a replica that waits is not given to who did not choose it", arguments: StoreKind.allCases)
  func replicas(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 1)
      let (ann, bob) = (
        try await lab.worker("a", account: "ann"), try await lab.worker("b", account: "bob")
      )
      #expect(try await lab.lease(ann).count == 1)
      #expect(try await answer(lab, bob, WorkChoices(models: ["-tiny"])).leases.isEmpty)
      #expect(try await answer(lab, bob, WorkChoices(models: ["tiny"])).leases.count == 1)
    }
  }

  @Test("the name and the licence of a model outlive its record; a restated licence counts at once",
    arguments: StoreKind.allCases)
  func models(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      var model = lab.model
      model.licence = "apache-2.0"
      try await lab.store.registerModel(model, provenance: nil, blobs: [])
      #expect(try await lab.store.model("tiny")?.licence == "apache-2.0")
      model.id = "alias"
      try await lab.store.registerModel(model, provenance: nil, blobs: [])
      _ = try await lab.runningBatch(lines: 10)
      for id in ["tiny", "alias"] { _ = try await lab.store.removeModel(id) }
      let worker = try await lab.worker("a", account: "ann")
      #expect(
        try await answer(lab, worker, WorkChoices(models: ["-alias"])).reasons == [.notChosen: 10])
      let leased = try await answer(lab, worker, WorkChoices(licences: ["apache-*"]))
      #expect(
        leased.leases.first?.work
          == WorkDescription(models: ["alias", "tiny"], licence: "apache-2.0", pool: "public"))
    }
  }
}
