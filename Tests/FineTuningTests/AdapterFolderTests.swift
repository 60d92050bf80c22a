import FineTuning
import Foundation
import Kernels
import ModelFormats
import Models
import TestSupport
import Testing

@Suite struct AdapterFolderTests {
  let place: TemporaryFolder

  init() throws { place = try TemporaryFolder() }

  @Test(arguments: ["llama3.1", "gemma3"]) func foldersComeBackAsWritten(_ name: String) throws {
    var random = SeededRandom(seed: 1)
    let model = try FrozenModel(TrainerTests.model(name))
    var adapter = TrainerTests.adapter(model, &random)
    for change in 0..<3 {
      if change == 1 { adapter.isRankStabilised = true }
      if change == 2 {
        adapter.pairs[LinearSite(layer: 0, kind: .down)] = nil
        let site = LinearSite(layer: 1, kind: .up)
        adapter.pairs[site] = adapter.pairs[site].map {
          Adapter.Pair(
            rank: 1, inputs: $0.inputs, outputs: $0.outputs, a: Array($0.a.prefix($0.inputs)),
            b: Array($0.b.prefix($0.outputs)))
        }
      }
      try AdapterFolder.write(
        adapter, of: model.dense.description, baseModel: "owner/name", to: place.url)
      let read = try AdapterFolder(place.url)
      #expect(read.adapter == adapter)
      #expect(read.baseModel == "owner/name")
    }
  }

  /// Folders of PEFT's own, changed in one place each.
  @Test func foldersOfOtherKindsAreRefused() throws {
    let initial = GoldenRun.own.appendingPathComponent("lora/llama3.1/initial")
    let config = try String(
      contentsOf: initial.appendingPathComponent(AdapterFolder.configFile), encoding: .utf8)
    let weights = try Data(contentsOf: initial.appendingPathComponent(AdapterFolder.weightsFile))
    func read(_ config: String, _ weights: Data) throws -> AdapterFolder {
      try Data(config.utf8).write(to: place.url.appendingPathComponent(AdapterFolder.configFile))
      try weights.write(to: place.url.appendingPathComponent(AdapterFolder.weightsFile))
      return try AdapterFolder(place.url)
    }
    #expect(try !read(config, weights).adapter.pairs.isEmpty)
    for (from, to) in [
      ("\"LORA\"", "\"LOHA\""), ("\"bias\": \"none\"", "\"bias\": \"all\""),
      ("\"use_dora\": false", "\"use_dora\": true"),
      ("\"modules_to_save\": null", "\"modules_to_save\": [\"lm_head\"]"),
      ("\"alpha_pattern\": {}", "\"alpha_pattern\": {\"q_proj\": 2}"),
      ("\"r\": ", "\"r\": 1"), ("\"lora_alpha\": ", "\"lora_alpha\": \"x\", \"y\": "),
    ] {
      let changed = config.replacingOccurrences(of: from, with: to)
      #expect(changed != config)
      #expect(throws: FormatError.self, "\(to)") { try read(changed, weights) }
    }
    func file(_ tensors: [(String, [Int])]) throws -> Data {
      var writer = SafetensorsWriter()
      for (name, shape) in tensors {
        try writer.add(name, shape: shape, [Float](repeating: 1, count: shape.reduce(1, *)))
      }
      return writer.data()
    }
    let module = "base_model.model.model.layers.0.self_attn.q_proj"
    let rank = 4
    #expect(
      try read(
        config,
        file([("\(module).lora_A.weight", [rank, 64]), ("\(module).lora_B.weight", [64, rank])])
      )
      .adapter.pairs.count == 1)
    for tensors in [
      [("\(module).lora_A.weight", [rank, 64])],
      [("\(module).lora_A.weight", [rank, 64]), ("\(module).lora_B.weight", [64, rank + 1])],
      [("\(module).lora_A.weight", [rank, 0]), ("\(module).lora_B.weight", [64, rank])],
      [("\(module).lora_A.weight", [rank]), ("\(module).lora_B.weight", [64, rank])],
      [("base_model.model.lm_head.lora_A.weight", [rank, 64])],
      [("base_model.model.model.layers.01.self_attn.q_proj.lora_A.weight", [rank, 64])],
      [("base_model.model.model.layers.0.mlp.q_proj.lora_A.weight", [rank, 64])], [],
    ] as [[(String, [Int])]] {
      let data = try file(tensors)
      #expect(throws: FormatError.self, "\(tensors)") { try read(config, data) }
    }
  }
}
