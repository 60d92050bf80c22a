import Foundation
import ModelFormats
import Models
import TestSupport
import Testing

/// Configurations as the hub has them, which name other settings than transformers writes, describe
/// the same models.
@Suite struct PublishedSpellingTests {
  /// The description of a fixture whose `config.json` is another.
  func describe(_ model: String, _ config: String) throws -> ModelDescription {
    let place = try TemporaryFolder()
    let fixture = GoldenFolder.own.appendingPathComponent("models/\(model)")
    try FileManager.default.createSymbolicLink(
      at: place.url.appendingPathComponent("model.safetensors"),
      withDestinationURL: fixture.appendingPathComponent("model.safetensors"))
    try Data(config.utf8).write(to: place.url.appendingPathComponent("config.json"))
    return try ModelFiles(path: place.url.path).description
  }

  func original(_ model: String) throws -> ModelDescription {
    try ModelFiles(path: GoldenFolder.own.appendingPathComponent("models/\(model)").path)
      .description
  }

  static let mimo = """
    {"model_type": "mimo_v2_flash", "attention_bias": false, "attention_value_scale": 0.707,
    "add_full_attention_sink_bias": false, "add_swa_attention_sink_bias": true,
    "attention_chunk_size": 8, "head_dim": 24, "hidden_act": "silu", "hidden_size": 64,
    "hybrid_block_size": null, "hybrid_layer_pattern": [0, 1, 1, 1, 1, 0],
    "intermediate_size": 112, "layernorm_epsilon": 1e-05, "max_position_embeddings": 256,
    "moe_intermediate_size": 32, "moe_layer_freq": [0, 1, 1, 1, 1, 1], "n_group": 1,
    "n_routed_experts": 6, "n_shared_experts": null, "norm_topk_prob": true,
    "num_attention_heads": 4, "num_experts_per_tok": 2, "num_hidden_layers": 6,
    "num_key_value_heads": 2, "partial_rotary_factor": 0.334, "rope_theta": 5000000,
    "routed_scaling_factor": null, "scoring_func": "sigmoid", "sliding_window": 7,
    "sliding_window_size": 7, "swa_head_dim": 24, "swa_num_attention_heads": 4,
    "swa_num_key_value_heads": 4, "swa_rope_theta": 10000, "swa_v_head_dim": 16,
    "tie_word_embeddings": false, "topk_group": 1, "topk_method": "noaux_tc", "v_head_dim": 16,
    "vocab_size": 288, "eos_token_id": 2
    """

  @Test func mimoOfTheHub() throws {
    #expect(try describe("mimo_v2_flash", Self.mimo + "}") == original("mimo_v2_flash"))
  }

  @Test(arguments: [
    (#""n_shared_experts": 1"#, "n_shared_experts"),
    (#""scoring_func": "softmax""#, "scoring_func"),
    (#""moe_layer_freq": [0, 2, 1, 1, 1, 1]"#, "moe_layer_freq"),
    (#""hybrid_layer_pattern": [0]"#, "hybrid_layer_pattern"),
  ])
  func whatMiMoCannotBeIsNamed(_ setting: String, _ key: String) throws {
    let others = Self.mimo.replacingOccurrences(
      of: #""\#(key)": (null|"[a-z]*"|\[[^]]*\])"#, with: setting, options: .regularExpression)
    #expect(others.contains(setting))
    let error = try #require(throws: FormatError.self) {
      try describe("mimo_v2_flash", others + "}")
    }
    #expect(error.reason.contains(key))
  }

  /// The text model of one that also sees, with what is at the top only there.
  @Test func gemmaWithTheSettingsOfImagesAround() throws {
    let config = """
      {"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"],
      "boi_token_index": 255999, "eoi_token_index": 256000, "image_token_index": 262144,
      "eos_token_id": [2], "initializer_range": 0.02, "mm_tokens_per_image": 256,
      "text_config": {"model_type": "gemma3_text", "hidden_size": 64, "intermediate_size": 112,
      "num_hidden_layers": 6, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 24,
      "query_pre_attn_scalar": 24, "sliding_window": 8, "vocab_size": 288,
      "max_position_embeddings": 256, "rope_scaling": null},
      "torch_dtype": "bfloat16", "vision_config": {"hidden_size": 1152}}
      """
    #expect(try describe("gemma3", config) == original("gemma3"))
    let error = try #require(throws: FormatError.self) {
      try describe("gemma3", config.replacingOccurrences(of: "boi_token", with: "boa_tokens"))
    }
    #expect(error.reason.contains("boa_tokens_index"))
  }

  @Test func qwenWithItsPatternAndFractionAtTheTop() throws {
    let config = """
      {"model_type": "qwen3_5_text", "hidden_size": 64, "intermediate_size": 112, "vocab_size": 288,
      "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32,
      "full_attention_interval": 4, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 16,
      "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_value_head_dim": 16,
      "max_position_embeddings": 256, "partial_rotary_factor": 0.25, "rope_theta": 10000,
      "rope_scaling": null, "use_sliding_window": false, "attn_output_gate": true,
      "mtp_num_hidden_layers": 1, "tie_word_embeddings": false, "eos_token_id": 2}
      """
    #expect(try describe("qwen3_5", config) == original("qwen3_5"))
  }
}
