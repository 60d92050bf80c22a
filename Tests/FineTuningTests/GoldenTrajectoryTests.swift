import FineTuning
import Foundation
import Kernels
import ModelFormats
import Models
import Testing

/// Runs of PyTorch and PEFT in float32, followed step by step. `TALLY_FIXTURES` names another folder
/// of the same shape.
struct GoldenRun: Sendable, CustomTestStringConvertible {
  let folder: URL
  let base: String
  let steps: Int
  let optimiser: OptimiserSettings
  let losses: [Double]
  let norms: [Double]

  var testDescription: String { folder.lastPathComponent }

  static let fixtures: URL = {
    if let path = ProcessInfo.processInfo.environment["TALLY_FIXTURES"], !path.isEmpty {
      return URL(fileURLWithPath: path)
    }
    return own
  }()

  static let own = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Fixtures")

  static let all: [GoldenRun] = {
    let folder = fixtures.appendingPathComponent("lora")
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.sorted().filter { !$0.hasPrefix(".") }.compactMap {
      try? GoldenRun(folder.appendingPathComponent($0))
    }
  }()

  private struct Trajectory: Decodable {
    struct Optimizer: Decodable {
      var betas: [Double]
      var eps: Double
      var lr: Double
      var weight_decay: Double
    }
    var base: String
    var steps: Int
    var optimizer: Optimizer
    var max_grad_norm: Double?
    var losses: [Double]
    var grad_norms: [Double]
  }

  init(_ folder: URL) throws {
    self.folder = folder
    let data = try Data(contentsOf: folder.appendingPathComponent("trajectory.json"))
    let run = try JSONDecoder().decode(Trajectory.self, from: data)
    (base, steps, losses, norms) = (run.base, run.steps, run.losses, run.grad_norms)
    optimiser = OptimiserSettings(
      learningRate: run.optimizer.lr, beta1: run.optimizer.betas[0], beta2: run.optimizer.betas[1],
      epsilon: run.optimizer.eps, weightDecay: run.optimizer.weight_decay,
      maximumNorm: run.max_grad_norm)
  }

  /// The batches in order; step s uses batch s mod their number.
  func batches() throws -> [TrainingBatch] {
    let file = try SafetensorsFile(contentsOf: folder.appendingPathComponent("batches.safetensors"))
    let shape = try file.record("input_ids").shape
    let ids = try file.elements("input_ids", as: Int32.self)
    let labels = try file.elements("labels", as: Int32.self)
    return (0..<shape[0]).map { batch in
      TrainingBatch(
        sequences: (0..<shape[1]).map { row in
          let start = (batch * shape[1] + row) * shape[2]
          let range = start..<start + shape[2]
          return .init(tokens: Array(ids[range]), labels: Array(labels[range]))
        })
    }
  }

  func adapter(_ name: String) throws -> Adapter {
    try AdapterFolder(folder.appendingPathComponent(name)).adapter
  }

  func model() throws -> Model {
    try Model(
      path: Self.fixtures.appendingPathComponent("models/\(base)").path,
      options: .init(weights: .float32))
  }
}

func makeCompute(threads: Int = 2) throws -> Compute {
  try Compute(
    kernels: KernelSet.best(environment: ProcessInfo.processInfo.environment), threads: threads)
}

/// The largest difference of two adapters' values, each relative to `scale` of its tensor.
func largestDifference(
  _ left: Adapter, _ right: Adapter, relativeTo scale: ([Float]) -> Float = { _ in 1 }
) -> Float {
  guard left.sites == right.sites else { return .infinity }
  var largest: Float = 0
  for site in left.sites {
    guard let one = left.pairs[site], let other = right.pairs[site] else { return .infinity }
    for (values, expected) in [(one.a, other.a), (one.b, other.b)] {
      guard values.count == expected.count else { return .infinity }
      let unit = scale(expected)
      for (value, truth) in zip(values, expected) {
        let difference = abs(value - truth)
        guard !difference.isNaN else { return .infinity }
        if difference > 0 { largest = max(largest, difference / unit) }
      }
    }
  }
  return largest
}

@Suite struct GoldenTrajectoryTests {
  @Test func thereAreRuns() { #expect(!GoldenRun.all.isEmpty) }

  @Test(arguments: GoldenRun.all) func trajectoriesAreFollowed(_ run: GoldenRun) throws {
    let model = try run.model()
    let batches = try run.batches()
    let trainer = try Trainer(
      FrozenModel(model), run.adapter("initial"), compute: makeCompute())
    let first = try AdapterFolder.tensors(
      run.folder.appendingPathComponent("first_step_clipped_grads.safetensors"),
      like: run.adapter("initial"))
    var (_, gradient) = try trainer.gradient(of: batches[0])
    let clip = run.optimiser.clip(gradient.norm)
    for site in gradient.sites {
      guard var pair = gradient.pairs[site] else { continue }
      pair.a = pair.a.map { $0 * clip }
      pair.b = pair.b.map { $0 * clip }
      gradient.pairs[site] = pair
    }
    let off = largestDifference(gradient, first) { values in
      values.reduce(0) { max($0, $1.magnitude) }
    }
    print("\(run.testDescription): first gradients within \(off) of the largest")
    #expect(off <= 1e-4)
    for step in 0..<run.steps {
      let outcome = try trainer.step(batches[step % batches.count], run.optimiser)
      #expect(abs(outcome.loss - run.losses[step]) <= 1e-4, "step \(step)")
      #expect(abs(outcome.gradientNorm - run.norms[step]) <= 1e-3 * run.norms[step], "step \(step)")
    }
    let final = largestDifference(trainer.adapter, try run.adapter("final"))
    print("\(run.testDescription): the final adapter within \(final)")
    #expect(final <= 1e-3)
  }
}
