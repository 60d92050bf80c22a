import Execution
import FineTuning
import Foundation
import Kernels
import Models
import TestSupport
import Testing
import WirePayloads
import WireProtocol

/// Units of every kind from specification and blobs to bytes.
@Suite(.timeLimit(.minutes(5))) struct UnitRunnerTests {
  /// A store of blobs with one model in it, and a unit of each kind on that model.
  struct Store {
    static let path = StageTests.models.appending(path: "llama2").path
    let folder: TemporaryFolder
    let manifest: Data
    let chunks: [Data]
    let adapter: AdapterPayload

    init() throws {
      folder = try TemporaryFolder()
      let files = try ModelFiles(path: Self.path)
      var chunks: [Data] = []
      let manifest = try ModelManifest.make(files.description, from: files.source) { _, bytes in
        chunks.append(Data(bytes))
        return BlobDigest.sha256(Array(bytes)).hex
      }
      self.manifest = try manifest.canonicalJSON()
      self.chunks = chunks
      for chunk in chunks {
        try chunk.write(to: URL(fileURLWithPath: folder.path(BlobDigest.sha256(chunk).hex)))
      }
      let dense = try DenseModel(Model(path: Self.path))
      adapter = AdapterPayload(
        Adapter.initial(for: dense.description, rank: 3, alpha: 6, seed: 2))
    }

    func origin(_ manifest: Data? = nil, packed: String? = nil) -> ModelOrigin {
      let manifest = manifest ?? self.manifest
      return .store(
        StoredModel(
          BlobDigest.sha256(manifest), manifest: manifest, verifiesChunks: true, packedPath: packed
        ) { [folder] in folder.path($0.hex) })
    }

    static let sequences: [[Int32]] = [[5, 6, 7, 8, 9], [11, 12]]
    static let generation = GenerateInputs(
      sequences: (1...4).map { index in
        .init(
          promptTokens: (1...Int32(index * 3)).map { $0 * 5 % 200 + 1 }, maxTokens: 4 + index,
          temperature: index % 2 == 0 ? 0.8 : 0, seed: Int64(index), topLogprobs: 2)
      })
    static let examples = LabelledSequences(
      sequences: (0..<4).map { index in
        let tokens = (0..<8).map { Int32($0 * 7 + index + 3) }
        return .init(tokens: tokens, labels: tokens)
      })
    static let training = TrainInputs(
      examples: examples, steps: [0..<2, 2..<4], learningRates: [0.01, 0.01], beta1: 0.9,
      beta2: 0.99, epsilon: 1e-8, weightDecay: 0, maximumNorm: 1)

    func inputs(_ kind: UnitKind) throws -> Data {
      switch kind {
      case .generate: try Self.generation.encoded()
      case .train: try Self.training.encoded()
      case .validate: try Self.examples.encoded()
      case .stageForward: try StageActivations(sequences: Self.sequences).encoded()
      }
    }

    func specification(_ kind: UnitKind, part: UnitPart? = nil) throws -> UnitSpecification {
      let learns = kind == .train || kind == .validate
      return UnitSpecification(
        kind: kind, model: BlobDigest.sha256(manifest),
        inputs: BlobDigest.sha256(try inputs(kind)), cache: .f32,
        part: part, adapter: learns ? BlobDigest.sha256(try adapter.encoded()) : nil)
    }

    func work(_ kind: UnitKind, threads: Int = 1) throws -> UnitWork {
      let layers = try ModelFiles(path: Self.path).description.layers.count
      let whole = UnitPart(embedding: true, layers: 0..<layers, head: true)
      let specification = try specification(kind, part: kind == .stageForward ? whole : nil)
      return UnitWork(
        specification, inputs: try inputs(kind),
        adapter: specification.adapter == nil ? nil : try adapter.encoded(), threads: threads)
    }

    /// What the executor of the kind gives.
    func expected(_ kind: UnitKind) throws -> Data {
      let (model, compute) = (try Model(path: Self.path), try StageTests.compute())
      func learner() throws -> TrainingExecutor {
        try TrainingExecutor(
          specification(kind), model: FrozenModel(model), adapter: adapter, compute: compute)
      }
      switch kind {
      case .generate:
        return try UnitExecutor.run(
          specification(kind), inputs: Self.generation, vocabulary: nil,
          model: ExecutorModel(model, compute: compute), compute: compute
        ).encoded()
      case .train: return try learner().train(Self.training).encoded()
      case .validate: return try learner().validate(Self.examples).encoded()
      case .stageForward:
        let stage = StageExecutor(
          model, inputs: StageActivations(sequences: Self.sequences), cache: .f32,
          compute: compute)
        guard case .scores(let scores) = try stage.run() else { throw CancellationError() }
        return try scores.encoded()
      }
    }
  }

  static let kinds: [UnitKind] = [.generate, .train, .validate, .stageForward]

  static func runner() throws -> UnitRunner { UnitRunner(try CPUEngine(environment: [:])) }

  @Test func everyKindGivesTheBytesOfItsExecutor() throws {
    let store = try Store()
    let runner = try Self.runner()
    let expected = try Self.kinds.map { try store.expected($0) }
    let allowances: [MemoryAllowance] = [
      .limit(bytes: 1 << 30), .target(bytes: 0), .machine(LocalMemory(availableBytes: nil)),
      .machine(LocalMemory(availableBytes: 1 << 30), longest: 16),
    ]
    for (index, allowance) in allowances.enumerated() {
      // Kinds change places, so that each begins with what another left loaded.
      for turn in Self.kinds.indices {
        let which = (turn + index) % Self.kinds.count
        let work = try store.work(Self.kinds[which], threads: 1 + index)
        let outcome = try runner.run(work, on: store.origin(), within: allowance)
        #expect(outcome.result == expected[which], "\(Self.kinds[which]), allowance \(index)")
        #expect(outcome.tokens > 0 && outcome.flops > 0)
      }
    }
  }

  @Test(arguments: kinds) func whereTheModelComesFromChangesNothing(_ kind: UnitKind) throws {
    let store = try Store()
    let expected = try store.expected(kind)
    let packed = PackedModelFolder(path: store.folder.path("packed"))
    var origins: [ModelOrigin] = [.files(path: Store.path, packed: nil)]
    for _ in 0..<2 {
      // The second time from the file that the first has made.
      origins.append(store.origin(packed: store.folder.path("model.packed")))
      origins.append(.files(path: Store.path, packed: packed))
    }
    for (index, origin) in origins.enumerated() {
      let outcome = try Self.runner().run(
        store.work(kind, threads: 2), on: origin, within: .limit(bytes: 1 << 30))
      #expect(outcome.result == expected, "origin \(index)")
    }
  }

  @Test func progressReachesTheEnd() throws {
    let store = try Store()
    for kind in Self.kinds {
      var work = try store.work(kind)
      var last: (flops: Double, tokens: Int) = (0, 0)
      work.progress = { flops, tokens in
        #expect(flops >= last.flops && tokens >= last.tokens)
        last = (flops, tokens)
      }
      let outcome = try Self.runner().run(
        work, on: store.origin(), within: .limit(bytes: 1 << 30))
      #expect(last.tokens > 0)
      if kind != .generate { #expect(abs(last.flops / outcome.flops - 1) < 1e-9) }
    }
  }

  @Test(arguments: kinds) func aUnitCanBeCancelled(_ kind: UnitKind) throws {
    let store = try Store()
    var work = try store.work(kind)
    work.isCancelled = { true }
    #expect(throws: ExecutionError.cancelled) {
      try Self.runner().run(work, on: store.origin(), within: .limit(bytes: 1 << 30))
    }
  }

  @Test func whatDoesNotFitIsRefused() throws {
    let store = try Store()
    let weights = store.chunks.reduce(0) { $0 + $1.count }
    for kind in Self.kinds {
      for bytes in [1000, weights + 1] {
        let work = try store.work(kind)
        #expect {
          try Self.runner().run(work, on: store.origin(), within: .limit(bytes: bytes))
        } throws: { error in
          guard case ExecutionError.outOfMemory = error else { return false }
          return true
        }
      }
      #expect(throws: MemoryShortage.self) {
        try Self.runner().run(
          store.work(kind), on: store.origin(),
          within: .machine(LocalMemory(availableBytes: 1000)))
      }
    }
    // What a later unit cannot have is refused at the first.
    #expect(throws: MemoryShortage.self) {
      try Self.runner().run(
        store.work(.train), on: store.origin(),
        within: .machine(LocalMemory(availableBytes: 1 << 30), longest: 1 << 22))
    }
  }
}
