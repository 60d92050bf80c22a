import Kernels
import ModelFormats
import Models
import Testing

/// Whole-model logits are the same bits whatever the threads, the chunks, the batch and the
/// processor.
@Suite struct SameBitsTests {
  static let matrixTypes: [ElementType] = [.float32, .float16, .bfloat16, .q8_0, .q4_0, .q4_1]

  /// Longer than two attention blocks of 64 keys.
  static let tokens = randomTokens(150, seed: 11)

  @Test(arguments: matrixTypes, CacheElement.allCases)
  func overThreadsAndChunks(_ type: ElementType, _ cache: CacheElement) throws {
    let model = try TestModel.make(matrices: type, window: 70).load()
    let whole = try Executor(model, compute: makeCompute()).bits(
      of: Self.tokens, cache: cache, chunk: Self.tokens.count)
    for threads in [1, 2, 5] {
      let executor = Executor(model, compute: try makeCompute(threads: threads))
      for chunk in [1, 7, 64, Self.tokens.count] {
        let bits = try executor.bits(of: Self.tokens, cache: cache, chunk: chunk)
        #expect(bits == whole, "\(threads) threads, chunks of \(chunk)")
      }
    }
  }

  @Test(arguments: matrixTypes)
  func overKernelVariants(_ type: ElementType) throws {
    let model = try TestModel.make(matrices: type, biased: true, window: 70).load()
    print("kernel variants compared: \(KernelSet.available.map(\.rawValue))")
    let reference = try Executor(
      model, compute: Compute(kernels: KernelSet(.scalarSoftware), threads: 1))
    for cache in CacheElement.allCases {
      let expected = try reference.bits(of: Self.tokens, cache: cache, chunk: 64)
      for variant in KernelSet.available {
        let executor = try Executor(
          model, compute: Compute(kernels: KernelSet(variant), threads: 2))
        let bits = try executor.bits(of: Self.tokens, cache: cache, chunk: 64)
        #expect(bits == expected, "\(variant), \(cache) cache")
      }
    }
  }

  /// Sequences of different lengths share steps; each gives what it gives alone.
  @Test(arguments: [ElementType.float32, .q8_0, .q4_1], 1...9)
  func overBatchSizes(_ type: ElementType, _ batch: Int) throws {
    let model = try TestModel.make(matrices: type, tied: false).load()
    let executor = Executor(model, compute: try makeCompute(threads: 2))
    let prompts = (0..<batch).map { randomTokens(3 + 29 * $0 % 100, seed: UInt64($0)) }
    let continuations = (0..<batch).map { randomTokens(4, seed: UInt64(100 + $0)) }
    let alone = try zip(prompts, continuations).map { prompt, continuation in
      try executor.bits(of: prompt + continuation, cache: .f16, chunk: 1000)
    }
    let sequences = prompts.map { _ in model.makeSequence(cache: .f16) }
    var together = try rows(
      executor.forward(
        zip(sequences, prompts).map { SequenceChunk($0, tokens: $1, wanted: .all) }))
    for step in 0..<4 {
      let output = try executor.forward(
        zip(sequences, continuations).map { SequenceChunk($0, tokens: [$1[step]], wanted: .last) })
      for (index, bits) in rows(output).enumerated() { together[index] += bits }
    }
    for index in 0..<batch {
      #expect(together[index] == alone[index], "sequence \(index) of \(batch)")
    }
  }

  /// The bits of each chunk's logits.
  func rows(_ output: Executor.Output) -> [[UInt32]] {
    output.chunks.map { chunk in chunk.rows.flatMap { output.logits[$0].map(\.bitPattern) } }
  }

  @Test func wantedPositionsDoNotChangeTheLogits() throws {
    let model = try TestModel.make().load()
    let executor = Executor(model, compute: try makeCompute())
    let tokens = randomTokens(90, seed: 3)
    let all = try executor.bits(of: tokens, cache: .f32, chunk: 90)
    let (first, second) = (model.makeSequence(cache: .f32), model.makeSequence(cache: .f32))
    let output = try executor.forward([
      SequenceChunk(first, tokens: tokens, wanted: .none),
      SequenceChunk(second, tokens: tokens, wanted: .last),
    ])
    #expect(output.chunks.map(\.rows) == [0..<0, 0..<1])
    #expect(rows(output)[1] == Array(all.suffix(83)))
    #expect(first.length == 90)
  }

  @Test func forksAndTruncatedSequencesContinueWithTheSameBits() throws {
    let model = try TestModel.make(matrices: .q8_0).load()
    let executor = Executor(model, compute: try makeCompute())
    let prompt = randomTokens(70, seed: 1)
    let (left, right) = (randomTokens(20, seed: 2), randomTokens(20, seed: 3))
    let original = model.makeSequence(cache: .f16)
    _ = try executor.forward([SequenceChunk(original, tokens: prompt, wanted: .none)])
    let copy = original.fork()
    let output = rows(
      try executor.forward([
        SequenceChunk(original, tokens: left, wanted: .all),
        SequenceChunk(copy, tokens: right, wanted: .all),
      ]))
    let expected = try [left, right].map {
      Array(try executor.bits(of: prompt + $0, cache: .f16, chunk: 1000).suffix(20 * 83))
    }
    #expect(output == expected)
    original.truncate(to: 70)
    let again = rows(
      try executor.forward([SequenceChunk(original, tokens: right, wanted: .all)]))
    #expect(again == [expected[1]])
  }
}
