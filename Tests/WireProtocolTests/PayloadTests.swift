import Foundation
import ModelFormats
import TestSupport
import Testing
import WirePayloads

@Suite struct GeneratePayloadTests {
  static let inputs = GenerateInputs(sequences: [
    .init(promptTokens: [1, 2, 3], maxTokens: 4),
    .init(
      promptTokens: [9], maxTokens: 2, temperature: 0.7, topP: 0.9, minP: 0.05, topK: 40,
      seed: -5, topLogprobs: 2, stopStrings: [Array("\n\n".utf8), Array("é".utf8)]),
    .init(promptTokens: [0, 5], maxTokens: 1, topLogprobs: 0, stopStrings: [[255]]),
  ])

  static let result = GenerateResult(sequences: [
    .init(tokens: [7, 8], finish: .endOfSequence, logprobs: [-0.5, -0.25]),
    .init(
      tokens: [3], finish: .stopString, logprobs: [-1], topTokens: [3, 4],
      topLogprobs: [-1, -2]),
    .init(tokens: [], finish: .nonFinite),
  ])

  @Test func inputsComeBackAsWritten() throws {
    let bytes = try Self.inputs.encoded()
    #expect(try GenerateInputs(decoding: bytes) == Self.inputs)
    #expect(try Self.inputs.encoded() == bytes)
  }

  @Test func resultComesBackAsWritten() throws {
    let bytes = try Self.result.encoded()
    #expect(try GenerateResult(decoding: bytes, for: Self.inputs) == Self.result)
    #expect(bytes.count <= GenerateResult.limitBytes(for: Self.inputs.outline))
  }

  @Test func resultOfOtherInputsIsRefused() throws {
    let bytes = try Self.result.encoded()
    var fewer = Self.inputs
    fewer.sequences.removeLast()
    #expect(throws: FormatError.self) { try GenerateResult(decoding: bytes, for: fewer) }
    var shorter = Self.inputs
    shorter.sequences[0].maxTokens = 1
    #expect(throws: PayloadError.self) { try GenerateResult(decoding: bytes, for: shorter) }
    var wider = Self.inputs
    wider.sequences[0].topLogprobs = 1
    #expect(throws: FormatError.self) { try GenerateResult(decoding: bytes, for: wider) }
  }

  @Test(arguments: [
    GenerateInputs.Sequence(promptTokens: [], maxTokens: 1),
    .init(promptTokens: [1], maxTokens: 0),
    .init(promptTokens: [1], maxTokens: 1, temperature: .nan),
    .init(promptTokens: [1], maxTokens: 1, temperature: -1),
    .init(promptTokens: [1], maxTokens: 1, topP: 0),
    .init(promptTokens: [1], maxTokens: 1, minP: 1.5),
    .init(promptTokens: [1], maxTokens: 1, topK: -1),
    .init(promptTokens: [1], maxTokens: 1, topLogprobs: 21),
    .init(promptTokens: [1], maxTokens: 1, stopStrings: [[]]),
  ])
  func outOfRangeSequenceIsRefused(_ sequence: GenerateInputs.Sequence) {
    #expect(throws: PayloadError.self) { try GenerateInputs(sequences: [sequence]).encoded() }
  }

