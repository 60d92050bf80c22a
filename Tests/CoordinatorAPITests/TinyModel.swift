import Foundation
import ModelFormats
import TestSupport

/// Writes a Hugging Face folder: a random Llama of a few thousand weights with a real tokenizer and
/// a ChatML template.
enum TinyModel {
  private static let hidden = 32
  private static let feedForward = 64
  private static let layers = 1

  private static let template = """
    {% for message in messages %}{% if message['role'] == 'developer' %}\
    {{ raise_exception('unknown role') }}{% endif %}\
    {{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}\
    {% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}
    """

  static func write(to folder: URL) throws {
    let tokenizer = try Data(
      contentsOf: TestCoordinator.fixtures.appendingPathComponent(
        "tokenizers/gpt2-smollm/tokenizer.json"))
    let vocabulary = try JSONReader.parse(
      Array(tokenizer), file: "tokenizer.json", rules: .strict)
    var ids =
      vocabulary["model"]?["vocab"]?.objectValue?.dictionary.mapValues { $0.intValue ?? 0 } ?? [:]
    for token in vocabulary["added_tokens"]?.arrayValue ?? [] {
      ids[token["content"]?.stringValue ?? ""] = token["id"]?.intValue
    }
    let size = (ids.values.max() ?? 0) + 1
    try tokenizer.write(to: folder.appendingPathComponent("tokenizer.json"))
    try weights(vocabulary: size).write(to: folder.appendingPathComponent("model.safetensors"))
    try write(config(size, end: ids["<|im_end|>"] ?? 0), "config.json", folder)
    try write(
      [
        "chat_template": template, "eos_token": "<|im_end|>", "bos_token": "<|im_start|>",
      ], "tokenizer_config.json", folder)
  }

  private static func config(_ vocabulary: Int, end: Int) -> [String: Any] {
    [
      "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": vocabulary,
      "hidden_size": hidden, "intermediate_size": feedForward, "num_hidden_layers": layers,
      "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": hidden / 2,
      "hidden_act": "silu", "max_position_embeddings": 256, "rms_norm_eps": 1e-5,
      "rope_theta": 10000.0, "tie_word_embeddings": true, "eos_token_id": end,
      "attention_bias": false, "mlp_bias": false, "torch_dtype": "float32",
    ]
  }

  private static func write(_ object: [String: Any], _ name: String, _ folder: URL) throws {
    try JSONSerialization.data(withJSONObject: object)
      .write(to: folder.appendingPathComponent(name))
  }

  private static func weights(vocabulary: Int) throws -> Data {
    var random = SeededRandom(seed: 1)
    func matrix(_ rows: Int, _ columns: Int) -> ([Float], [Int]) {
      (
        (0..<rows * columns).map { _ in Float.random(in: -0.3...0.3, using: &random) },
        [rows, columns]
      )
    }
    func ones() -> ([Float], [Int]) { (Array(repeating: 1, count: hidden), [hidden]) }
    var tensors: [(String, ([Float], [Int]))] = [
      ("model.embed_tokens.weight", matrix(vocabulary, hidden)), ("model.norm.weight", ones()),
    ]
    for layer in 0..<layers {
      let prefix = "model.layers.\(layer)."
      tensors += [
        (prefix + "input_layernorm.weight", ones()),
        (prefix + "post_attention_layernorm.weight", ones()),
        (prefix + "self_attn.q_proj.weight", matrix(hidden, hidden)),
        (prefix + "self_attn.k_proj.weight", matrix(hidden / 2, hidden)),
        (prefix + "self_attn.v_proj.weight", matrix(hidden / 2, hidden)),
        (prefix + "self_attn.o_proj.weight", matrix(hidden, hidden)),
        (prefix + "mlp.gate_proj.weight", matrix(feedForward, hidden)),
        (prefix + "mlp.up_proj.weight", matrix(feedForward, hidden)),
        (prefix + "mlp.down_proj.weight", matrix(hidden, feedForward)),
      ]
    }
    var writer = SafetensorsWriter()
    for (name, (elements, shape)) in tensors {
      try writer.add(name, shape: shape, elements)
    }
    return writer.data()
  }
}
