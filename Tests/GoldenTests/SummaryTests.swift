import Foundation
import Kernels
import ModelFormats
import Models
import Testing

/// What `tally model inspect` says of every model of the ground truth.
@Suite struct SummaryTests {
  @Test(arguments: GoldenCase.supported)
  func theFiguresAreThoseOfTheLoadedModel(_ golden: GoldenCase) throws {
    let files = try ModelFiles(path: golden.model.path)
    let summary = try ModelSummary(files.description, files.source)
    let layers = summary.layers
    #expect(layers.flatMap { Array($0.layers) } == Array(files.description.layers.indices))
    let parameters = layers.reduce(summary.embeddingParameters + summary.headParameters) {
      $0 + $1.layers.count * $1.parameters
    }
    #expect(parameters == files.description.parameterCount)
    let model = try Model(files.description, from: files.source)
    #expect(summary.weightBytes >= model.weightBytes)
    // Vectors count too, and matrices at their widest.
    #expect(summary.weightBytesPerToken >= model.bytesPerStep)
    #expect(summary.weightBytesPerToken < 2 * model.bytesPerStep + 100_000)
    let sequence = model.makeSequence(cache: .f16)
    let executor = Executor(model, compute: try makeCompute())
    _ = try executor.forward([SequenceChunk(sequence, tokens: [3, 4, 5], wanted: .none)])
    #expect(sequence.cache.byteCount == 64 * summary.cacheBytesPerToken)
    #expect(
      files.description.cacheBytes(tokens: 3, element: .f16)
        == 64 * summary.cacheBytesPerToken + summary.stateBytes)
    #expect(summary.activeParameters <= files.description.parameterCount || !summary.hasExperts)
  }

  /// Programs that know the first kinds alone must not compute the others.
  @Test(arguments: [
    ("llama2", 1), ("llama3.1", 1), ("mistral", 1), ("qwen2.5", 1), ("qwen3", 1), ("mixtral", 2),
    ("qwen3_moe", 2), ("gemma2", 2), ("gemma4", 2), ("deepseek_v3_fp8", 2), ("qwen3_5", 2),
    ("mimo_v2_flash", 2), ("../gguf/llama2.gguf", 1), ("../gguf/deepseek_v3.gguf", 2),
    ("../gguf/qwen3_5.gguf", 3),
  ])
  func theManifestsVersionTellsWhoCanComputeIt(_ name: String, _ version: Int) throws {
    let folder = GoldenFolder.own.appendingPathComponent("models/\(name)")
    #expect(try ModelFiles(path: folder.path).description.manifestVersion == version)
  }
}
