import ArgumentParser
import Foundation
import Models

/// Adapters, as PEFT and `tally finetune` write them.
struct AdapterCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "adapter", abstract: "List, fetch, convert and merge LoRA adapters.",
    subcommands: [ListCommand.self, ExportCommand.self, ShowCommand.self, MergeCommand.self])

  /// What an adapter is.
  struct ShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "show", abstract: "Show what an adapter adapts.",
      discussion: """
        EXAMPLE:
          tally adapter show my-adapter
        """)

    @Argument(help: "A folder of PEFT's.", completion: .directory)
    var folder: String

    @Flag(help: "Print JSON.")
    var json = false

    private struct Report: Encodable {
      let base_model: String?
      let alpha: Double
      let rank_stabilised: Bool
      let ranks: [Int]
      let layers: Int
      let modules: [String]
      let parameters: Int
    }

    func run() throws {
      let read = try AdapterFolder(URL(fileURLWithPath: folder))
      let adapter = read.adapter
      let kinds = Set(adapter.sites.map(\.kind))
      let report = Report(
        base_model: read.baseModel, alpha: adapter.alpha, rank_stabilised: adapter.isRankStabilised,
        ranks: Set(adapter.pairs.values.map(\.rank)).sorted(),
        layers: Set(adapter.sites.map(\.layer)).count,
        modules: LinearKind.allCases.filter(kinds.contains).map(\.rawValue),
        parameters: adapter.parameterCount)
      if json { return try printJSON(report) }
      let out = Terminal.output
      if let base = report.base_model { out.line("for \(base)") }
      out.line("\(report.modules.joined(separator: ", ")) of \(report.layers) layers")
      let scale = report.rank_stabilised ? "alpha / sqrt(rank)" : "alpha / rank"
      out.line(
        "rank \(report.ranks.map(String.init).joined(separator: ", ")), alpha "
          + "\(report.alpha.formatted()), times \(scale), \(Spelled.count(report.parameters)) "
          + "parameters")
    }
  }

  /// W + s B A, for whatever knows no adapters.
  struct MergeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "merge", abstract: "Write a model with an adapter merged into its weights.",
      discussion: """
        The model is a Hugging Face folder with float weights, and so is what comes out: one \
        safetensors file in the same types, beside copies of the model's other files.

        EXAMPLE:
          tally adapter merge my-adapter --model ./Qwen2.5-0.5B-Instruct --output ./merged
        """)

    @Argument(help: "A folder of PEFT's.", completion: .directory)
    var folder: String

    @Option(help: "The Hugging Face folder that it is for.", completion: .directory)
    var model: String

    @Option(
      name: .shortAndLong, help: "The folder to write; it must be new or empty.",
      completion: .directory)
    var output: String

    /// Weights that are not merged must not lie beside those that are.
    private static func isWeights(_ name: String) -> Bool {
      [".safetensors", ".index.json", ".bin", ".pt", ".pth", ".gguf"].contains {
        name.hasSuffix($0)
      }
    }

    func run() throws {
      let manager = FileManager.default
      guard manager.fileExists(atPath: "\(model)/config.json") else {
        throw CommandError("\(model) is no Hugging Face folder, which merging needs")
      }
      let files = try ModelFiles(path: model)
      let merged = try MergedTensorSource(
        files, AdapterFolder(URL(fileURLWithPath: folder)).adapter)
      let target = URL(fileURLWithPath: output)
      try manager.createDirectory(at: target, withIntermediateDirectories: true)
      guard try manager.contentsOfDirectory(atPath: target.path).isEmpty else {
        throw CommandError("\(output) is not empty: name a new folder for the merged model")
      }
      var bar = ProgressBar()
      try merged.writeSafetensors(to: target.appendingPathComponent("model.safetensors")) {
        bar.show(fraction: $0, detail: "merging")
      }
      bar.finish()
      for name in try manager.contentsOfDirectory(atPath: model).sorted()
      where !Self.isWeights(name) && !name.hasPrefix(".") {
        var isFolder: ObjCBool = false
        let source = "\(model)/\(name)"
        guard manager.fileExists(atPath: source, isDirectory: &isFolder), !isFolder.boolValue else {
          continue
        }
        try manager.copyItem(
          at: URL(fileURLWithPath: source).resolvingSymlinksInPath(),
          to: target.appendingPathComponent(name))
      }
      Terminal.output.line("the merged model is in \(output)")
    }
  }
}
