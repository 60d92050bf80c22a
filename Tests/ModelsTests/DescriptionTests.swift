import Foundation
import ModelFormats
import Models
import Testing

@Suite struct DescriptionTests {
  @Test func jsonIsCanonicalAndReadsBack() throws {
    let description = TestModel.make(biased: true, window: 9).description
    let json = try description.canonicalJSON()
    let copy = try JSONDecoder().decode(ModelDescription.self, from: json)
    #expect(copy == description)
    #expect(try copy.canonicalJSON() == json)
    #expect(!json.contains(UInt8(ascii: " ")) && !json.contains(UInt8(ascii: "\n")))
  }

  @Test func operationsFollowTheFormula() {
    let description = TestModel.make(tied: false).description
    let matrices = 3.0 * 2 * Double(64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 96)
    let head = 2.0 * 64 * 83
    let attention = 3.0 * 4 * 4 * 16
    #expect(description.flops(promptTokens: 0, generatedTokens: 0) == 0)
    #expect(description.flops(promptTokens: 5, generatedTokens: 0) == 5 * matrices + 15 * attention)
    #expect(
      description.flops(promptTokens: 5, generatedTokens: 1)
        == 5 * matrices + 15 * attention + head)
    #expect(
      description.flops(promptTokens: 5, generatedTokens: 3)
        == 7 * matrices + 28 * attention + 3 * head)
    #expect(description.flops(promptTokens: -1, generatedTokens: -1) == 0)
  }

  @Test func aWindowBoundsTheOperationsOfAttention() {
    let description = TestModel.make(window: 4).description
    let plain = TestModel.make().description
    let difference =
      plain.flops(promptTokens: 10, generatedTokens: 0)
      - description.flops(promptTokens: 10, generatedTokens: 0)
    // One layer of three: 55 keys become 1 + 2 + 3 + 7 x 4.
    #expect(difference == Double(55 - 34) * 4 * 4 * 16)
  }

  @Test func parametersAreCountedOnce() {
    let tied = TestModel.make().description.parameterCount
    let untied = TestModel.make(tied: false).description.parameterCount
    #expect(untied - tied == 83 * 64)
  }
}
