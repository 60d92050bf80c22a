import Execution
import FineTuning
import Foundation
import Kernels
import Models
import Testing
import TestSupport
import WirePayloads
import WireProtocol
import WorkerCore
import WorkerDaemon
import WorkerEngine

/// A real model, in small, from a coordinator's blobs to a result.
@Suite(.timeLimit(.minutes(5))) struct EngineTests {
  let place: TemporaryFolder
  let authority: TestAuthority

  init() throws {
    place = try TemporaryFolder()
    authority = try TestAuthority()
  }

  static let model: String = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Fixtures/models/llama2").path

  static let inputs = GenerateInputs(
    sequences: (1...5).map { index in
      .init(
        promptTokens: (1...Int32(index * 3)).map { $0 * 5 % 200 + 1 }, maxTokens: 6 + index,
        temperature: index % 2 == 0 ? 0.8 : 0, seed: Int64(index), topLogprobs: 2)
    })

  /// The blobs of the fixture's model, and its manifest.
  static func chunks() throws -> (manifest: Data, chunks: [Data]) {
    let files = try ModelFiles(path: model)
    var chunks: [Data] = []
    let manifest = try ModelManifest.make(files.description, from: files.source) { _, bytes in
      chunks.append(Data(bytes))
      return BlobDigest.sha256(Array(bytes)).hex
    }
    return (try manifest.canonicalJSON(), chunks)
  }

  /// What the unit's result must be: the same computation without coordinator and worker.
  static func expected(_ specification: UnitSpecification) throws -> GenerateResult {
    let compute = try Compute(kernels: .best(environment: [:]), threads: 1)
    return try UnitExecutor.run(
      specification, inputs: inputs, vocabulary: nil,
      model: ExecutorModel(try Model(path: model), compute: compute), compute: compute)
  }

  @Test(arguments: [false, true]) func aWorkersResultIsThatOfTheExecutor(corrupt: Bool) async throws
  {
    let (place, authority) = (place, authority)
    try await StubCoordinator.run(authority: authority) { url, state in
      let (manifest, chunks) = try Self.chunks()
      for chunk in chunks { _ = await state.add(chunk) }
      let model = await state.add(manifest)
      let lease = try await state.addUnit(1, model: model, inputs: Self.inputs.encoded())
      var configuration = WorkerConfiguration(dataFolder: place.path("worker"))
      configuration.invitation = try await state.invitation(url, authority)
      if corrupt { configuration.resultTransformer = .wrong(rate: 1, seed: 1) }
      let runner = try ModelUnitRunner(environment: [:])
      try await withWorker(configuration, runner: runner) { reports in
        let report = try await reports.wait { $0.unitsDone == 1 }
        #expect((report.flopsPerSecond ?? 0) > 0)
      }
      let upload = try #require(await state.uploads.first)
      let expected = try Self.expected(lease.specification)
      if corrupt {
        // Wrong, and still a valid result.
        let result = try GenerateResult(decoding: upload.result, for: Self.inputs)
        #expect(result != expected)
      } else {
        #expect(upload.result == (try expected.encoded()))
      }
    }
  }

  /// The packed model of the first run serves the second, unless the disk has changed it.
  @Test func packedModelsOutliveTheWorker() async throws {
    let (place, authority) = (place, authority)
    try await StubCoordinator.run(authority: authority) { url, state in
      let (manifest, chunks) = try Self.chunks()
      for chunk in chunks { _ = await state.add(chunk) }
      let model = await state.add(manifest)
      let folder = place.path("worker") + "/cache/packed"
      func packed() throws -> (path: String, data: Data) {
        let names = try FileManager.default.contentsOfDirectory(atPath: folder)
        let name = try #require(names.first)
        #expect(names.count == 1)
        let path = folder + "/" + name
        return (path, try Data(contentsOf: URL(fileURLWithPath: path)))
      }
      func work(_ number: Int) async throws {
        let lease = try await state.addUnit(number, model: model, inputs: Self.inputs.encoded())
        var configuration = WorkerConfiguration(dataFolder: place.path("worker"))
        if number == 1 { configuration.invitation = try await state.invitation(url, authority) }
        try await withWorker(configuration, runner: ModelUnitRunner(environment: [:])) { reports in
          try await reports.wait { $0.unitsDone == 1 }
        }
        let upload = try #require(await state.uploads.last)
        #expect(upload.result == (try Self.expected(lease.specification).encoded()))
      }
      try await work(1)
      let first = try packed()
      let node = try FileManager.default.attributesOfItem(atPath: first.path)[.systemFileNumber]
      try await work(2)
      let again = try FileManager.default.attributesOfItem(atPath: first.path)[.systemFileNumber]
      #expect(node as? Int == again as? Int)
      // A weight changes on disk; the file is replaced, since mappings of the old one may be alive.
      var damaged = first.data
      damaged[damaged.count - 4096] ^= 1
      try FileManager.default.removeItem(atPath: first.path)
      try damaged.write(to: URL(fileURLWithPath: first.path))
      try Data([1]).write(to: URL(fileURLWithPath: first.path + ".new.abcdef"))
      try await work(3)
      #expect(try packed().data == first.data)
    }
  }

  @Test func aCacheWithoutRoomForAPackedModelWorksWithoutOne() async throws {
    let (place, authority) = (place, authority)
    try await StubCoordinator.run(authority: authority) { url, state in
      let (manifest, chunks) = try Self.chunks()
      for chunk in chunks { _ = await state.add(chunk) }
      let model = await state.add(manifest)
      let lease = try await state.addUnit(1, model: model, inputs: Self.inputs.encoded())
      var configuration = WorkerConfiguration(dataFolder: place.path("worker"))
      configuration.invitation = try await state.invitation(url, authority)
      configuration.cacheLimitBytes = chunks.reduce(manifest.count) { $0 + $1.count } + 100_000
      try await withWorker(configuration, runner: ModelUnitRunner(environment: [:])) { reports in
        try await reports.wait { $0.unitsDone == 1 }
      }
      let upload = try #require(await state.uploads.first)
      #expect(upload.result == (try Self.expected(lease.specification).encoded()))
      let packed = try FileManager.default.contentsOfDirectory(
        atPath: place.path("worker") + "/cache/packed")
      #expect(packed == [])
    }
  }

  /// Two workers, each with its half of the layers and nothing else of the model.
  @Test func aWorkerFetchesOnlyTheLayersThatItNeeds() async throws {
    let (place, authority) = (place, authority)
    let files = try ModelFiles(path: Self.model)
    let layers = files.description.layers.count
    let sequences: [[Int32]] = [[5, 6, 7, 8, 9], [11, 12]]
    let parts = [
      UnitPart(embedding: true, layers: 0..<1, head: false),
      UnitPart(embedding: false, layers: 1..<layers, head: true),
    ]
    try await StubCoordinator.run(authority: authority) { url, state in
      let (json, chunks) = try Self.chunks()
      for chunk in chunks { _ = await state.add(chunk) }
      let model = await state.add(json)
      var inputs = try StageActivations(sequences: sequences).encoded()
      let manifest = try ModelManifest(json: json, name: "test")
      for (index, part) in parts.enumerated() {
        try await state.addUnit(
          index, model: model, inputs: inputs, kind: .stageForward, cache: .f32, part: part)
        let folder = place.path("worker \(index)")
        var configuration = WorkerConfiguration(dataFolder: folder)
        configuration.invitation = try await state.invitation(url, authority)
        try await withWorker(configuration, runner: ModelUnitRunner(environment: [:])) { reports in
          try await reports.wait { $0.unitsDone == 1 }
        }
        let needed = manifest.distinctChunks(
          of: ModelPart(
            hasEmbedding: part.embedding, layers: part.firstLayer..<part.endLayer,
            hasHead: part.head))
        let held = try FileManager.default.subpathsOfDirectory(atPath: folder + "/cache/blobs")
          .map { $0.replacing("/", with: "") }.filter { $0.count >= 64 }.map {
            String($0.suffix(64))
          }
        let all = Set(chunks.map { BlobDigest.sha256($0).hex })
        #expect(all.intersection(held) == Set(needed.map(\.sha256)))
        #expect(needed.count < chunks.count)
        // Nobody is told that the model is here.
        #expect(await state.leaseRequests.last?.cachedModels == [])
        inputs = try #require(await state.uploads.last).result
      }
      let compute = try Compute(kernels: .best(environment: [:]), threads: 1)
      let whole = StageExecutor(
        try Model(path: Self.model), inputs: StageActivations(sequences: sequences), cache: .f32,
        compute: compute)
      guard case .scores(let scores) = try whole.run() else { throw CancellationError() }
      #expect(try scores.encoded() == inputs)
    }
  }

  /// Steps on an adapter and the losses under it, from blobs to results.
  @Test func workersLearnAndValidate() async throws {
    let (place, authority) = (place, authority)
    let frozen = try FrozenModel(Model(path: Self.model))
    let adapter = AdapterPayload(
      Adapter.initial(for: frozen.dense.description, rank: 3, alpha: 6, seed: 2))
    let examples = LabelledSequences(
      sequences: (0..<6).map { index in
        let tokens = (0..<8).map { Int32($0 * 7 + index + 3) }
        return .init(tokens: tokens, labels: tokens)
      })
    let inputs = TrainInputs(
      examples: examples, steps: [0..<3, 3..<6], learningRates: [0.01, 0.01], beta1: 0.9,
      beta2: 0.99, epsilon: 1e-8, weightDecay: 0, maximumNorm: 1)
    try await StubCoordinator.run(authority: authority) { url, state in
      let (manifest, chunks) = try Self.chunks()
      for chunk in chunks { _ = await state.add(chunk) }
      let model = await state.add(manifest)
      let digest = try await state.add(adapter.encoded())
      let units: [(UnitKind, Data)] = [
        (.train, try inputs.encoded()), (.validate, try examples.encoded()),
      ]
      var leases: [Lease] = []
      for (number, (kind, data)) in units.enumerated() {
        leases.append(
          try await state.addUnit(
            number, model: model, inputs: data, kind: kind, cache: .f32, adapter: digest))
      }
      var configuration = WorkerConfiguration(dataFolder: place.path("worker"))
      configuration.invitation = try await state.invitation(url, authority)
      try await withWorker(configuration, runner: ModelUnitRunner(environment: [:])) { reports in
        try await reports.wait { $0.unitsDone == 2 }
      }
      let uploads = await state.uploads
      let results = Dictionary(uniqueKeysWithValues: uploads.map { ($0.lease, $0.result) })
      let compute = try Compute(kernels: .best(environment: [:]), threads: 1)
      func executor(_ lease: Lease) throws -> TrainingExecutor {
        try TrainingExecutor(
          lease.specification, model: frozen, adapter: adapter, compute: compute)
      }
      #expect(try results[leases[0].id] == executor(leases[0]).train(inputs).encoded())
      #expect(try results[leases[1].id] == executor(leases[1]).validate(examples).encoded())
    }
  }

  @Test func stagesThatCannotRunSayWhy() throws {
    let (manifest, chunks) = try Self.chunks()
    let folder = place
    for chunk in chunks {
      try chunk.write(to: URL(fileURLWithPath: folder.path(BlobDigest.sha256(chunk).hex)))
    }
    let runner = try ModelUnitRunner(environment: [:])
    let whole = UnitPart(embedding: true, layers: 0..<2, head: true)
    func reason(
      _ part: UnitPart, _ inputs: StageActivations, memory: Int = 1 << 30
    ) throws -> String {
      let inputs = try inputs.encoded()
      do {
        let outcome = try runner.run(
          UnitTask(
            specification: UnitSpecification(
              kind: .stageForward, model: BlobDigest.sha256(manifest),
              inputs: BlobDigest.sha256(inputs), cache: .f16, part: part),
            manifest: manifest, inputs: inputs, vocabulary: nil,
            blobPath: { folder.path($0.hex) }, threads: 2, memoryLimitBytes: memory,
            progress: { _ in }, isCancelled: { false }))
        return "\(outcome.tokens) tokens"
      } catch UnitFailure.invalid {
        return "invalid"
      } catch UnitFailure.outOfMemory {
        return "outOfMemory"
      }
    }
    let tokens = StageActivations(sequences: [[5, 6, 7]])
    let layers = try ModelFiles(path: Self.model).description.layers.count
    var part = whole
    part.endLayer = layers
    #expect(try reason(part, tokens) == "3 tokens")
    #expect(try reason(part, tokens, memory: 1000) == "outOfMemory")
    #expect(try reason(part, StageActivations(sequences: [[5, 1 << 30]])) == "invalid")
    part.endLayer = layers + 1
    #expect(try reason(part, tokens) == "invalid")
    part = UnitPart(embedding: false, layers: 1..<layers, head: true)
    #expect(try reason(part, tokens) == "invalid")
    #expect(throws: UnitFailure.self) {
      var outside = part
      outside.firstLayer = .min
      return try runner.chunks(ofManifest: manifest, part: outside)
    }
  }

  @Test func unitsThatCannotRunSayWhy() throws {
    let (manifest, chunks) = try Self.chunks()
    let folder = place
    for chunk in chunks {
      try chunk.write(to: URL(fileURLWithPath: folder.path(BlobDigest.sha256(chunk).hex)))
    }
    let runner = try ModelUnitRunner(environment: [:])
    func run(
      inputs: Data? = nil, memory: Int = 1 << 30, cancelled: Bool = false,
      vocabulary: Data? = nil
    ) throws -> UnitOutcome {
      let inputs = try inputs ?? Self.inputs.encoded()
      let specification = UnitSpecification(
        kind: .generate, model: BlobDigest.sha256(manifest), inputs: BlobDigest.sha256(inputs),
        cache: .f16)
      return try runner.run(
        UnitTask(
          specification: specification, manifest: manifest, inputs: inputs,
          vocabulary: vocabulary, blobPath: { folder.path($0.hex) }, threads: 2,
          memoryLimitBytes: memory, progress: { _ in }, isCancelled: { cancelled }))
    }
    #expect(throws: UnitFailure.cancelled) { try run(cancelled: true) }
    func reason(_ body: () throws -> UnitOutcome) -> String {
      do {
        return "\(try body().tokens) tokens"
      } catch UnitFailure.invalid {
        return "invalid"
      } catch UnitFailure.outOfMemory {
        return "outOfMemory"
      } catch {
        return "\(error)"
      }
    }
    #expect(reason { try run(memory: 1000) } == "outOfMemory")
    let weights = chunks.reduce(0) { $0 + $1.count }
    #expect(reason { try run(memory: weights + 1) } == "outOfMemory")
    #expect(reason { try run(inputs: Data("nothing".utf8)) } == "invalid")
    #expect(reason { try run(vocabulary: Data("nothing".utf8)) } == "invalid")
    let outside = GenerateInputs(sequences: [.init(promptTokens: [1 << 30], maxTokens: 1)])
    #expect(reason { try run(inputs: outside.encoded()) } == "invalid")
    #expect(reason { try run() }.hasSuffix("tokens"))
  }
}
