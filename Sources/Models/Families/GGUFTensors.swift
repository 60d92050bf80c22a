import ModelFormats

/// The tensors of a GGUF file by llama.cpp's names (`gguf-py`, `constants.py`).
struct DecoderGGUFTensors {
  let names: Set<String>
  private let epsilon: Double
  private let hasHeadNorms: Bool

  init(_ settings: GGUFSettings, names: Set<String>, hasHeadNorms: Bool) throws {
    (self.names, self.hasHeadNorms) = (names, hasHeadNorms)
    epsilon = try settings.double("attention.layer_norm_rms_epsilon")
  }

  func linear(_ name: String, _ inputs: Int, _ outputs: Int) -> ModelDescription.Linear {
    .init(
      weight: "\(name).weight", bias: names.contains("\(name).bias") ? "\(name).bias" : nil,
      inputs: inputs, outputs: outputs)
  }

  func norm(_ name: String, _ size: Int) -> ModelDescription.Norm {
    .init(weight: "\(name).weight", epsilon: epsilon, size: size)
  }

  /// The embedding where there is no output matrix.
  func output(hidden: Int, vocabulary: Int) -> ModelDescription.Linear {
    let name = names.contains("output.weight") ? "output.weight" : "token_embd.weight"
    return .init(weight: name, inputs: hidden, outputs: vocabulary)
  }

  func attention(
    _ name: String, hidden: Int, heads: Int, keyValueHeads: Int, dimension: Int, scale: Double
  ) -> ModelDescription.Attention {
    .init(
      heads: heads, keyValueHeads: keyValueHeads, keyDimension: dimension,
      valueDimension: dimension, scale: scale, rope: 0,
      queryNorm: hasHeadNorms ? norm("\(name).attn_q_norm", dimension) : nil,
      keyNorm: hasHeadNorms ? norm("\(name).attn_k_norm", dimension) : nil,
      query: linear("\(name).attn_q", hidden, heads * dimension),
      key: linear("\(name).attn_k", hidden, keyValueHeads * dimension),
      value: linear("\(name).attn_v", hidden, keyValueHeads * dimension),
      output: linear("\(name).attn_output", heads * dimension, hidden))
  }

  /// - Parameter suffix: of the three matrices, such as `_shexp`.
  func gated(
    _ name: String, suffix: String = "", _ activation: ModelDescription.Activation, hidden: Int,
    width: Int
  ) -> ModelDescription.GatedFeedForward {
    .init(
      activation: activation, gate: linear("\(name).ffn_gate\(suffix)", hidden, width),
      up: linear("\(name).ffn_up\(suffix)", hidden, width),
      down: linear("\(name).ffn_down\(suffix)", width, hidden))
  }

  /// The matrices of experts: in one tensor, or, in old files, each in its own.
  func experts(
    _ name: String, count: Int, _ inputs: Int, _ outputs: Int
  ) -> ModelDescription.MatrixStack {
    let stacked = "\(name)_exps.weight"
    let storage: ModelDescription.MatrixStack.Storage =
      names.contains(stacked) || !names.contains("\(name).0.weight")
      ? .stacked(
        weight: stacked, scales: nil, shape: [count, outputs, inputs], start: 0, period: outputs)
      : .separate(prefix: "\(name).", suffix: ".weight", scales: nil)
    return .init(storage, count: count, outputs: outputs, inputs: inputs)
  }
}

/// The experts of a GGUF file of the architectures `llama`, `qwen2moe` and `qwen3moe`.
struct GGUFExperts {
  private typealias Limit = ModelDescription.Limit

  private let tensors: DecoderGGUFTensors
  private let count: Int
  private let chosen: Int
  private let width: Int?
  private let sharedWidth: Int?
  private let isNormalised: Bool

  /// nil for a file without experts.
  ///
  /// - Parameter rule: of the family; files of the architecture `llama` may have experts though it
  ///   names none.
  init?(
    _ settings: GGUFSettings, _ rule: DecoderFamily.Experts, _ tensors: DecoderGGUFTensors
  ) throws {
    guard let count = try settings.optionalInt("expert_count"), count != 0 else { return nil }
    self.tensors = tensors
    self.count = try settings.positive("expert_count", limit: Limit.experts)
    chosen = try settings.positive("expert_used_count", limit: count)
    width = try settings.optionalInt("expert_feed_forward_length")
    var hasShared = false
    if case .qwen(let shared) = rule { hasShared = shared }
    sharedWidth =
      try hasShared
      ? settings.positive("expert_shared_feed_forward_length", limit: Limit.hidden) : nil
    // As llama.cpp computes these architectures, unless the file says so.
    isNormalised = try settings.optionalBool("expert_weights_norm") ?? !hasShared
    if let scale = try settings.optionalDouble("expert_weights_scale"), scale != 0, scale != 1 {
      throw settings.error(.unsupported, "expert_weights_scale", "is \(scale)")
    }
  }

  /// - Parameter width: of a layer's experts where the file does not give it on its own.
  func describe(
    _ name: String, hidden: Int, width: Int
  ) throws -> ModelDescription.FeedForward {
    let width = self.width ?? width
    return .experts(
      .init(
        count: count, chosen: chosen,
        routing: .init(scoring: .softmax, isNormalised: isNormalised),
        router: tensors.linear("\(name).ffn_gate_inp", hidden, count), activation: .silu,
        gate: tensors.experts("\(name).ffn_gate", count: count, hidden, width),
        up: tensors.experts("\(name).ffn_up", count: count, hidden, width),
        down: tensors.experts("\(name).ffn_down", count: count, width, hidden),
        shared: sharedWidth.map {
          tensors.gated(name, suffix: "_shexp", .silu, hidden: hidden, width: $0)
        },
        sharedGate: sharedWidth.map { _ in
          // A vector in the file.
          tensors.linear("\(name).ffn_gate_inp_shexp", hidden, 1)
        }))
  }
}
