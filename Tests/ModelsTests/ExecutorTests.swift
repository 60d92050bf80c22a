import Kernels
import ModelFormats
import Models
import Testing

@Suite struct ExecutorTests {
  @Test(arguments: [-1, 83, Int32.max, Int32.min])
  func tokensOutsideTheVocabularyAreRefused(token: Int32) throws {
    let model = try TestModel.make().load()
    let executor = Executor(model, compute: try makeCompute())
    let (good, bad) = (model.makeSequence(cache: .f32), model.makeSequence(cache: .f32))
    #expect(
      throws: ForwardError.tokenOutOfRange(chunk: 1, index: 2, token: token, vocabularySize: 83)
    ) {
      try executor.forward([
        SequenceChunk(good, tokens: [1], wanted: .last),
        SequenceChunk(bad, tokens: [1, 2, token], wanted: .last),
      ])
    }
    #expect(good.length == 0 && bad.length == 0)
    _ = try executor.forward([SequenceChunk(good, tokens: [1], wanted: .last)])
    #expect(good.length == 1)
  }

  @Test func theContextIsALimit() throws {
    let model = try TestModel.make().load()
    let executor = Executor(model, compute: try makeCompute())
    let sequence = model.makeSequence(cache: .f16)
    let full = randomTokens(300, seed: 5)
    _ = try executor.forward([SequenceChunk(sequence, tokens: full, wanted: .last)])
    #expect(throws: ForwardError.contextExceeded(chunk: 0, length: 301, limit: 300)) {
      try executor.forward([SequenceChunk(sequence, tokens: [1], wanted: .last)])
    }
    #expect(throws: ForwardError.contextExceeded(chunk: 0, length: 301, limit: 300)) {
      try executor.logits(of: full + [1], cache: .f16, chunk: 301)
    }
    #expect(throws: ForwardError.emptyChunk(chunk: 0)) {
      try executor.forward([SequenceChunk(sequence, tokens: [], wanted: .last)])
    }
  }

  @Test func nothingToDoIsFine() throws {
    let executor = Executor(try TestModel.make().load(), compute: try makeCompute())
    #expect(try executor.forward([]).chunks.isEmpty)
  }

  /// A row of the embedding that is not finite fails the sequence that uses it, at its position,
  /// and no other.
  @Test(arguments: [Float.infinity, .nan, -.infinity])
  func nonFiniteValuesFailTheirOwnSequence(value: Float) throws {
    let test = TestModel.make(tied: false)
    var entries = test.source.entries
    let embedding = try test.source.entry("embedding")
    var bytes = embedding.bytes
    let poison = withUnsafeBytes(of: value) { [UInt8]($0) }
    for column in 0..<64 {
      let start = 4 * (5 * 64 + column)
      bytes.replaceSubrange(start..<start + 4, with: poison)
    }
    entries["embedding"] = .init(type: embedding.type, shape: embedding.shape, bytes: bytes)
    let model = try Model(test.description, from: MemoryTensorSource(entries))
    let executor = Executor(model, compute: try makeCompute(threads: 2))
    let healthyTokens = randomTokens(40, seed: 8).map { $0 == 5 ? 6 : $0 }
    let alone = try executor.bits(of: healthyTokens, cache: .f16, chunk: 40)
    for wanted in [SequenceChunk.Wanted.none, .last, .all] {
      let (healthy, poisoned) = (model.makeSequence(cache: .f16), model.makeSequence(cache: .f16))
      let output = try executor.forward([
        SequenceChunk(poisoned, tokens: [1, 2, 5, 3, 4], wanted: wanted),
        SequenceChunk(healthy, tokens: healthyTokens, wanted: .all),
      ])
      #expect(output.chunks[0].firstNonFinitePosition == 2)
      #expect(output.chunks[1].firstNonFinitePosition == nil)
      let bits = output.chunks[1].rows.flatMap { output.logits[$0].map(\.bitPattern) }
      #expect(bits == alone)
    }
  }

  @Test func cacheMemoryIsAsAnnounced() throws {
    let model = try TestModel.make().load()
    let executor = Executor(model, compute: try makeCompute())
    for cache in CacheElement.allCases {
      let sequence = model.makeSequence(cache: cache)
      _ = try executor.forward([
        SequenceChunk(sequence, tokens: randomTokens(65, seed: 1), wanted: .none)
      ])
      let announced = model.description.cacheBytes(tokens: 65, element: cache)
      #expect(sequence.cache.byteCount == announced)
      #expect(announced == 2 * 3 * 2 * 64 * 32 * (cache == .f16 ? 2 : 4))
    }
  }
}
