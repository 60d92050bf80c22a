import Foundation
import ModelFormats

extension AdapterFolder {
  /// Writes an adapter as PEFT keeps one; the folder exists.
  ///
  /// - Parameters:
  ///   - description: of the model that it is for.
  ///   - baseModel: what PEFT is to load it over: a folder or a name on the Hugging Face hub.
  /// - Throws: `FormatError` for matrices that PEFT finds under no name; what the file system
  ///   throws.
  package static func write(
    _ adapter: Adapter, of description: ModelDescription, baseModel: String, to folder: URL
  ) throws {
    let weights = try weights(of: adapter, description)
    try weights.write(to: folder.appendingPathComponent(weightsFile), options: .atomic)
    try config(of: adapter, description, baseModel: baseModel)
      .write(to: folder.appendingPathComponent(configFile), options: .atomic)
  }

  /// `adapter_model.safetensors`: float32, named as PEFT names them.
  package static func weights(of adapter: Adapter, _ description: ModelDescription) throws -> Data {
    var writer = SafetensorsWriter(metadata: ["format": "pt"])
    for site in adapter.sites {
      guard let pair = adapter.pairs[site] else { continue }
      guard description.linear(at: site)?.rows == nil else {
        throw FormatError(
          .unsupported, file: "adapter",
          reason:
            "\(site.kind.rawValue) of layer \(site.layer) is part of a larger matrix of the model, "
            + "which PEFT adapts as a whole")
      }
      let module = AdapterTensorName.module(site, description)
      try writer.add(
        "base_model.model.\(module).lora_A.weight", shape: [pair.rank, pair.inputs], pair.a)
      try writer.add(
        "base_model.model.\(module).lora_B.weight", shape: [pair.outputs, pair.rank], pair.b)
    }
    return writer.data()
  }

  /// The settings that PEFT wants; what is left out is as it begins.
  private struct Config: Encodable {
    var base_model_name_or_path: String
    var bias = "none"
    var fan_in_fan_out = false
    var inference_mode = true
    var init_lora_weights = true
    var lora_alpha: Double
    var lora_dropout = 0.0
    var peft_type = "LORA"
    var r: Int
    var rank_pattern: [String: Int]
    var target_modules: [String]
    var task_type = "CAUSAL_LM"
    var use_rslora: Bool
  }

  /// `adapter_config.json`.
  package static func config(
    of adapter: Adapter, _ description: ModelDescription, baseModel: String
  ) throws -> Data {
    let ranks = adapter.pairs.values.map(\.rank)
    let rank = ranks.max() ?? 1
    let kinds = Set(adapter.sites.map(\.kind))
    let isEverywhere = adapter.sites.count == kinds.count * description.layers.count
    // PEFT takes a name that a module's path ends with.
    func path(_ site: LinearSite) -> String {
      "layers.\(site.layer).\(site.kind.module).\(site.kind.rawValue)"
    }
    let odd = adapter.sites.filter { adapter.pairs[$0]?.rank != rank }
    let config = Config(
      base_model_name_or_path: baseModel, lora_alpha: adapter.alpha, r: rank,
      rank_pattern: odd.reduce(into: [:]) { $0[path($1)] = adapter.pairs[$1]?.rank },
      target_modules: isEverywhere ? kinds.map(\.rawValue).sorted() : adapter.sites.map(path),
      use_rslora: adapter.isRankStabilised)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(config)
  }
}

extension AdapterTensorName {
  /// A site's module as transformers calls it: as the model's own tensor is called, where its file
  /// has such names.
  static func module(_ site: LinearSite, _ description: ModelDescription) -> String {
    let tail = "layers.\(site.layer).\(site.kind.module).\(site.kind.rawValue)"
    let name = description.linear(at: site)?.weight ?? ""
    guard name.hasSuffix(".\(tail).weight") else { return "model.\(tail)" }
    return String(name.dropLast(".weight".count))
  }
}
