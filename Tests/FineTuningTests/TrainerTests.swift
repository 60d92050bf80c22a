import Execution
import FineTuning
import Foundation
import Kernels
import ModelFormats
import Models
import TestSupport
import Testing

/// What training promises whatever the machine: the same bits, true gradients, a model that learns.
@Suite struct TrainerTests {
  /// After a blank: a change of the model, as its larger siblings have it.
  static let families = [
    "llama2", "llama3.1", "mistral", "qwen2.5", "qwen3", "gemma2", "gemma3", "gemma4",
    "gemma4 shared",
    "gemma4 values", "smollm2",
  ]

  static func path(_ name: String) -> String {
    GoldenRun.own.appendingPathComponent("models/\(name)").path
  }

  static func model(_ name: String, float: Bool = false) throws -> Model {
    let words = name.split(separator: " ").map(String.init)
    let files = try ModelFiles(path: path(words[0]))
    var description = files.description
    func change(_ layer: Int, _ body: (inout ModelDescription.Attention) -> Void) {
      guard case .attention(var attention) = description.layers[layer].mixer else { return }
      body(&attention)
      description.layers[layer].mixer = .attention(attention)
    }
    switch words.dropFirst().first {
    case "shared":
      // Two readers of one layer, and a reader that is not its neighbour.
      for layer in [2, 3, 4] {
        change(layer) { attention in
          (attention.sharedLayer, attention.key, attention.value) = (layer == 4 ? 0 : 1, nil, nil)
          (attention.keyNorm, attention.valueNorm) = (nil, nil)
        }
      }
    case "values": for layer in [1, 5] { change(layer) { $0.value = nil } }
    default: break
    }
    return try Model(
      description, from: files.source, options: .init(weights: float ? .float32 : .asStored))
  }

  /// Sequences of several lengths, one longer than a block of keys, some tokens not to be learnt.
  static func batch(_ random: inout SeededRandom, lengths: [Int] = [9, 70, 2, 33]) -> TrainingBatch
  {
    TrainingBatch(
      sequences: lengths.map { length in
        let tokens = (0..<length).map { _ in Int32.random(in: 3..<200, using: &random) }
        let labels = tokens.enumerated().map { index, token in
          index % 5 == 3 ? TrainingBatch.ignored : token
        }
        return .init(tokens: tokens, labels: labels)
      })
  }

  /// An adapter that is not nothing: B has values, too.
  static func adapter(_ model: FrozenModel, _ random: inout SeededRandom, rank: Int = 3) -> Adapter
  {
    var adapter = Adapter.initial(for: model.dense.description, rank: rank, alpha: 6, seed: 3)
    for site in adapter.sites {
      let count = adapter.pairs[site]?.b.count ?? 0
      adapter.pairs[site]?.b = (0..<count).map { _ in Float.random(in: -0.2...0.2, using: &random) }
    }
    return adapter
  }

  static func compute(_ variant: KernelVariant? = nil, threads: Int = 1) throws -> Compute {
    try Compute(
      kernels: variant.map { try KernelSet($0) } ?? .best(environment: [:]), threads: threads)
  }

  /// Three steps; the adapter, and what they said.
  static func run(
    _ model: FrozenModel, _ adapter: Adapter, _ batch: TrainingBatch, _ compute: Compute,
    _ limits: Trainer.Limits = .init()
  ) throws -> (Adapter, [Trainer.Outcome]) {
    let trainer = try Trainer(model, adapter, compute: compute, limits: limits)
    let settings = OptimiserSettings(learningRate: 0.01, weightDecay: 0.01)
    let outcomes = try (0..<3).map { _ in try trainer.step(batch, settings) }
    return (trainer.adapter, outcomes)
  }

  @Test(arguments: ["llama2", "gemma2", "qwen3", "gemma4 shared", "gemma4 values"])
  func threadsVariantsAndLayoutsDoNotShow(_ name: String) throws {
    var random = SeededRandom(seed: 11)
    let model = try FrozenModel(Self.model(name))
    let (adapter, batch) = (Self.adapter(model, &random), Self.batch(&random))
    let truth = try Self.run(model, adapter, batch, Self.compute(.scalarSoftware))
    #expect(truth.0 != adapter)
    for variant in KernelSet.available where variant != .scalarSoftware {
      let (result, outcomes) = try Self.run(
        model, adapter, batch, Self.compute(variant, threads: 3))
      #expect(result == truth.0 && outcomes == truth.1, "\(variant)")
    }
    for (rows, bytes) in [(1, 0), (40, 0), (80, 1 << 30), (1 << 20, 20_000), (1 << 20, 1 << 30)] {
      let (result, outcomes) = try Self.run(
        model, adapter, batch, Self.compute(threads: 2),
        Trainer.Limits(rows: rows, activationBytes: bytes))
      #expect(result == truth.0 && outcomes == truth.1, "\(rows) rows, \(bytes) bytes")
    }
  }

