import Execution
import FineTuning
import Foundation
import Kernels
import Models
import TestSupport
import Testing
import WirePayloads
import WireProtocol

/// What a command on one machine computes together where memory is short, and what it refuses.
@Suite struct LocalMemoryTests {
  private static let inputs = RealModelTests.inputs

  /// The least memory that `allows`, to a kilobyte.
  private func least(_ allows: (LocalMemory) throws -> Void) -> Int {
    var (no, yes) = (0, 1 << 34)
    while yes - no > 1024 {
      let middle = (no + yes) / 2
      if (try? allows(LocalMemory(availableBytes: middle))) == nil {
        no = middle
      } else {
        yes = middle
      }
    }
    return yes
  }

  private func mapped(_ folder: TemporaryFolder) throws -> Model {
    let files = try ModelFiles(path: RealModelTests.fixture)
    let model = try Model(
      files.description,
      packedAt: PackedModelPlace(
        path: folder.path("model"), key: PackedModelKey(content: "test"), isVerified: true),
      from: files.source)
    return try #require(model.isMapped ? model : nil)
  }

  @Test func aSmallerMemoryRunsFewerSequencesToTheSameResult() throws {
    let model = try Model(path: RealModelTests.fixture)
    let compute = try Compute(kernels: .best(environment: [:]), threads: 2)
    func limits(_ memory: LocalMemory) throws -> BatchLimits {
      try memory.batchLimits(model, inputs: Self.inputs, cache: .f16)
    }
    func result(_ limits: BatchLimits) throws -> Data {
      let placeholder = BlobDigest.sha256(Data())
      return try UnitExecutor.run(
        UnitSpecification(
          kind: .generate, model: placeholder, inputs: placeholder, cache: .f16),
        inputs: Self.inputs, vocabulary: nil, model: ExecutorModel(model, compute: compute),
        compute: compute, limits: limits
      ).encoded()
    }
    let least = least { _ = try limits($0) }
    let (few, many) = (
      try limits(LocalMemory(availableBytes: least)), try limits(LocalMemory(availableBytes: nil))
    )
    #expect(few.activeSequences == 1 && many == BatchLimits())
    #expect(try limits(LocalMemory(availableBytes: 1 << 34)).activeSequences == 32)
    #expect(try result(few) == result(many))
  }

  @Test func whatCannotFitIsRefusedWithBothNumbers() throws {
    let model = try Model(path: RealModelTests.fixture)
    let available = 30_000_000
    let error = #expect(throws: MemoryShortage.self) {
      try LocalMemory(availableBytes: available).batchLimits(
        model, inputs: Self.inputs, cache: .f16, advice: "choose a smaller --max-tokens")
    }
    let shortage = try #require(error)
    #expect(shortage.availableBytes == available && shortage.neededBytes > available)
    let needed = Int((Double(shortage.neededBytes) / 1e6).rounded(.up))
    for words in ["\(needed) MB", "30 MB are available", "--max-tokens"] {
      #expect(shortage.description.contains(words))
    }
    // What it says it needs is enough.
    let enough = LocalMemory(availableBytes: shortage.neededBytes)
    #expect(try enough.batchLimits(model, inputs: Self.inputs, cache: .f16).activeSequences == 1)
  }

  @Test func cachesAndLogitsCount() throws {
    let model = try Model(path: RealModelTests.fixture)
    func least(_ sequences: Int, _ tokens: Int, rows: Int = 0) -> Int {
      self.least {
        try $0.check(
          model, sequences: sequences, tokens: tokens, logitRows: rows, cache: .f32)
      }
    }
    let context = model.description.contextLength
    let tokens = min(128, context)
    let one = least(1, tokens)
    let cache = model.description.cacheBytes(tokens: tokens, element: .f32)
    #expect(abs(least(33, tokens) - one - 32 * cache) <= 2048)
    let logits = 4 * 256 * model.description.vocabularySize
    #expect(abs(least(1, tokens, rows: 256) - one - logits) <= 2048)
    // Beyond the context there is nothing.
    #expect(least(1, context) == least(1, 1 << 40))
    #expect(throws: Never.self) {
      try LocalMemory(availableBytes: nil).check(
        model, sequences: 1 << 20, tokens: context, cache: .f32)
    }
  }

  /// Their pages come and go, so that a model larger than memory runs.
  @Test func mappedWeightsAloneRefuseNothing() throws {
    let folder = try TemporaryFolder()
    let held = try Model(path: RealModelTests.fixture)
    let file = try mapped(folder)
    func least(_ model: Model) -> Int {
      self.least { _ = try $0.batchLimits(model, inputs: Self.inputs, cache: .f16) }
    }
    let difference = least(held) - least(file)
    #expect(abs(difference - held.weightBytes - held.weightBytes / 20) <= 2048)
    #expect(throws: MemoryShortage.self) {
      try LocalMemory(availableBytes: held.weightBytes - 1).check(weightBytes: held.weightBytes)
    }
    #expect(throws: Never.self) {
      try LocalMemory(availableBytes: held.weightBytes).check(weightBytes: held.weightBytes)
    }
  }

  @Test func learningKeepsWhatFitsAndNoMoreThanIsWanted() throws {
    let model = try Model(path: StageTests.models.appending(path: "smollm2").path)
    let adapter = Adapter.initial(
      for: try DenseModel(model).description, rank: 4, alpha: 8, seed: 5)
    let wanted = Trainer.Limits(rows: 200, activationBytes: 1 << 20)
    func limits(_ available: Int?, longest: Int = 20) throws -> Trainer.Limits {
      try LocalMemory(availableBytes: available).trainingLimits(
        model, adapter, longest: longest, threads: 2, wanted: wanted, advice: "ask for less")
    }
    #expect(try limits(nil) == wanted)
    #expect(try limits(1 << 34) == wanted)
    let error = #expect(throws: MemoryShortage.self) { try limits(30_000_000) }
    let shortage = try #require(error)
    #expect("\(shortage)".contains("30 MB are available here: ask for less"))
    let little = try limits(shortage.neededBytes)
    #expect(little.rows >= 20 && little.rows < wanted.rows && little.activationBytes < 1 << 20)
    #expect(try limits(shortage.neededBytes + (1 << 20)).activationBytes >= little.activationBytes)
    #expect(throws: MemoryShortage.self) { try limits(shortage.neededBytes, longest: 60) }

    let frozen = try FrozenModel(model)
    let compute = try Compute(kernels: .best(environment: [:]), threads: 2)
    let inputs = TrainingUnitTests.inputs(TrainingUnitTests.examples(9, seed: 1), perStep: 3)
    func bytes(_ limits: Trainer.Limits) throws -> Data {
      try TrainingUnitTests.executor(frozen, adapter, compute, .train, limits).train(inputs)
        .encoded()
    }
    #expect(try bytes(little) == bytes(wanted))
  }
}
