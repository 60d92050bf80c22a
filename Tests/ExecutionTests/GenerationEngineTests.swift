import Execution
import Kernels
import Testing
import WirePayloads
import WireProtocol

@Suite struct GenerationEngineTests {
  static let model = Digest(hex: String(repeating: "00", count: 32))!
  let specification = UnitSpecification(
    kind: .generate, model: Self.model, inputs: Self.model, cache: .f16)

  func run(
    _ sequences: [GenerateInputs.Sequence], model: FakeModel = FakeModel(),
    vocabulary: VocabularyBytes? = nil, limits: BatchLimits = BatchLimits()
  ) throws -> GenerateResult {
    try UnitExecutor.run(
      specification, inputs: GenerateInputs(sequences: sequences), vocabulary: vocabulary,
      model: model, compute: try testCompute(), limits: limits)
  }

  static let mixed: [GenerateInputs.Sequence] = (0..<23).map { index in
    GenerateInputs.Sequence(
      promptTokens: (0...(index * 7 % 31)).map { Int32(($0 * 3 + index) % 50) },
      maxTokens: 1 + index * 5 % 17, temperature: index % 3 == 0 ? 0 : 0.8,
      topP: index % 2 == 0 ? 1 : 0.9, topK: index % 5 == 0 ? 10 : 0, seed: Int64(index % 4),
      topLogprobs: index % 4 == 0 ? 3 : nil)
  }

  /// The invariant that verification rests on: who else is in the batch changes nothing.
  @Test func resultDoesNotDependOnBatching() throws {
    let alone = try Self.mixed.map { try run([$0]).sequences[0] }
    for limits in [
      BatchLimits(activeSequences: 1, rows: 1), BatchLimits(activeSequences: 3, rows: 2),
      BatchLimits(activeSequences: 8, rows: 5), BatchLimits(activeSequences: 64, rows: 1000),
    ] {
      let model = FakeModel()
      let together = try run(Self.mixed, model: model, limits: limits)
      #expect(together.sequences == alone)
      #expect(model.largestPass <= max(limits.rows, limits.activeSequences))
    }
  }

  @Test func sequencesEndForTheirOwnReasons() throws {
    let long = try run(
      [.init(promptTokens: [5], maxTokens: 40)], model: FakeModel(endOfSequence: []))
    #expect(long.sequences[0].tokens.count == 40)
    #expect(long.sequences[0].finish == .length)

    let third = long.sequences[0].tokens[2]
    let first = long.sequences[0].tokens.firstIndex(of: third)!
    let ended = try run(
      [.init(promptTokens: [5], maxTokens: 40)], model: FakeModel(endOfSequence: [third]))
    #expect(ended.sequences[0].tokens == Array(long.sequences[0].tokens[...first]))
    #expect(ended.sequences[0].finish == .endOfSequence)

    let full = try run(
      [.init(promptTokens: [5, 6], maxTokens: 40)],
      model: FakeModel(contextLength: 10, endOfSequence: []))
    #expect(full.sequences[0].tokens.count == 8)
    #expect(full.sequences[0].finish == .length)
  }

  @Test func stopStringsMayEndInsideTokens() throws {
    let free = try run(
      [.init(promptTokens: [5], maxTokens: 12)], model: FakeModel(endOfSequence: []))
    let tokens = free.sequences[0].tokens
    // Each token contributes "<id>", so a stop string across two tokens is known.
    let vocabulary = VocabularyBytes(tokens: (0..<50).map { Array("<\($0)>".utf8) })
    let stop = Array("\(tokens[3])><\(tokens[4])".utf8)
    let stopped = try run(
      [.init(promptTokens: [5], maxTokens: 12, stopStrings: [Array("nothing".utf8), stop])],
      model: FakeModel(endOfSequence: []), vocabulary: vocabulary)
    #expect(stopped.sequences[0].tokens == Array(tokens[...4]))
    #expect(stopped.sequences[0].finish == .stopString)
  }

  @Test func nonFiniteFailsThatRequestAlone() throws {
    let model = FakeModel(endOfSequence: [])
    model.poisoned = { _, count in count == 7 }
    let result = try run(
      [.init(promptTokens: [1, 2, 3], maxTokens: 20), .init(promptTokens: [1], maxTokens: 3)],
      model: model)
    #expect(result.sequences[0].finish == .nonFinite)
    #expect(result.sequences[0].tokens.count == 4)
    #expect(result.sequences[1].finish == .length)
    #expect(result.sequences[1].tokens.count == 3)
  }

  @Test func impossibleInputsAreRefused() {
    #expect(throws: ExecutionError.promptTooLong(sequence: 0, tokens: 10, context: 10)) {
      try run(
        [.init(promptTokens: .init(repeating: 1, count: 10), maxTokens: 1)],
        model: FakeModel(contextLength: 10))
    }
    #expect(throws: ExecutionError.tokenOutOfRange(sequence: 0, token: 50, vocabulary: 50)) {
      try run([.init(promptTokens: [50], maxTokens: 1)])
    }
    #expect(throws: ExecutionError.tokenOutOfRange(sequence: 0, token: -1, vocabulary: 50)) {
      try run([.init(promptTokens: [-1], maxTokens: 1)])
    }
    #expect(throws: ExecutionError.vocabularyMissing) {
      try run([.init(promptTokens: [1], maxTokens: 1, stopStrings: [[1]])])
    }
    var other = specification
    other.profile = "exact-0"
    #expect(throws: ExecutionError.profileMismatch("exact-0")) {
      try UnitExecutor.run(
        other, inputs: GenerateInputs(sequences: [.init(promptTokens: [1], maxTokens: 1)]),
        vocabulary: nil, model: FakeModel(), compute: try testCompute())
    }
  }

  @Test func cancellationStopsBetweenPasses() throws {
    var passes = 0
    #expect(throws: ExecutionError.cancelled) {
      try UnitExecutor.run(
        specification,
        inputs: GenerateInputs(sequences: [.init(promptTokens: [1], maxTokens: 50)]),
        vocabulary: nil, model: FakeModel(endOfSequence: []), compute: try testCompute(),
        progress: { _ in passes += 1 }, isCancelled: { passes == 3 })
    }
    #expect(passes == 3)
  }
}