  /// Quantised weights, whose transposes are rounded, likewise.
  @Test func quantisedWeightsGiveTheSameBitsToo() throws {
    var random = SeededRandom(seed: 12)
    let files = try ModelFiles(path: Self.path("llama2")).rounded(to: .q8_0)
    let model = try FrozenModel(Model(files.description, from: files.source))
    let (adapter, batch) = (Self.adapter(model, &random), Self.batch(&random))
    let truth = try Self.run(model, adapter, batch, Self.compute(.scalarSoftware))
    for variant in KernelSet.available where variant != .scalarSoftware {
      let (result, outcomes) = try Self.run(
        model, adapter, batch, Self.compute(variant, threads: 2))
      #expect(result == truth.0 && outcomes == truth.1, "\(variant)")
    }
    // Near the gradients of the exact transposes.
    let exact = try FrozenModel(
      Model(files.description, from: files.source, options: .init(weights: .float32)))
    let gradient = try Trainer(model, adapter, compute: Self.compute()).gradient(of: batch).gradient
    let reference = try Trainer(exact, adapter, compute: Self.compute()).gradient(of: batch)
      .gradient
    var difference = reference
    for site in reference.sites {
      guard let one = gradient.pairs[site], let other = reference.pairs[site] else { continue }
      difference.pairs[site]?.a = zip(one.a, other.a).map { $0 - $1 }
      difference.pairs[site]?.b = zip(one.b, other.b).map { $0 - $1 }
    }
    #expect(difference.norm < 0.05 * reference.norm)
  }

