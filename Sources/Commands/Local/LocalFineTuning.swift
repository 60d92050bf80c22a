import FineTuning
import Foundation
import Kernels
import Models
import Tokenizers
import TrainingData

/// A fine-tuning run on this machine alone.
struct LocalFineTuning {
  /// What is learnt, and how.
  struct Plan {
    var epochs: Int
    var batchSize: Int
    var seed: Int64
    var optimiser: OptimiserSettings
  }

  /// One step, for whoever watches.
  struct Step {
    let number: Int
    let of: Int
    let epoch: Int
    let loss: Double
    let gradientNorm: Double
    let tokensPerSecond: Double
  }

  let dataset: TrainingDataset
  let heldOut: [TrainingBatch.Sequence]
  let plan: Plan
  let trainer: Trainer

  /// Steps of the whole run.
  var stepCount: Int { plan.epochs * stepsPerEpoch }

  private var stepsPerEpoch: Int {
    (dataset.sequences.count + plan.batchSize - 1) / plan.batchSize
  }

  /// The mean loss of the examples that are held out; nil where there are none.
  func heldOutLoss() throws -> Double? {
    guard !heldOut.isEmpty else { return nil }
    var (sum, labels) = (0.0, 0)
    for sequence in heldOut {
      let loss = try trainer.loss(of: TrainingBatch(sequences: [sequence]))
      (sum, labels) = (sum + loss.sum, labels + loss.labels)
    }
    return sum / Double(labels)
  }

  /// Seconds that a step of the first batch takes, without taking it.
  func trialSeconds() throws -> Double {
    let batch = dataset.batches(epoch: 0, size: plan.batchSize, seed: plan.seed)[0]
    // The first pass also makes room.
    _ = try trainer.gradient(of: batch)
    let clock = ContinuousClock()
    let seconds = try clock.measure { _ = try trainer.gradient(of: batch) }.inSeconds
    let mean = Double(dataset.tokenCount) / Double(dataset.sequences.count) * Double(plan.batchSize)
    return seconds * mean / Double(max(1, batch.tokenCount))
  }

  /// Takes all steps.
  ///
  /// - Parameters:
  ///   - stepped: called after each.
  ///   - epochEnded: called after each epoch, from 1; false ends the run.
  /// - Throws: `TrainingError`, and what the calls throw.
  func run(stepped: (Step) throws -> Void, epochEnded: (Int) throws -> Bool) throws {
    let clock = ContinuousClock()
    let start = clock.now
    var (number, tokens) = (0, 0)
    for epoch in 0..<plan.epochs {
      for batch in dataset.batches(epoch: epoch, size: plan.batchSize, seed: plan.seed) {
        let outcome = try trainer.step(batch, plan.optimiser)
        number += 1
        tokens += batch.tokenCount
        try stepped(
          Step(
            number: number, of: stepCount, epoch: epoch + 1, loss: outcome.loss,
            gradientNorm: outcome.gradientNorm,
            tokensPerSecond: Double(tokens) / max(1e-9, (clock.now - start).inSeconds)))
      }
      guard try epochEnded(epoch + 1) else { return }
    }
  }
}
