import CoordinatorCore
import CoordinatorStore
import Foundation
import Testing
import WireProtocol

@Suite("Store contract: batches")
struct BatchContractTests {
  @Test("two accounts run every unit; equal digests complete the batch and pay both", arguments: StoreKind.allCases)
  func quorum(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab in
      let batch = try await lab.runningBatch(lines: 24)
      #expect(batch.state == .inProgress)
      #expect(batch.total == 24)
      let a = try await lab.worker("a", account: "ann")
      let b = try await lab.worker("b", account: "bob")
      try await lab.drain([a, b])
      let ended = try await lab.batch(batch.id)
      #expect(ended.state == .finalizing(.completed))
      #expect(ended.completed == 24 && ended.failed == 0)
      #expect(ended.inputTokens == 240)

      let outcomes = try await lab.store.outcomes(of: batch.id, afterLine: 0, limit: 100)
      #expect(outcomes.map(\.line) == Array(1...24))
      for outcome in outcomes {
        guard case .completed(let done) = outcome.ending else {
          Issue.record("line \(outcome.line) is \(outcome.ending)")
          continue
        }
        #expect(done.verification == .quorum && done.replicas == 2)
        #expect(outcome.rendering == Data("rendering \(outcome.line)".utf8))
        let inputs = try await lab.blobs.read(done.inputs)
        #expect(Laboratory.digest("") != done.inputs && !inputs.isEmpty)
      }
      let statistics = try await lab.store.statistics(now: Laboratory.start.adding(seconds: 60))
      #expect(statistics.accounts.count == 2)
      #expect(statistics.accounts[0].contribution.credit > 0)
      #expect(
        statistics.accounts[0].contribution.credit == statistics.accounts[1].contribution.credit)
      #expect(statistics.requestsCompleted == 24)
    }
  }
}
