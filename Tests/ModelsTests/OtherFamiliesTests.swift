import Foundation
import ModelFormats
import Models
import Testing

/// What sets Mistral and Qwen apart from Llama.
@Suite struct OtherFamiliesTests {
  func attentions(_ type: String, _ settings: String) throws -> [ModelDescription.Attention] {
    let base = LlamaFamilyTests.base.replacingOccurrences(of: "\"llama\"", with: "\"\(type)\"")
      .replacingOccurrences(of: "\"num_hidden_layers\":2", with: "\"num_hidden_layers\":3")
    let description = try LlamaFamilyTests().describe(
      settings.isEmpty ? base : "\(base),\(settings)")
    return description.layers.compactMap {
      guard case .attention(let attention) = $0.mixer else { return nil }
      return attention
    }
  }

  @Test(arguments: [
    ("", 4096 as Int?), (#""sliding_window":null"#, nil), (#""sliding_window":8"#, 8),
  ])
  func mistralHasOneWindowForAllLayers(_ settings: String, _ window: Int?) throws {
    let attentions = try attentions("mistral", settings)
    #expect(attentions.map(\.window) == [window, window, window])
    #expect(attentions.allSatisfy { $0.query.bias == nil && $0.queryNorm == nil })
  }

  @Test(arguments: [
    ("", [nil, nil, nil] as [Int?]),
    (#""use_sliding_window":false,"sliding_window":8,"max_window_layers":0"#, [nil, nil, nil]),
    (#""use_sliding_window":true,"sliding_window":8,"max_window_layers":2"#, [nil, nil, 8]),
    (#""use_sliding_window":true,"sliding_window":null,"max_window_layers":0"#, [nil, nil, nil]),
    (
      #""use_sliding_window":true,"sliding_window":8,"#
        + #""layer_types":["sliding_attention","full_attention","sliding_attention"]"#, [8, nil, 8]
    ),
  ])
  func qwenHasWindowsForSomeLayers(_ settings: String, _ windows: [Int?]) throws {
    #expect(try attentions("qwen2", settings).map(\.window) == windows)
    #expect(try attentions("qwen3", settings).map(\.window) == windows)
  }

  @Test func qwen2HasBiasesOnItsInputs() throws {
    let attention = try #require(try attentions("qwen2", "").first)
    #expect(attention.query.bias == "model.layers.0.self_attn.q_proj.bias")
    #expect(attention.value?.bias == "model.layers.0.self_attn.v_proj.bias")
    #expect(attention.output.bias == nil && attention.queryNorm == nil)
  }

  @Test func qwen3NormalisesHeads() throws {
    let attention = try #require(try attentions("qwen3", "").first)
    #expect(attention.keyDimension == 128 && attention.query.bias == nil)
    #expect(attention.keyNorm?.weight == "model.layers.0.self_attn.k_norm.weight")
    #expect(attention.keyNorm?.size == 128)
    let biased = try #require(
      try attentions("qwen3", #""head_dim":16,"attention_bias":true"#).first)
    #expect(biased.keyDimension == 16 && biased.output.bias != nil)
  }

  @Test(arguments: [#"["full_attention"]"#, #"["full_attention","x","full_attention"]"#, "7"])
  func layerTypesMustFit(_ types: String) throws {
    #expect(throws: FormatError.self) {
      try attentions("qwen2", #""use_sliding_window":true,"layer_types":\#(types)"#)
    }
  }
}