  @Test func tokensBeyondTheVocabularyAreRefused() throws {
    let bytes = try Self.result.encoded()
    func check(_ size: Int?) throws -> GenerateResultIndex {
      try GenerateResult.check(bytes, for: Self.inputs.outline, vocabularySize: size)
    }
    #expect(try check(9).finish(of: 1) == .stopString)
    #expect(try check(nil).tokenCount(of: 0) == 2)
    #expect(throws: PayloadError.self) { try check(8) }
    var negative = Self.result
    negative.sequences[1].topTokens[1] = -1
    #expect(throws: PayloadError.self) {
      try GenerateResult.check(
        negative.encoded(), for: Self.inputs.outline, vocabularySize: nil)
    }
  }

  @Test func sequencesAreReadOneByOne() async throws {
    let bytes = try Self.result.encoded()
    var read = 0
    let outline = Self.inputs.outline
    let index = try await GenerateResultIndex(bytes: bytes.count, for: outline) { range in
      bytes[range]
    }
    for (number, sequence) in Self.result.sequences.enumerated() {
      #expect(
        await index.sequence(number) { range in
          read += range.count
          return bytes[range]
        } == sequence)
    }
    // Two tokens, and one with two alternatives, of four bytes a number.
    #expect(read == 4 * (2 + 2 + 1 + 1 + 2 + 2))
    #expect(throws: PayloadError.self) {
      try GenerateResult.check(
        bytes, for: Array(Self.inputs.outline.reversed()), vocabularySize: nil)
    }
  }

  /// Of results that are long in the wrong place little is read.
  @Test(arguments: ["finish", "header", "another tensor"])
  func resultsThatAreLongInTheWrongPlaceAreRefused(_ wrong: String) throws {
    let count = 100_000
    let inputs = GenerateInputs(
      sequences: [.init(promptTokens: [1], maxTokens: count, topLogprobs: 20)])
    var writer = SafetensorsWriter(
      metadata: wrong == "header" ? ["x": String(repeating: "[", count: 5000)] : [:])
    try writer.add("tokens", [Int32](repeating: 0, count: count))
    try writer.add("offsets", [0, Int32(count)])
    try writer.add("finish", [UInt8(wrong == "finish" ? 9 : 1)])
    try writer.add("logprobs", [Float](repeating: 0, count: count))
    try writer.add("top_tokens", [Int32](repeating: 0, count: 20 * count))
    try writer.add("top_logprobs", [Float](repeating: 0, count: 20 * count))
    if wrong == "another tensor" { try writer.add("more", [Float](repeating: 0, count: count)) }
    let data = writer.data()
    #expect { try GenerateResult(decoding: data, for: inputs) } throws: {
      $0 is PayloadError || $0 is FormatError
    }
  }

  /// Whatever bytes come from a stranger, a reader throws or returns something it can write again.
  @Test func damagedPayloadsNeverTrap() throws {
    var generator = SystemRandomNumberGenerator()
    let seed = UInt64.random(in: .min ... .max, using: &generator)
    print("payload damage seed \(seed)")
    var random = SeededRandom(seed: seed)
    let inputs = try Self.inputs.encoded()
    let result = try Self.result.encoded()
    for _ in 0..<4000 {
      let damagedInputs = random.damage(inputs)
      if let read = try? GenerateInputs(decoding: damagedInputs) { _ = try read.encoded() }
      let damagedResult = random.damage(result)
      if let read = try? GenerateResult(decoding: damagedResult, for: Self.inputs) {
        _ = try read.encoded()
      }
    }
  }

  @Test func vocabularyBytesComeBackAsWritten() throws {
    let vocabulary = VocabularyBytes(tokens: [[1, 2], [], [3]])
    let read = try VocabularyBytes(decoding: vocabulary.encoded())
    #expect(read == vocabulary)
    #expect(Array(read[0]) == [1, 2])
    #expect(Array(read[2]) == [3])
    #expect(read[-1].isEmpty)
    #expect(read[3].isEmpty)
  }
}

@Suite struct ZstdTests {
  @Test func expandsWhatItCompressed() throws {
    let data = Data((0..<300_000).map { UInt8(truncatingIfNeeded: $0 / 7) })
    let packed = try Zstd.compress(data)
    #expect(packed.count < data.count / 10)
    #expect(try Zstd.decompress(packed, limit: data.count) == data)
    #expect(try Zstd.decompress(Zstd.compress(Data()), limit: 0) == Data())
  }

  @Test func framesComeInPieces() throws {
    let data = Data((0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* $0 / 7) })
    let packed = try Zstd.compress(data)
    for size in [1, 1000, packed.count] {
      var rest = packed[...]
      let read = try Zstd.decompress(limit: data.count) {
        defer { rest = rest.dropFirst(size) }
        return rest.isEmpty ? nil : Data(rest.prefix(size))
      }
      #expect(read == data)
    }
  }

  @Test func oneFrameIsAllThatIsTaken() throws {
    let (one, two) = (try Zstd.compress(Data([1, 2])), try Zstd.compress(Data([3])))
    #expect(throws: ZstdError.trailing) { try Zstd.decompress(one + two, limit: 100) }
    var pieces = [two, one]
    #expect(throws: ZstdError.trailing) { try Zstd.decompress(limit: 100) { pieces.popLast() } }
  }

  @Test func bombsStopAtTheLimit() throws {
    let bomb = try Zstd.compress(Data(count: 50_000_000))
    #expect(bomb.count < 10_000)
    #expect(throws: ZstdError.tooLarge(limitBytes: 1_000_000)) {
      try Zstd.decompress(bomb, limit: 1_000_000)
    }
  }

  @Test func cutAndDamagedFramesAreRefused() throws {
    let packed = try Zstd.compress(Data((0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 37) }))
    for count in [0, 1, packed.count / 2, packed.count - 1] {
      #expect(throws: ZstdError.self) {
        try Zstd.decompress(packed.prefix(count), limit: 10_000)
      }
    }
    var damaged = packed
    damaged[damaged.count - 6] ^= 1
    #expect(throws: ZstdError.self) { try Zstd.decompress(damaged, limit: 10_000) }
    #expect(throws: ZstdError.self) {
      try Zstd.decompress(packed + Data([1, 2, 3]), limit: 10_000)
    }
  }
}

extension SeededRandom {
  /// Flips, inserts, removes or cuts some bytes.
  mutating func damage(_ data: Data) -> Data {
    var bytes = [UInt8](data)
    for _ in 0..<Int.random(in: 1...4, using: &self) where !bytes.isEmpty {
      let index = Int.random(in: 0..<bytes.count, using: &self)
      switch Int.random(in: 0..<4, using: &self) {
      case 0: bytes[index] = UInt8.random(in: 0...255, using: &self)
      case 1: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &self)
      case 2: bytes.insert(UInt8.random(in: 0...255, using: &self), at: index)
      default: bytes.removeSubrange(index...)
      }
    }
    return Data(bytes)
  }
}
