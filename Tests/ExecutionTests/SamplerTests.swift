import Execution
import Kernels
import Testing
import WirePayloads

@Suite struct SamplerTests {
  /// Known answers of the authors' library (Random123, `kat_vectors`, philox4x32 10).
  @Test func philoxGivesTheKnownAnswers() {
    #expect(
      Philox.block(counter: .zero, key: .zero)
        == SIMD4(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
    #expect(
      Philox.block(counter: SIMD4(repeating: .max), key: SIMD2(repeating: .max))
        == SIMD4(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
    #expect(
      Philox.block(
        counter: SIMD4(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344),
        key: SIMD2(0xa409_3822, 0x299f_31d0))
        == SIMD4(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
  }

  func pick(
    _ logits: [Float], _ sequence: GenerateInputs.Sequence, position: Int = 0
  ) throws -> Sampler.Pick {
    var row = logits
    var sampler = Sampler(compute: try testCompute(), vocabularyCount: logits.count)
    return row.withUnsafeMutableBufferPointer {
      sampler.pick($0, for: sequence, position: position)
    }
  }

  /// Counts of 4,000 draws, one for each position.
  func histogram(_ logits: [Float], _ sequence: GenerateInputs.Sequence) throws -> [Int] {
    var counts = [Int](repeating: 0, count: logits.count)
    var row = logits
    var sampler = Sampler(compute: try testCompute(), vocabularyCount: logits.count)
    for position in 0..<4000 {
      let pick = row.withUnsafeMutableBufferPointer {
        sampler.pick($0, for: sequence, position: position)
      }
      counts[Int(pick.token)] += 1
    }
    return counts
  }

  /// Probabilities 0.1, 0.2, 0.3, 0.4.
  static let logits: [Float] = [-2.302585, -1.609438, -1.2039728, -0.9162907]

  @Test func zeroTemperatureTakesTheLargestAndTheLowerOfEquals() throws {
    #expect(try pick([1, 3, 3, 2], .init(promptTokens: [0], maxTokens: 1)).token == 1)
  }

  @Test func drawsFollowTheProbabilities() throws {
    let counts = try histogram(
      Self.logits, .init(promptTokens: [0], maxTokens: 1, temperature: 1, seed: 11))
    // Four standard deviations of a binomial of 4,000.
    for (count, expected) in zip(counts, [400.0, 800, 1200, 1600]) {
      #expect(abs(Double(count) - expected) < 125)
    }
  }

  @Test func cutsRemoveTheUnlikely() throws {
    func support(_ change: (inout GenerateInputs.Sequence) -> Void) throws -> [Bool] {
      var sequence = GenerateInputs.Sequence(
        promptTokens: [0], maxTokens: 1, temperature: 1, seed: 3)
      change(&sequence)
      return try histogram(Self.logits, sequence).map { $0 > 0 }
    }
    #expect(try support { $0.topK = 2 } == [false, false, true, true])
    #expect(try support { $0.topP = 0.65 } == [false, false, true, true])
    #expect(try support { $0.topP = 0.75 } == [false, true, true, true])
    #expect(try support { $0.topP = 0.01 } == [false, false, false, true])
    #expect(try support { $0.minP = 0.6 } == [false, false, true, true])
    #expect(try support { $0.minP = 1 } == [false, false, false, true])
    #expect(
      try support {
        $0.topK = 3
        $0.topP = 0.5
      } == [false, false, true, true])
    #expect(try support { $0.temperature = 0.01 } == [false, false, false, true])
  }

  @Test func extremeTemperaturesStayDefined() throws {
    let row: [Float] = [3e38, -3e38, 0, 3e38]
    for temperature in [Float.leastNonzeroMagnitude, 1e-30, 1, .greatestFiniteMagnitude] {
      let sequence = GenerateInputs.Sequence(
        promptTokens: [0], maxTokens: 1, temperature: temperature, seed: 1)
      for position in 0..<50 {
        let token = try pick(row, sequence, position: position).token
        #expect((0..<4).contains(token))
      }
    }
  }

  @Test func logprobsAreThoseOfTheUnscaledRow() throws {
    let pick = try pick(
      Self.logits,
      .init(promptTokens: [0], maxTokens: 1, temperature: 0.5, topK: 1, topLogprobs: 3))
    #expect(pick.token == 3)
    #expect(abs(pick.logprob - -0.9162907) < 1e-5)
    #expect(pick.topTokens == [3, 2, 1])
    for (value, expected) in zip(pick.topLogprobs, [-0.9162907, -1.2039728, -1.609438] as [Float]) {
      #expect(abs(value - expected) < 1e-5)
    }
  }

  /// The order must hold beyond the part that is sorted first.
  @Test func alternativesAreInOrderToTheLast() throws {
    let row = (0..<40).map { Float(($0 * 17) % 40 / 2) * 3 }
    let expected = row.indices.sorted { row[$0] != row[$1] ? row[$0] > row[$1] : $0 < $1 }
    let pick = try pick(row, .init(promptTokens: [0], maxTokens: 1, topLogprobs: 20))
    #expect(pick.topTokens == expected.prefix(20).map(Int32.init))
  }
}
