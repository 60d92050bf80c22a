import Execution
import Foundation
import Models
import Testing
import WirePayloads

/// How many sequences share a limit of memory.
@Suite struct MemoryPlanTests {
  private static let path = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Fixtures/models/llama2").path
  private let description: ModelDescription
  private static let weightBytes = 100 << 20

  init() throws { description = try ModelFiles(path: Self.path).description }

  private func inputs(_ count: Int, topLogprobs: Int? = nil) -> GenerateInputs {
    GenerateInputs(
      sequences: (0..<count).map { _ in
        .init(promptTokens: [1, 2, 3], maxTokens: 1 << 20, topLogprobs: topLogprobs)
      })
  }

  private func active(_ inputs: GenerateInputs, limitBytes: Int) throws -> Int {
    try MemoryPlan.batchLimits(
      description: description, weightBytes: Self.weightBytes, inputs: inputs, cache: .f16,
      limitBytes: limitBytes
    ).activeSequences
  }

  /// However long they become, with the weights, what they give and the program itself.
  @Test func sequencesThatRunTogetherFitAtFullLength() throws {
    let full = description.cacheBytes(tokens: description.contextLength, element: .f16)
    let given = 40 * (description.contextLength - 3) * 8
    var counts: Set<Int> = []
    for share in 0...120 {
      let limit = Self.weightBytes + (40 << 20) + share * full
      guard let count = try? active(inputs(40), limitBytes: limit) else { continue }
      counts.insert(count)
      let isAlone = count == 1
      #expect(isAlone || Self.weightBytes + count * full + given + (40 << 20) <= limit)
    }
    #expect(counts.count > 20 && counts.max() == 32)
  }

  @Test func whatSequencesGiveCountsButRefusesNone() throws {
    let full = description.cacheBytes(tokens: description.contextLength, element: .f16)
    let limit = Self.weightBytes + (60 << 20) + 8 * full
    #expect(
      try active(inputs(40, topLogprobs: 20), limitBytes: limit)
        < active(inputs(40), limitBytes: limit))
    #expect(try active(inputs(10_000, topLogprobs: 20), limitBytes: limit) == 1)
  }

  @Test func oneSequenceThatCannotFitIsRefused() {
    #expect {
      try active(inputs(1), limitBytes: Self.weightBytes + (30 << 20))
    } throws: {
      if case ExecutionError.outOfMemory = $0 { true } else { false }
    }
  }
}
