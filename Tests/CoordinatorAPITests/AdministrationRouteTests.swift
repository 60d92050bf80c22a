import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Foundation
import HTTPTypes
import Testing
import WireProtocol

/// What a client or worker meets of what the operator set.
@Suite struct AdministrationRouteTests {
  private func limited(_ quota: Quota) async throws -> TestCoordinator {
    let coordinator = try await TestCoordinator()
    for key in try await coordinator.store.keys() where key.name == "test" {
      try await coordinator.store.setQuota(quota, ofKey: key.id)
    }
    return coordinator
  }

  private func error(_ answer: Answer) -> [String: Any] {
    answer.json["error"] as? [String: Any] ?? [:]
  }

  @Test func aBatchBeyondTheDayIsRefusedInOpenAIsWords() async throws {
    let coordinator = try await limited(Quota(requestsPerDay: 3))
    try await coordinator.test { client in
      // Empty lines are no requests.
      let lines = [BatchRouteTests.line("a"), "", " \t", BatchRouteTests.line("b")]
      #expect(try await client.createBatch(lines).status == 200)
      let passing = try await client.createBatch(lines)
      #expect(passing.status == 429)
      #expect(error(passing)["code"] as? String == "rate_limit_exceeded")
      #expect(passing.headers[.shouldRetry] == "false")
      let hopeless = try await client.createBatch((0..<4).map { BatchRouteTests.line("\($0)") })
      #expect(hopeless.status == 429)
      #expect(error(hopeless)["code"] as? String == "insufficient_quota")
      #expect(error(hopeless)["type"] as? String == "insufficient_quota")
      #expect((error(hopeless)["message"] as? String)?.contains("Split the batch") == true)
    }
  }

  @Test func anUploadBeyondTheStorageIsRefused() async throws {
    let coordinator = try await limited(Quota(storedBytes: 100))
    try await coordinator.test { client in
      #expect(try await client.upload(Data(repeating: 0x61, count: 100)).status == 200)
      let full = try await client.upload(Data(repeating: 0x61, count: 1))
      #expect(full.status == 429)
      #expect(full.errorCode == "insufficient_quota")
      #expect(full.headers[.shouldRetry] == "false")
      // Another key has its own room.
      let other = try await client.upload(
        Data(repeating: 0x61, count: 1), key: TestCoordinator.otherKey)
      #expect(other.status == 200)
    }
  }

  @Test func anOldWorkerNeitherJoinsNorLeases() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let worker = TestWorker("old")
      try await worker.enrol(coordinator, client, account: "ann")
      try await coordinator.store.setMinimumWorkerVersion(ProgramVersion("999.1.0"))
      let lease = try await worker.post(
        WorkerRoute.lease,
        LeaseRequest(
          threads: 2, memoryLimitBytes: 1 << 32, cacheFreeBytes: 1 << 32, cachedModels: [],
          measuredFlopsPerSecond: nil, secondsWanted: 60, maximumUnits: 4), client)
      #expect(lease.status == 426)
      #expect(lease.errorCode == WorkerErrorCode.upgradeRequired)
      #expect((error(lease)["message"] as? String)?.contains("999.1.0") == true)
      let joining = try await TestWorker("new").post(
        WorkerRoute.enroll,
        EnrolmentRequest(
          secret: "s", signingRequest: try TestWorker("new").signingRequest(), workerName: "n"),
        client)
      #expect(joining.status == 426)
    }
  }

  @Test func aBannedWorkerIsToldWhy() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.test { client in
      let worker = TestWorker("w")
      try await worker.enrol(coordinator, client, account: "ann")
      let record = try #require(
        try await coordinator.store.fleet(now: coordinator.clock.now).workers.first)
      try await coordinator.store.ban(
        .worker(record.id), reason: "faulty memory", now: coordinator.clock.now)
      let answer = try await worker.lease(client)
      #expect(answer.reasons == [.banned: 1])
      #expect(answer.message?.contains("faulty memory") == true)
    }
  }

  @Test func aFullDiskTakesNothingAndGivesNoUnits() async throws {
    let coordinator = try await TestCoordinator(freeDiskBytes: 1000)
    try await coordinator.test { client in
      for answer in [
        try await client.upload(Data("x".utf8)),
        try await client.send(.post, "/v1/batches", json: "{}"),
      ] {
        #expect(answer.status == 507)
        #expect(answer.errorCode == "disk_full")
        #expect(answer.headers[.shouldRetry] == "false")
      }
      let worker = TestWorker("w")
      try await worker.enrol(coordinator, client, account: "ann")
      let lease = try await worker.lease(client)
      #expect(lease.reasons == [.paused: 1])
      #expect(lease.message?.contains("almost full") == true)
      let ready = try await client.send(.get, "/readyz", key: nil)
      #expect(ready.status == 503)
      #expect(String(decoding: ready.body, as: UTF8.self).contains("almost full"))
    }
  }
}
