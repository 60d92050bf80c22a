import Execution
import Kernels
import TestSupport
import Testing
import WirePayloads
import WireProtocol

/// What prompts have in common is computed once, and nobody can tell from the results.
@Suite struct PrefixSharingTests {
  static let placeholder = Digest(hex: String(repeating: "00", count: 32))!

  func run(
    _ sequences: [GenerateInputs.Sequence], on model: FakeModel, limits: BatchLimits = BatchLimits()
  ) throws -> [GenerateResult.Sequence] {
    try UnitExecutor.run(
      UnitSpecification(
        kind: .generate, model: Self.placeholder, inputs: Self.placeholder, cache: .f16),
      inputs: GenerateInputs(sequences: sequences), vocabulary: nil, model: model,
      compute: try testCompute(), limits: limits
    ).sequences
  }

  /// Tokens 1 to 49, so that none ends a sequence.
  static func tokens(_ count: Int, salt: Int) -> [Int32] {
    (0..<count).map { Int32(($0 * 31 + salt * 17 + $0 / 7) % 49 + 1) }
  }

  @Test func aSystemPromptIsComputedOnce() throws {
    let system = Self.tokens(200, salt: 1)
    let model = FakeModel(contextLength: 1000, endOfSequence: [])
    let prompts = (0..<10).map { system + [Int32($0)] + Self.tokens(20 + $0, salt: $0) }
    let result = try run(prompts.map { .init(promptTokens: $0, maxTokens: 3) }, on: model)
    #expect(result.allSatisfy { $0.tokens.count == 3 })
    // The last token of each is not run.
    let own = prompts.reduce(0) { $0 + $1.count - 200 + 2 }
    #expect(model.rows == 200 + own)
  }

  @Test(arguments: [1, 2, 5, 64])
  func identicalPromptsAreComputedOnce(activeSequences: Int) throws {
    let model = FakeModel(contextLength: 1000, endOfSequence: [])
    let limits = BatchLimits(activeSequences: activeSequences)
    let result = try run(
      (0..<12).map {
        .init(promptTokens: [3, 4, 5], maxTokens: 4, temperature: 1, seed: Int64($0))
      }, on: model, limits: limits)
    #expect(Set(result.map(\.tokens)).count > 6)
    #expect(model.caches.most <= activeSequences)
    // One cache cannot hold the prompt for later and grow as well.
    let prompts = activeSequences == 1 ? 12 : 1
    #expect(model.rows == prompts * 3 + 12 * 3)
  }

  @Test func promptsThatContinueEachOtherShare() throws {
    let whole = Self.tokens(400, salt: 2)
    let model = FakeModel(contextLength: 1000, endOfSequence: [])
    let prompts = [100, 200, 300, 400].map { Array(whole[..<$0]) }
    _ = try run(prompts.map { .init(promptTokens: $0, maxTokens: 1) }, on: model)
    // A prompt's last token is run for itself, and again for those that go on.
    #expect(model.rows == 400 + 3)
  }

  /// Too short to be worth a pass of its own.
  @Test func shortBeginningsAreNotWaitedFor() throws {
    let model = FakeModel(contextLength: 1000, endOfSequence: [])
    let prompts = (1...4).map { [1, 2, Int32($0)] + Self.tokens(30, salt: $0) }
    var engine = try GenerationEngine(
      model: model, inputs: .init(sequences: prompts.map { .init(promptTokens: $0, maxTokens: 1) }),
      vocabulary: nil, cacheType: .f16, compute: testCompute(), limits: BatchLimits())
    #expect(try engine.step().count == 4)
    #expect(engine.isFinished)
    #expect(model.rows == 4 * 33)
  }

  @Test func cachesAreLetGo() throws {
    let model = FakeModel(contextLength: 1000)
    _ = try run(RandomPrompts.make(seed: 5), on: model)
    #expect(model.caches.count == 0)
  }

  /// Prompts that branch at random places, alone and together, with rows that fail at random.
  @Test func randomTriesChangeNothing() throws {
    for seed in testSeeds(12) {
      let sequences = RandomPrompts.make(seed: seed)
      let poison: (UInt64, Int) -> Bool = { history, _ in history % 499 == 0 }
      func model() -> FakeModel {
        let model = FakeModel(contextLength: 1000)
        if seed % 2 == 0 { model.poisoned = poison }
        return model
      }
      let alone = try sequences.map { try run([$0], on: model())[0] }
      let unshared = sequences.reduce(0) { $0 + $1.promptTokens.count }
      for limits in [
        BatchLimits(activeSequences: 1, rows: 9), BatchLimits(activeSequences: 2, rows: 1),
        BatchLimits(activeSequences: 3, rows: 64), BatchLimits(activeSequences: 7, rows: 20),
        BatchLimits(),
      ] {
        let model = model()
        let together = try run(sequences, on: model, limits: limits)
        #expect(together == alone, "seed \(seed), \(limits)")
        #expect(model.caches.most <= limits.activeSequences, "seed \(seed), \(limits)")
        #expect(model.largestPass <= max(limits.rows, limits.activeSequences))
        if limits == BatchLimits(), seed % 2 == 1 {
          let generated = together.reduce(0) { $0 + $1.tokens.count - 1 }
          #expect(model.rows - generated < unshared * 3 / 4, "seed \(seed)")
        }
      }
    }
  }
}

/// Prompts that grow out of each other.
enum RandomPrompts {
  static func make(seed: UInt64, vocabulary: Int32 = 50) -> [GenerateInputs.Sequence] {
    var random = SeededRandom(seed: seed)
    func tokens(_ most: Int) -> [Int32] {
      (0..<Int.random(in: 1...most, using: &random)).map { _ in
        .random(in: 3..<vocabulary, using: &random)
      }
    }
    var prompts = [tokens(60)]
    while prompts.count < 40 {
      let parent = prompts[Int.random(in: 0..<prompts.count, using: &random)]
      switch Int.random(in: 0..<5, using: &random) {
      case 0: prompts.append(parent)
      case 1: prompts.append(Array(parent.prefix(Int.random(in: 1...parent.count, using: &random))))
      case 2:
        let kept = parent.prefix(Int.random(in: 1...parent.count, using: &random))
        prompts.append(kept + tokens(40))
      case 3: prompts.append(tokens(30))
      default: prompts.append(parent + tokens(50))
      }
    }
    return prompts.enumerated().map { index, prompt in
      .init(
        promptTokens: Array(prompt.prefix(200)), maxTokens: 1 + index % 7,
        temperature: index % 3 == 0 ? 0 : 0.9, seed: Int64(index % 5),
        topLogprobs: index % 4 == 0 ? 2 : nil)
    }
  }
}
