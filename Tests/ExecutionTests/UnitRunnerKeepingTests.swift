import Execution
import Foundation
import Kernels
import ModelFormats
import Models
import Synchronization
import TestSupport
import Testing
import WirePayloads
import WireProtocol

/// An engine that computes nothing and counts the models that it has in memory.
private final class CountingEngine: UnitEngine {
  struct Counts: Equatable {
    var loads = 0
    var held = 0
    /// At any one time.
    var mostHeld = 0
  }

  final class Model: LoadedModel {
    private let engine: CountingEngine

    init(_ engine: CountingEngine) {
      self.engine = engine
      engine.counts.withLock {
        $0.loads += 1
        $0.held += 1
        $0.mostHeld = max($0.mostHeld, $0.held)
      }
    }

    deinit { engine.counts.withLock { $0.held -= 1 } }

    func run(
      _ work: UnitWork, _ content: UnitContent, within memory: MemoryAllowance
    ) throws -> UnitOutcome {
      UnitOutcome(result: work.inputs, tokens: 1, flops: 1)
    }
  }

  let counts = Mutex(Counts())
  let limits = Mutex<[ComputeGate.Limit]>([])

  func load(
    _ origin: ModelOrigin, part: UnitPart?, within memory: MemoryAllowance
  ) throws -> any LoadedModel {
    if part?.firstLayer == .max { throw ExecutionError.outOfMemory("never fits") }
    return Model(self)
  }

  func limit(_ limit: ComputeGate.Limit) { limits.withLock { $0.append(limit) } }
}

/// What a runner keeps between units, and what it refuses before a model is loaded.
@Suite(.timeLimit(.minutes(5))) struct UnitRunnerKeepingTests {
  static func work(
    _ model: String, kind: UnitKind = .generate, part: UnitPart? = nil, inputs: Data? = nil
  ) throws -> UnitWork {
    let inputs =
      try inputs
      ?? GenerateInputs(
        sequences: [.init(promptTokens: [1], maxTokens: 1)]
      ).encoded()
    return UnitWork(
      UnitSpecification(
        kind: kind, model: BlobDigest.sha256(Data(model.utf8)), inputs: BlobDigest.sha256(inputs),
        cache: .f32, part: part),
      inputs: inputs, threads: 1)
  }

  static let nowhere = ModelOrigin.files(path: "/nowhere", packed: nil)

  @Test func oneModelIsHeldAtATime() throws {
    let engine = CountingEngine()
    let runner = UnitRunner(engine)
    func run(_ model: String, part: UnitPart? = nil) throws {
      _ = try runner.run(
        Self.work(model, part: part), on: Self.nowhere, within: .limit(bytes: 1))
    }
    func counts() -> CountingEngine.Counts { engine.counts.withLock { $0 } }
    for _ in 0..<3 { try run("a") }
    #expect(counts() == .init(loads: 1, held: 1, mostHeld: 1))
    try run("b")
    try run("a")
    #expect(counts() == .init(loads: 3, held: 1, mostHeld: 1))
    let part = UnitPart(embedding: true, layers: 0..<1, head: false)
    for _ in 0..<2 { try run("a", part: part) }
    #expect(counts() == .init(loads: 4, held: 1, mostHeld: 1))
    runner.releaseMemory()
    #expect(counts().held == 0)
    try run("a", part: part)
    // A model that cannot be loaded has taken the place of the last one.
    var large = part
    (large.firstLayer, large.endLayer) = (.max, .max)
    #expect(throws: ExecutionError.self) { try run("a", part: large) }
    #expect(counts() == .init(loads: 5, held: 0, mostHeld: 1))
  }

  @Test func limitsReachTheEngine() {
    let engine = CountingEngine()
    let limit = ComputeGate.Limit(share: 0.5, threads: 3)
    UnitRunner(engine).limit(limit)
    #expect(engine.limits.withLock { $0 } == [limit])
  }

  @Test func unitsThatMakeNoSenseLoadNothing() throws {
    let engine = CountingEngine()
    let runner = UnitRunner(engine)
    let noise = [Data(), Data("nothing".utf8), Data(repeating: 0xff, count: 4096)]
    func fails(_ work: UnitWork) -> (any Error)? {
      do {
        _ = try runner.run(work, on: Self.nowhere, within: .limit(bytes: 1 << 30))
        return nil
      } catch {
        return error
      }
    }
    for kind in UnitRunnerTests.kinds {
      for bytes in noise {
        var work = try Self.work("a", kind: kind, inputs: bytes)
        #expect(fails(work) != nil)
        work.adapter = bytes
        #expect(fails(work) != nil)
      }
      var work = try Self.work("a", kind: kind)
      work.specification.profile = "another"
      #expect(fails(work) as? ExecutionError == .profileMismatch("another"))
    }
    var work = try Self.work("a")
    work.vocabulary = noise[1]
    #expect(fails(work) != nil)
    work.vocabulary = nil
    work.adapter = noise[1]
    #expect(fails(work) != nil)
    let store = try UnitRunnerTests.Store()
    for kind in [UnitKind.train, .validate] {
      var work = try store.work(kind)
      work.adapter = nil
      #expect(fails(work) as? ExecutionError == .adapterMissing)
    }
    #expect(engine.counts.withLock { $0.loads } == 0)
  }

  @Test func partsThatTheModelLacksAreRefused() throws {
    let store = try UnitRunnerTests.Store()
    let layers = try ModelFiles(path: UnitRunnerTests.Store.path).description.layers.count
    for (first, end) in [(0, layers + 1), (.min, 1), (1, .max), (1, 0), (.max, .min)] {
      var part = UnitPart(embedding: false, layers: 0..<1, head: false)
      (part.firstLayer, part.endLayer) = (first, end)
      for origin in [
        store.origin(), store.origin(packed: store.folder.path("packed")),
        .files(path: UnitRunnerTests.Store.path, packed: nil),
      ] {
        var work = try store.work(.stageForward)
        work.specification.part = part
        #expect(throws: ExecutionError.partMissing(part, layers: layers)) {
          try UnitRunnerTests.runner().run(work, on: origin, within: .target(bytes: 1 << 30))
        }
      }
    }
  }

  @Test func storesThatLackOrChangeBytesAreRefused() throws {
    let store = try UnitRunnerTests.Store()
    func run(_ origin: ModelOrigin) throws -> UnitOutcome {
      try UnitRunnerTests.runner().run(
        store.work(.generate), on: origin, within: .limit(bytes: 1 << 30))
    }
    for manifest in [Data(), Data("{}".utf8), store.manifest.dropLast()] {
      #expect(throws: FormatError.self) { try run(store.origin(Data(manifest))) }
    }
    let chunk = try #require(store.chunks.first)
    let file = URL(fileURLWithPath: store.folder.path(BlobDigest.sha256(chunk).hex))
    var changed = chunk
    changed[changed.count / 2] ^= 1
    for bytes in [changed, Data(chunk.dropLast())] {
      try bytes.write(to: file)
      #expect(throws: FormatError.self) { try run(store.origin()) }
    }
    try FileManager.default.removeItem(at: file)
    #expect(throws: FormatError.self) { try run(store.origin()) }
  }
}
