import Foundation
import Kernels
import Models
import TestSupport
import Testing

/// Against a plain calculation from all logits of each window.
@Suite struct PerplexityTests {
  /// The scores of a window's second half but its first token, in float64.
  func scores(_ window: [Int32], _ executor: Executor) throws -> [Double] {
    let vocabulary = executor.model.description.vocabularySize
    let logits = try executor.logits(of: window, cache: .f32)
    return (window.count / 2..<window.count - 1).map { position in
      let row = logits[position * vocabulary..<(position + 1) * vocabulary].map { Double($0) }
      let sum = row.reduce(0) { $0 + exp($1) }
      return log(sum) - row[Int(window[position + 1])]
    }
  }

  @Test(
    arguments: [(context: 4, length: 18), (9, 100), (64, 150), (300, 650)], [nil, 7] as [Int32?])
  func isTheMeanOverSecondHalves(
    size: (context: Int, length: Int), beginning: Int32?
  ) throws {
    let executor = Executor(try TestModel.make().load(), compute: try makeCompute(threads: 2))
    let tokens = randomTokens(size.length, seed: 21)
    var expected: [Double] = []
    for start in stride(from: 0, through: size.length - size.context, by: size.context) {
      var window = Array(tokens[start..<start + size.context])
      if let beginning { window[0] = beginning }
      expected += try scores(window, executor)
    }
    var windows: [Int] = []
    let result = try Perplexity(
      of: tokens, beginning: beginning, context: size.context, cache: .f32, executor: executor
    ) { windows.append($0.windows) }
    #expect(windows == Array(1...size.length / size.context))
    #expect(result.tokens == expected.count)
    let mean = expected.reduce(0, +) / Double(expected.count)
    #expect(abs(result.value / exp(mean) - 1) < 1e-5)
    let variance = expected.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(expected.count)
    let error = (variance / Double(expected.count - 1)).squareRoot() * exp(mean)
    #expect(abs(result.standardError / error - 1) < 1e-3)
  }

  @Test func aTextOfLessThanAWindowHasNoScores() throws {
    let executor = Executor(try TestModel.make().load(), compute: try makeCompute())
    let result = try Perplexity(
      of: randomTokens(63, seed: 1), beginning: nil, context: 64, cache: .f16, executor: executor)
    #expect(result.windows == 0 && result.tokens == 0)
  }
}
