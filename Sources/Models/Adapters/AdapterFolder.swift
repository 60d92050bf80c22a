import Foundation
import Kernels
import ModelFormats

/// A folder as PEFT keeps an adapter: `adapter_config.json` and `adapter_model.safetensors`.
package struct AdapterFolder {
  /// Names of the two files.
  package static let configFile = "adapter_config.json"
  package static let weightsFile = "adapter_model.safetensors"

  package let adapter: Adapter
  /// `base_model_name_or_path`.
  package let baseModel: String?

  /// Reads a folder.
  ///
  /// - Throws: `FormatError` for files that are no adapter, or one of a kind that is not known
  ///   here: the field or tensor is named.
  package init(_ folder: URL) throws {
    let config = try ConfigObject(contentsOf: folder.appendingPathComponent(Self.configFile))
    try Self.checkKind(config)
    baseModel = try config.optionalString("base_model_name_or_path")
    let rank = try config.positive("r", limit: 1 << 20)
    let alpha = try config.double("lora_alpha")
    guard alpha.isFinite else { throw config.error(.malformed, "lora_alpha", "is not finite") }
    let pairs = try Self.pairs(folder.appendingPathComponent(Self.weightsFile))
    let hasPattern = try config.optionalObject("rank_pattern")?.members.isEmpty == false
    if !hasPattern, let odd = pairs.first(where: { $0.value.rank != rank }) {
      throw config.error(
        .badLayout, "r", "is \(rank), the adapter of \(odd.key.kind.rawValue) in layer "
          + "\(odd.key.layer) has rank \(odd.value.rank)")
    }
    adapter = Adapter(
      alpha: alpha, isRankStabilised: try config.optionalBool("use_rslora") ?? false, pairs: pairs)
  }

  /// Tensors of another file of the same names: gradients, say.
  ///
  /// - Throws: as `init`.
  package static func tensors(_ file: URL, like adapter: Adapter) throws -> Adapter {
    var result = adapter
    result.pairs = try pairs(file)
    return result
  }

  /// Settings that would change what the adapter does and are not known.
  private static func checkKind(_ config: ConfigObject) throws {
    let type = try config.string("peft_type")
    guard type == "LORA" else {
      throw config.error(.unsupported, "peft_type", "is \(quoted(type)), known is \"LORA\"")
    }
    let bias = try config.optionalString("bias") ?? "none"
    guard bias == "none" else {
      throw config.error(.unsupported, "bias", "is \(quoted(bias)), known is \"none\"")
    }
    // Others change the base model as well.
    let beginning = config.members["init_lora_weights"]
    if let name = beginning?.stringValue, !["gaussian", "eva", "orthogonal"].contains(name) {
      throw config.error(.unsupported, "init_lora_weights", "is \(quoted(name))")
    }
    for key in ["use_dora", "fan_in_fan_out", "lora_bias", "use_qalora", "use_bdlora"] {
      if try config.optionalBool(key) ?? false {
        throw config.error(.unsupported, key, "is true")
      }
    }
    for key in [
      "modules_to_save", "layer_replication", "target_parameters", "trainable_token_indices",
      "alora_invocation_tokens",
    ] where config.has(key) {
      throw config.error(.unsupported, key, "is set")
    }
    if try config.optionalObject("alpha_pattern")?.members.isEmpty == false {
      throw config.error(.unsupported, "alpha_pattern", "is not empty")
    }
  }

  /// A and B of each site.
  private static func pairs(_ url: URL) throws -> [LinearSite: Adapter.Pair] {
    let file = try SafetensorsFile(contentsOf: url)
    var a: [LinearSite: (values: [Float], shape: [Int])] = [:]
    var b = a
    for name in file.names {
      guard let (site, isA) = AdapterTensorName.parse(name) else {
        throw FormatError(
          .unsupported, file: url.path,
          reason: "tensor \(quoted(name)) is none of an adapter that is known here")
      }
      let record = try file.record(name)
      guard record.shape.count == 2, record.shape.allSatisfy({ $0 > 0 }) else {
        throw FormatError(
          .badLayout, file: url.path, reason: "tensor \(quoted(name)) has shape \(record.shape)")
      }
      let tensor = (values: try floats(file, name, record), shape: record.shape)
      guard (isA ? a : b)[site] == nil else {
        throw FormatError(.duplicate, file: url.path, reason: "two tensors are \(quoted(name))")
      }
      if isA { a[site] = tensor } else { b[site] = tensor }
    }
    guard Set(a.keys) == Set(b.keys), !a.isEmpty else {
      throw FormatError(.missing, file: url.path, reason: "A and B are not of the same matrices")
    }
    return try a.reduce(into: [:]) { pairs, entry in
      guard let up = b[entry.key] else { return }
      let rank = entry.value.shape[0]
      guard up.shape[1] == rank else {
        throw FormatError(
          .badLayout, file: url.path,
          reason: "A and B of \(entry.key.kind.rawValue) in layer \(entry.key.layer) have ranks "
            + "\(rank) and \(up.shape[1])")
      }
      pairs[entry.key] = Adapter.Pair(
        rank: rank, inputs: entry.value.shape[1], outputs: up.shape[0], a: entry.value.values,
        b: up.values)
    }
  }

  private static func floats(
    _ file: SafetensorsFile, _ name: String, _ record: TensorRecord
  ) throws -> [Float] {
    let type: WeightType? =
      switch record.type {
      case .float32: .f32
      case .float16: .f16
      case .bfloat16: .bf16
      default: nil
      }
    guard let type else {
      throw FormatError(
        .badType, file: file.name,
        reason: "tensor \(quoted(name)) has type \(record.type.rawValue)")
    }
    return try file.withBytes(of: name) { bytes in
      var values = [Float](repeating: 0, count: record.shape.reduce(1, *))
      try values.withUnsafeMutableBufferPointer { try type.dequantise(bytes, into: $0) }
      return values
    }
  }
}

/// Names of an adapter's tensors, as PEFT spells them.
enum AdapterTensorName {
  /// Of the text model, alone or beside towers for images.
  private static let prefixes: Set<String> = [
    "base_model.model.model", "base_model.model.model.language_model",
    "base_model.model.language_model.model",
  ]

  /// `base_model.model.model.layers.N.MODULE.KIND.lora_A.weight`; nil for another name.
  static func parse(_ name: String) -> (LinearSite, isA: Bool)? {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    // layers, N, module, kind, lora_A or lora_B, weight
    let tail = parts.suffix(6).map(String.init)
    guard parts.count > 6, tail[0] == "layers", tail[5] == "weight",
      prefixes.contains(parts.dropLast(6).joined(separator: ".")),
      let layer = Int(tail[1]), layer >= 0, tail[1] == "\(layer)",
      let kind = LinearKind(rawValue: tail[3]), kind.module == tail[2],
      ["lora_A", "lora_B"].contains(tail[4])
    else { return nil }
    return (LinearSite(layer: layer, kind: kind), tail[4] == "lora_A")
  }
}
