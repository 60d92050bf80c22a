import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Crypto
import Foundation
import HTTPTypes
import HummingbirdTesting
import Testing
import WirePayloads
import WireProtocol
import X509

/// What a worker says that its results took.
@Suite struct EnergyRouteTests {
  @Test func energyIsAClaimThatNothingDependsOn() async throws {
    let coordinator = try await TestCoordinator()
    try await coordinator.addModel()
    try await coordinator.test { client in
      let workers = [TestWorker("one"), TestWorker("two")]
      for worker in workers { try await worker.enrol(coordinator, client, account: worker.name) }
      let claims: [(joules: String?, method: String?)] = [
        (nil, nil), ("much", nil), ("-1", "measured"), ("nan", "estimated"), ("inf", "estimated"),
        ("1e300", "measured"), ("600000.5", "measured"), ("12.25", "measured"), ("3", "estimated"),
        ("1", "guessed"),
      ]
      for (number, claim) in claims.enumerated() {
        _ = try await client.createBatch([BatchRouteTests.line("line-\(number)")])
        try await coordinator.validate()
        var leases: [Lease] = []
        for worker in workers {
          leases.append(try #require(try await worker.lease(client).leases.first))
        }
        coordinator.clock.advance(seconds: 60)
        for (worker, lease) in zip(workers, leases) {
          let inputs = try await WorkerRouteTests.inputs(lease, worker, client)
          let answer = try await worker.upload(lease, try WorkerRouteTests.result(inputs), client) {
            headers, _ in
            headers[.resultEnergy] = claim.joules
            headers[.resultEnergyMethod] = claim.method
          }
          #expect(answer.status == 200, "\(claim)")
        }
      }
      let stats = try await client.send(.get, "/stats", key: nil)
      let totals = try #require(stats.json["totals"] as? [String: Any])
      #expect(totals["accepted"] as? Int == 2 * claims.count)
      #expect(totals["energy_joules"] as? Double == 32.5)
      #expect(totals["energy_estimated_joules"] as? Double == 8)
      let history = try await client.send(.get, "/stats/history", key: nil)
      let days = try #require(history.json["days"] as? [[String: Any]])
      #expect(days.compactMap { $0["energy_joules"] as? Double }.reduce(0, +) == 32.5)
      let metrics = try await client.send(.get, "/metrics", key: nil)
      let lines = String(decoding: metrics.body, as: UTF8.self).split(separator: "\n")
      #expect(lines.contains("tally_energy_joules_total{method=\"measured\"} 24.5"))
      #expect(lines.contains("tally_energy_joules_total{method=\"estimated\"} 8"))
    }
  }
}
