import Foundation
import Kernels
import ModelFormats
import Models
import TestSupport
import Testing

/// Adapters as llama.cpp loads them; that it does is for the end-to-end tests.
@Suite struct GGUFAdapterTests {
  private static func model(_ name: String) throws -> Model {
    try Model(path: TrainerTests.path(name))
  }

  @Test func tensorsAreNamedAfterTheirMatrices() throws {
    let model = try Self.model("qwen2.5")
    var adapter = Adapter.initial(for: model.description, rank: 2, alpha: 6, seed: 3)
    adapter.pairs = adapter.pairs.mapValues { pair in
      var pair = pair
      pair.b = pair.b.indices.map { Float($0) }
      return pair
    }
    let data = try GGUFAdapter.data(adapter, of: model.description, name: "a test")
    let file = try GGUFFile(bytes: Array(data), name: "adapter")
    #expect(file.metadata["general.architecture"]?.stringValue == "qwen2")
    #expect(file.metadata["adapter.type"]?.stringValue == "lora")
    #expect(file.metadata["adapter.lora.alpha"]?.doubleValue == 6)
    #expect(file.tensors.count == 14 * model.description.layers.count)
    for (name, shape) in [
      ("blk.1.attn_q.weight.lora_a", [2, 64]), ("blk.0.ffn_down.weight.lora_b", [64, 2]),
    ] {
      #expect(file.tensors.first { $0.name == name }?.shape == shape, "\(name)")
    }
  }

  /// llama.cpp multiplies with alpha / rank; a rank-stabilised adapter has to come out the same.
  @Test func theScaleIsTheAdaptersOwn() throws {
    let model = try Self.model("qwen2.5")
    let adapter = Adapter.initial(
      for: model.description, rank: 4, alpha: 6, isRankStabilised: true, seed: 3)
    let file = try GGUFFile(
      bytes: Array(GGUFAdapter.data(adapter, of: model.description, name: "a")), name: "adapter")
    let alpha = try #require(file.metadata["adapter.lora.alpha"]?.doubleValue)
    // The rest of the factor is in B.
    #expect(alpha == 6 && adapter.scale(rank: 4) == 3)
  }

  @Test func familiesWithoutSuchFilesAreRefused() throws {
    var description = try Self.model("qwen2.5").description
    description.family = "another"
    let adapter = Adapter.initial(for: description, rank: 2, alpha: 6, seed: 3)
    #expect(throws: FormatError.self) { try GGUFAdapter.data(adapter, of: description, name: "a") }
  }
}
