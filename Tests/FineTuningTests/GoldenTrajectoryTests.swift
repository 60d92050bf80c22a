import FineTuning
import Foundation
import Kernels
import ModelFormats
import Models
import Testing

/// Runs of PyTorch and PEFT in float32, followed step by step. `TALLY_FIXTURES` names another
/// folder of the same shape.
struct GoldenRun: Sendable, CustomTestStringConvertible {
  let folder: URL

  var testDescription: String { folder.lastPathComponent }

  static let fixtures: URL = {
    if let path = ProcessInfo.processInfo.environment["TALLY_FIXTURES"], !path.isEmpty {
      return URL(fileURLWithPath: path)
    }
    return own
  }()

  static let own = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Fixtures")

  static let all = runs(in: fixtures)

  static func runs(in fixtures: URL) -> [GoldenRun] {
    let folder = fixtures.appendingPathComponent("lora")
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.sorted().filter { !$0.hasPrefix(".") }.map {
      GoldenRun(folder: folder.appendingPathComponent($0))
    }
  }

  /// What PyTorch did.
  struct Trajectory: Decodable {
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

    var optimiser: OptimiserSettings {
      OptimiserSettings(
        learningRate: optimizer.lr, beta1: optimizer.betas[0], beta2: optimizer.betas[1],
        epsilon: optimizer.eps, weightDecay: optimizer.weight_decay, maximumNorm: max_grad_norm)
    }
  }

  func trajectory() throws -> Trajectory {
    let data = try Data(contentsOf: folder.appendingPathComponent("trajectory.json"))
    return try JSONDecoder().decode(Trajectory.self, from: data)
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
      path: Self.fixtures.appendingPathComponent("models/\(trajectory().base)").path,
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
  @Test func thereAreRuns() { #expect(GoldenRun.runs(in: GoldenRun.own).count >= 2) }

  @Test(arguments: GoldenRun.all) func trajectoriesAreFollowed(_ run: GoldenRun) throws {
    let (model, truth) = (try run.model(), try run.trajectory())
    let batches = try run.batches()
    let trainer = try Trainer(
      FrozenModel(model), run.adapter("initial"), compute: makeCompute())
    let first = try AdapterFolder.tensors(
      run.folder.appendingPathComponent("first_step_clipped_grads.safetensors"),
      like: run.adapter("initial"))
    var (_, gradient) = try trainer.gradient(of: batches[0])
    let clip = truth.optimiser.clip(gradient.norm)
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
    for step in 0..<truth.steps {
      let outcome = try trainer.step(batches[step % batches.count], truth.optimiser)
      #expect(abs(outcome.loss - truth.losses[step]) <= 1e-4, "step \(step)")
      #expect(
        abs(outcome.gradientNorm - truth.grad_norms[step]) <= 1e-3 * truth.grad_norms[step],
        "step \(step)")
    }
    let final = largestDifference(trainer.adapter, try run.adapter("final"))
    print("\(run.testDescription): the final adapter within \(final)")
    #expect(final <= 1e-3)
  }
}