  /// The derivative along random directions, from losses at both sides, at two distances.
  @Test(arguments: families) func gradientsAreDerivatives(_ name: String) throws {
    var random = SeededRandom(seed: 31)
    let model = try FrozenModel(Self.model(name, float: true))
    let (adapter, batch) = (Self.adapter(model, &random), Self.batch(&random))
    let compute = try Self.compute(threads: 2)
    let gradient = try Trainer(model, adapter, compute: compute).gradient(of: batch).gradient
    func loss(_ adapter: Adapter) throws -> Double {
      let loss = try Trainer(model, adapter, compute: compute).loss(of: batch)
      return loss.sum / Double(loss.labels)
    }
    for kind in LinearKind.allCases {
      var (direction, along) = (adapter, 0.0)
      for site in adapter.sites {
        guard let pair = adapter.pairs[site], let own = gradient.pairs[site] else { continue }
        func draw(_ values: [Float], _ gradient: [Float]) -> [Float] {
          let drawn = values.map { _ in
            site.kind == kind ? Float.random(in: -1...1, using: &random) : 0
          }
          for (value, slope) in zip(drawn, gradient) { along += Double(value) * Double(slope) }
          return drawn
        }
        direction.pairs[site]?.a = draw(pair.a, own.a)
        direction.pairs[site]?.b = draw(pair.b, own.b)
      }
      func moved(_ step: Float) -> Adapter {
        var result = adapter
        for site in adapter.sites {
          guard let pair = adapter.pairs[site], let way = direction.pairs[site] else { continue }
          result.pairs[site]?.a = zip(pair.a, way.a).map { $0 + step * $1 }
          result.pairs[site]?.b = zip(pair.b, way.b).map { $0 + step * $1 }
        }
        return result
      }
      func slope(_ step: Float) throws -> Double {
        (try loss(moved(step)) - loss(moved(-step))) / Double(2 * step)
      }
      // Richardson's extrapolation: what bends within a step cancels.
      let step: Float = 2.5e-4
      let expected = (4 * (try slope(step)) - (try slope(2 * step))) / 3
      #expect(
        abs(along - expected) <= 0.01 * abs(expected) + 2e-3, "\(kind): \(along), not \(expected)")
    }
  }

  /// The loss is the one that inference gives: the same logits, bit for bit.
  @Test(arguments: families) func lossesAreThoseOfTheExecutor(_ name: String) throws {
    var random = SeededRandom(seed: 41)
    let model = try Self.model(name)
    let dense = try FrozenModel(model)
    let (adapter, batch) = (Self.adapter(dense, &random), Self.batch(&random))
    let compute = try Self.compute(threads: 2)
    let loss = try Trainer(dense, adapter, compute: compute).loss(of: batch)
    let executor = Executor(try model.adapted(by: adapter), compute: compute)
    var sum = 0.0
    for sequence in batch.sequences {
      let output = try executor.forward([
        SequenceChunk(
          executor.model.makeSequence(cache: .f32), tokens: sequence.tokens, wanted: .all)
      ])
      for (position, label) in sequence.labels.dropFirst().enumerated()
      where label != TrainingBatch.ignored {
        let row = output.logits[position]
        let normal = compute.logSoftmax(row)
        sum += Double(normal.logSum - (row[Int(label)] - normal.maximum))
      }
    }
    #expect(sum == loss.sum)
    #expect(batch.labelCount == loss.labels)
  }

  @Test func lossFallsAndRunsRepeat() throws {
    var random = SeededRandom(seed: 51)
    let model = try FrozenModel(Self.model("smollm2"))
    let batch = Self.batch(&random)
    let adapter = Adapter.initial(for: model.dense.description, rank: 4, alpha: 8, seed: 7)
    let trainer = try Trainer(model, adapter, compute: Self.compute(threads: 2))
    let settings = OptimiserSettings(learningRate: 0.02)
    let losses = try (0..<25).map { _ in try trainer.step(batch, settings).loss }
    #expect(losses[24] < 0.75 * losses[0], "\(losses)")
    // A run that begins anew takes the same first step as one that never ran.
    let later = trainer.adapter
    trainer.restartOptimiser()
    let again = try trainer.step(batch, settings)
    let fresh = try Trainer(model, later, compute: Self.compute())
    #expect(try fresh.step(batch, settings) == again)
    #expect(fresh.adapter == trainer.adapter)
  }

  /// GGUF has the rows of queries and keys in another order; what is learnt is the same adapter.
  @Test func containersGiveTheSameAdapter() throws {
    var random = SeededRandom(seed: 61)
    let folder = try FrozenModel(Self.model("llama3.1"))
    let file = try FrozenModel(
      Model(path: GoldenRun.own.appendingPathComponent("gguf/llama3.1.gguf").path))
    let (adapter, batch) = (Self.adapter(folder, &random), Self.batch(&random))
    let one = try Self.run(folder, adapter, batch, Self.compute())
    let other = try Self.run(file, adapter, batch, Self.compute())
    #expect(abs(one.1[2].loss - other.1[2].loss) < 1e-5)
    #expect(largestDifference(one.0, other.0) < 1e-3)
    let compute = try Self.compute()
    func logits(_ path: String) throws -> [Float] {
      let model = try Model(path: path).adapted(by: adapter)
      let executor = Executor(model, compute: compute)
      let output = try executor.forward([
        SequenceChunk(model.makeSequence(cache: .f32), tokens: [5, 6, 7, 8], wanted: .last)
      ])
      return Array(output.logits[0])
    }
    let left = try logits(Self.path("llama3.1"))
    let right = try logits(GoldenRun.own.appendingPathComponent("gguf/llama3.1.gguf").path)
    #expect(zip(left, right).allSatisfy { abs($0 - $1) < 1e-4 })
  }

  @Test func whatCannotBeLearntIsRefused() throws {
    let model = try FrozenModel(Self.model("llama2"))
    let adapter = Adapter.initial(
      for: model.dense.description, rank: 2, alpha: 4, kinds: [.query], seed: 1)
    let trainer = try Trainer(model, adapter, compute: Self.compute())
    func expect(_ error: TrainingError, _ sequences: [TrainingBatch.Sequence]) {
      #expect(throws: error) {
        try trainer.step(TrainingBatch(sequences: sequences), OptimiserSettings())
      }
    }
    expect(.nothingToLearn, [.init(tokens: [5, 6], labels: [5, -100])])
    expect(.nothingToLearn, [])
    expect(.labels(sequence: 0), [.init(tokens: [5, 6], labels: [5])])
    expect(.labels(sequence: 0), [.init(tokens: [], labels: [])])
    expect(.outOfVocabulary(sequence: 0), [.init(tokens: [5, 1 << 20], labels: [5, -100])])
    expect(.outOfVocabulary(sequence: 0), [.init(tokens: [5, 6], labels: [5, -7])])
    let long = Array(repeating: Int32(5), count: model.dense.description.contextLength + 1)
    expect(
      .tooLong(sequence: 1, tokens: long.count, context: long.count - 1),
      [.init(tokens: [5, 6], labels: [5, 6]), .init(tokens: long, labels: long)])
    #expect(trainer.adapter == adapter)
    var wild = adapter
    wild.pairs[LinearSite(layer: 0, kind: .query)]?.b[0] = .infinity
    let lost = try Trainer(model, wild, compute: Self.compute())
    #expect(throws: TrainingError.notFinite) {
      try lost.step(
        TrainingBatch(sequences: [.init(tokens: [5, 6], labels: [5, 6])]), OptimiserSettings())
    }
    var other = adapter
    other.pairs[LinearSite(layer: 99, kind: .query)] = other.pairs.values.first
    #expect(throws: FormatError.self) { try Trainer(model, other, compute: Self.compute()) }
    #expect(throws: FormatError.self) {
      try Trainer(model, Adapter(alpha: 1, pairs: [:]), compute: Self.compute())
    }
    for name in ["qwen3_moe", "deepseek_v3", "qwen3_5", "mimo_v2_flash", "mixtral"] {
      #expect(throws: FormatError.self, "\(name)") { try FrozenModel(Self.model(name)) }
    }
  }
}
