import Foundation
import ModelFormats
import Models
import Testing

/// Configurations of the Llama family in all their spellings.
@Suite struct LlamaFamilyTests {
  static let base = """
    "model_type":"llama","vocab_size":96,"hidden_size":64,"intermediate_size":112,
    "num_hidden_layers":2,"num_attention_heads":4,"max_position_embeddings":256
    """

  /// A folder with a configuration and one small tensor; descriptions do not look at weights.
  func describe(_ settings: String, generation: String? = nil) throws -> ModelDescription {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("llama-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try Data("{\(settings)}".utf8).write(to: folder.appendingPathComponent("config.json"))
    if let generation {
      try Data(generation.utf8).write(to: folder.appendingPathComponent("generation_config.json"))
    }
    try SafetensorsWriter().write(to: folder.appendingPathComponent("model.safetensors"))
    return try ModelFiles(path: folder.path).description
  }

  func firstAttention(_ description: ModelDescription) -> ModelDescription.Attention? {
    guard case .attention(let attention) = description.layers.first?.mixer else { return nil }
    return attention
  }

  @Test func defaultsAreThoseOfTransformers() throws {
    let description = try describe(Self.base)
    let attention = try #require(firstAttention(description))
    #expect(attention.keyValueHeads == 4 && attention.keyDimension == 16)
    #expect(attention.query.bias == nil && attention.scale == 0.25)
    #expect(description.ropes == [.init(style: .halves, dimensions: 16, base: 10000)])
    #expect(description.finalNorm.epsilon == 1e-6)
    #expect(description.output.weight == "lm_head.weight")
    #expect(description.endOfSequenceIds.isEmpty)
  }

  @Test(arguments: [
    (#""rope_theta":5e5,"rope_scaling":null"#, ModelDescription.Rope.Scaling.none),
    (#""rope_theta":5e5,"rope_scaling":{"type":"dynamic","factor":2}"#, .none),
    (#""rope_theta":500000,"rope_scaling":{"type":"linear","factor":2}"#, .linear(factor: 2)),
    (
      #""rope_parameters":{"rope_theta":500000.0,"rope_type":"linear","factor":2.0}"#,
      .linear(factor: 2)
    ),
    (#""rope_parameters":{"rope_theta":500000.0,"rope_type":"default"}"#, .none),
    (
      #""rope_theta":500000.0,"rope_scaling":{"rope_type":"llama3","factor":8,"#
        + #""low_freq_factor":1,"high_freq_factor":4,"#
        + #""original_max_position_embeddings":32}"#,
      .llama3(
        factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContextLength: 32)
    ),
    (
      #""rope_parameters":{"rope_theta":500000.0,"rope_type":"llama3","factor":8,"#
        + #""low_freq_factor":1,"high_freq_factor":4}"#,
      .llama3(
        factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContextLength: 256)
    ),
  ])
  func ropeSpellings(_ settings: String, _ scaling: ModelDescription.Rope.Scaling) throws {
    let rope = try describe("\(Self.base),\(settings)").ropes[0]
    #expect(rope.base == 500_000)
    #expect(rope.scaling == scaling)
  }

  @Test func explicitSettingsAreUsed() throws {
    let description = try describe(
      Self.base
        + #","num_key_value_heads":2,"head_dim":24,"attention_bias":true,"mlp_bias":true,"#
        + #""tie_word_embeddings":true,"rms_norm_eps":1e-5,"eos_token_id":[7,2,7],"#
        + #""hidden_act":"gelu_pytorch_tanh""#)
    let attention = try #require(firstAttention(description))
    #expect(attention.keyValueHeads == 2 && attention.keyDimension == 24)
    #expect(attention.query.bias == "model.layers.0.self_attn.q_proj.bias")
    #expect(attention.output.bias == "model.layers.0.self_attn.o_proj.bias")
    guard case .gated(let gated) = description.layers[1].feedForward else { return }
    #expect(gated.down.bias == "model.layers.1.mlp.down_proj.bias")
    #expect(gated.activation == .geluTanh)
    #expect(description.hasTiedEmbeddings)
    #expect(description.endOfSequenceIds == [2, 7])
    #expect(description.finalNorm.epsilon == 1e-5)
  }

  @Test func generationConfigNamesTheEndsOfSequence() throws {
    let description = try describe(
      Self.base + #","eos_token_id":2"#, generation: #"{"eos_token_id":[3,4,1000]}"#)
    #expect(description.endOfSequenceIds == [3, 4])
    let fallback = try describe(Self.base + #","eos_token_id":2"#, generation: "{}")
    #expect(fallback.endOfSequenceIds == [2])
  }

  @Test func whatChangesNothingIsPassedOver() throws {
    let plain = try describe(Self.base)
    let settings =
      #""_name_or_path":"x","attention_dropout":0.1,"torch_dtype":"bfloat16","use_cache":false,"#
      + #""sliding_window":null,"initializer_range":0.02,"transformers_version":"4.51.0""#
    #expect(try describe("\(Self.base),\(settings)") == plain)
  }

  @Test(arguments: [
    (#""rope_scaling":{"type":"su","factor":2}"#, "rope_scaling.type"),
    (#""rope_scaling":{"rope_type":"longrope","factor":2}"#, "rope_scaling.rope_type"),
    (#""rope_parameters":{"rope_type":"longrope"}"#, "rope_parameters.rope_type"),
    (#""rope_scaling":{"type":"linear"}"#, "rope_scaling.factor"),
    (#""rope_scaling":{"type":"linear","factor":"x"}"#, "rope_scaling.factor"),
    (#""rope_scaling":7"#, "rope_scaling"), (#""hidden_act":"relu""#, "hidden_act"),
    (#""quantization_config":{"quant_method":"gptq"}"#, "quantization_config"),
    (#""head_dim":0"#, "head_dim"), (#""head_dim":1048576"#, "head_dim"),
    (#""num_key_value_heads":-1"#, "num_key_value_heads"),
    (#""attention_bias":"yes""#, "attention_bias"), (#""eos_token_id":"x""#, "eos_token_id"),
    // Settings that nobody here understands, and those of other families.
    (#""value_residual":0.5"#, "value_residual"), (#""sliding_window":8"#, "sliding_window"),
    (#""final_logit_softcapping":30.0"#, "final_logit_softcapping"),
    (#""rope_scaling":{"type":"linear","factor":2,"slope":3}"#, "rope_scaling.slope"),
  ])
  func whatIsNotSupportedIsNamed(_ settings: String, _ key: String) throws {
    let error = try #require(throws: FormatError.self) { try describe("\(Self.base),\(settings)") }
    #expect("\(error)".contains(key), "\(error)")
    #expect(error.file.hasSuffix("config.json") && (error.offset ?? 0) > 100)
  }

  @Test(arguments: [
    #""vocab_size":96"#, #""hidden_size":64"#, #""intermediate_size":112"#,
    #""num_hidden_layers":2"#, #""num_attention_heads":4"#,
  ])
  func sizesMustBeThereAndInRange(_ setting: String) throws {
    let key = String(setting.split(separator: "\"")[0])
    for value in ["null", "0", "-1", "9223372036854775807", "1e300", "1.5", "\"x\"", "[]"] {
      let settings = Self.base.replacingOccurrences(of: setting, with: "\"\(key)\":\(value)")
      let error = try #require(throws: FormatError.self) { try describe(settings) }
      #expect("\(error)".contains(key))
    }
  }

  @Test func headsMustDivide() throws {
    #expect(throws: FormatError.self) { try describe(Self.base + #","num_key_value_heads":3"#) }
    let odd = Self.base.replacingOccurrences(of: #""hidden_size":64"#, with: #""hidden_size":66"#)
    #expect(throws: FormatError.self) { try describe(odd) }
  }

  @Test func otherFamiliesAreRefusedByName() throws {
    let error = try #require(throws: FormatError.self) {
      try describe(Self.base.replacingOccurrences(of: #""llama""#, with: #""unheard_of""#))
    }
    #expect(error.code == .unsupported)
    #expect("\(error)".contains("unheard_of") && "\(error)".contains("not yet supported"))
  }
}
