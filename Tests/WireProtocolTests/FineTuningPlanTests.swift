import Foundation
import TestSupport
import Testing
import WirePayloads
import WireProtocol

@Suite("Fine-tuning plans and what travels")
struct FineTuningPlanTests {
  static func plan(
    examples: Int, batchSize: Int, epochs: Int, shards: Int, localSteps: Int, heldOut: Int = 0
  ) -> FineTuningPlan {
    let digest = BlobDigest.sha256(Data())
    return FineTuningPlan(
      model: digest, training: digest, validation: heldOut > 0 ? digest : nil,
      trainingExamples: examples, validationExamples: heldOut, seed: 1, rank: 2, alpha: 4,
      isRankStabilised: false, targets: ["q_proj"], epochs: epochs, batchSize: batchSize,
      localSteps: localSteps, shards: shards, learningRate: 1e-3, outerLearningRate: 0.7,
      outerMomentum: 0.9, patience: nil)
  }

  @Test("every batch is learnt exactly once, in order, by shards of the same size give or take one")
  func batches() {
    var random = SeededRandom(seed: 5)
    for _ in 0..<300 {
      let plan = Self.plan(
        examples: Int.random(in: 1...200, using: &random),
        batchSize: Int.random(in: 1...9, using: &random),
        epochs: Int.random(in: 1...4, using: &random),
        shards: Int.random(in: 1...7, using: &random),
        localSteps: Int.random(in: 1...20, using: &random),
        heldOut: Int.random(in: 0...20, using: &random))
      #expect(plan.problem == nil)
      var seen: [Int] = []
      for round in 0..<plan.rounds {
        let sizes = (0..<plan.shards).map { plan.batches(round: round, shard: $0).count }
        #expect(
          (sizes.max() ?? 0) - (sizes.min() ?? 0) <= 1 && (sizes.max() ?? 0) <= plan.localSteps)
        seen += (0..<plan.shards).flatMap { plan.batches(round: round, shard: $0) }
      }
      #expect(seen == Array(0..<plan.batches), "\(plan)")
      let held = (0..<plan.validationUnits).flatMap { plan.validation(unit: $0) }
      #expect(held == Array(0..<plan.validationExamples))
    }
  }

  @Test("plans that make no sense say why, whatever their numbers")
  func problems() {
    let good = Self.plan(examples: 8, batchSize: 2, epochs: 1, shards: 2, localSteps: 2)
    var plans = [FineTuningPlan](repeating: good, count: 8)
    plans[0].shards = 0
    plans[1].localSteps = Int.max
    plans[2].validationExamples = 3
    plans[3].learningRate = .nan
    plans[4].outerMomentum = 1
    plans[5].targets = []
    plans[6].batchSize = -1
    plans[7].trainingExamples = 0
    for plan in plans { #expect(plan.problem != nil, "\(plan)") }
  }

  @Test("an adapter of bfloat16 values takes half the bytes and comes back the same")
  func roundedAdapters() throws {
    var random = SeededRandom(seed: 9)
    func values(_ count: Int) -> [Float] {
      (0..<count).map { _ in Float.random(in: -1...1, using: &random) }
    }
    let adapter = AdapterPayload(
      alpha: 8, isRankStabilised: true,
      pairs: [
        .init(layer: 3, kind: "q_proj"): .init(
          rank: 4, inputs: 500, outputs: 300, a: values(2000), b: values(1200))
      ])
    let (whole, half) = (try adapter.encoded(), try adapter.rounded.encoded())
    #expect(half.count < whole.count / 2 + 500)
    #expect(try AdapterPayload(decoding: whole) == adapter)
    #expect(try AdapterPayload(decoding: half) == adapter.rounded)
    #expect(adapter.rounded.rounded == adapter.rounded && adapter.rounded != adapter)
  }
}
