import Foundation
import ModelFormats

/// An adapter as llama.cpp loads one (`--lora`): a GGUF file whose tensors are named after the
/// matrices that they go with (llama.cpp, `src/llama-adapter.cpp`).
package enum GGUFAdapter {
  /// The file's bytes.
  ///
  /// - Parameters:
  ///   - adapter: as transformers orders rows.
  ///   - description: of the model that it is for, read from any kind of file.
  ///   - name: for people.
  /// - Throws: `FormatError.unsupported` for a family that has no such files.
  package static func data(
    _ adapter: Adapter, of description: ModelDescription, name: String
  ) throws -> Data {
    let (architecture, style) = try architecture(of: description)
    var ordered = description
    for index in ordered.ropes.indices { ordered.ropes[index].style = style }
    let own = adapter.ordered(for: ordered)
    // llama.cpp multiplies with alpha / rank, whatever the adapter's own rule.
    let alpha = Double(own.scale(rank: 1))
    let tensors = own.sites.flatMap { site -> [GGUFWriter.Tensor] in
      guard let pair = own.pairs[site] else { return [] }
      let factor = own.scale(rank: pair.rank) * Float(pair.rank) / Float(alpha)
      let stem = "blk.\(site.layer).\(site.kind.ggufName).weight"
      return [
        .init(name: "\(stem).lora_a", rows: pair.rank, columns: pair.inputs, values: pair.a),
        .init(
          name: "\(stem).lora_b", rows: pair.outputs, columns: pair.rank,
          values: factor == 1 ? pair.b : pair.b.map { $0 * factor }),
      ]
    }
    return GGUFWriter.data(
      [
        "general.type": .string("adapter"), "general.architecture": .string(architecture),
        "general.name": .string(name), "adapter.type": .string("lora"),
        "adapter.lora.alpha": .double(alpha),
      ], single: ["adapter.lora.alpha"], tensors: tensors)
  }

  /// llama.cpp's name of a family, and how its files order the rows of queries and keys.
  private static func architecture(
    of description: ModelDescription
  ) throws -> (String, ModelDescription.Rope.Style) {
    switch description.family {
    case "llama", "mistral", "ministral": ("llama", .interleaved)
    case "ministral3": ("mistral3", .interleaved)
    case "qwen2", "qwen3", "gemma", "gemma2", "gemma3": (description.family, .halves)
    default:
      throw FormatError(
        .unsupported, file: "adapter",
        reason: "no GGUF adapter is known of the family \(description.family)")
    }
  }
}

extension LinearKind {
  /// The matrix in llama.cpp's files (gguf-py, `constants.py`).
  fileprivate var ggufName: String {
    switch self {
    case .query: "attn_q"
    case .key: "attn_k"
    case .value: "attn_v"
    case .output: "attn_output"
    case .gate: "ffn_gate"
    case .up: "ffn_up"
    case .down: "ffn_down"
    }
  }
}
