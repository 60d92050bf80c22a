import ArgumentParser
import CoordinatorAPI
import Foundation
import ModelFormats
import Models

extension ModelCommand {
  struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show what is in a model's files, without loading its weights.",
      discussion: """
        Family, shapes, parameters, licence, and the memory that each layer takes: its weights as \
        the kernels hold them, and what it keeps of a sequence for each token (f16). Of experts, a \
        token goes through the chosen ones. Weights are mapped from a file (--packed-cache): a \
        model larger than memory runs, as fast as the disk gives what it needs.

        EXAMPLE:
          tally model inspect SmolLM2-135M-Instruct.Q4_1.gguf
        """)

    @Argument(help: "A GGUF file or a Hugging Face folder.", completion: .file())
    var path: String

    @Flag(help: "Print JSON: the whole description, as the engine takes it.")
    var json = false

    func run() throws {
      let files = try ModelFiles(path: path)
      try files.checkLoadable()
      if json { return try printJSON(files.description) }
      let model = files.description
      let output = Terminal.output
      let summary = try ModelSummary(model, files.source)
      output.line("family      \(model.family)")
      let statement = try ModelStatement(path: path, notices: ModelStatement.notices(of: path))
      output.line("licence     \(statement.spelled)")
      for base in statement.baseModels { output.line("based on    \(base)") }
      output.line(
        "size        \(Spelled.count(model.parameterCount)) parameters, "
          + "\(Spelled.bytes(files.weightFileBytes)) on disk")
      if summary.hasExperts {
        output.line(
          "            \(Spelled.count(summary.activeParameters)) of them for each token")
      }
      output.line(
        "memory      \(Spelled.bytes(summary.weightBytes)) of weights at most, "
          + "\(Spelled.bytes(summary.cacheBytesPerToken)) for each token of a sequence"
          + (summary.stateBytes > 0
            ? ", \(Spelled.bytes(summary.stateBytes)) for each sequence besides" : ""))
      if summary.hasExperts {
        output.line(
          "            \(Spelled.bytes(summary.weightBytesPerToken)) of weights are read for a "
            + "token: with less memory than all take, from the disk")
      }
      output.line("layers      \(model.layers.count) of width \(Spelled.count(model.hiddenSize))")
      output.line("vocabulary  \(Spelled.count(model.vocabularySize)) tokens")
      output.line("context     \(Spelled.count(model.contextLength)) tokens")
      output.line(
        "ends with   \(model.endOfSequenceIds.map(String.init).joined(separator: ", "))")
      for (type, count) in files.elementTypes {
        output.line("weights     \(count) tensors \(type)")
      }
      output.line("")
      output.line(Self.table(summary).rendered())
    }

    private static func table(_ summary: ModelSummary) -> TextTable {
      var table = TextTable(
        .text("LAYER"), .text("ATTENTION"), .text("FEED-FORWARD"), .number("PARAMETERS"),
        .number("WEIGHTS"), .number("A TOKEN"))
      for run in summary.layers {
        let (first, last) = (run.layers.lowerBound, run.layers.upperBound - 1)
        table.add(
          first == last ? "\(first)" : "\(first)-\(last)", run.mixer, run.feedForward,
          Spelled.count(run.parameters), Spelled.bytes(run.weightBytes),
          Spelled.bytes(run.cacheBytesPerToken))
      }
      table.add(
        "embedding", "", "", Spelled.count(summary.embeddingParameters),
        Spelled.bytes(summary.embeddingBytes), "")
      table.add(
        "head", summary.isHeadShared ? "(the embedding)" : "", "",
        Spelled.count(summary.headParameters), Spelled.bytes(summary.headBytes), "")
      return table
    }
  }
}

extension ModelFiles {
  /// Bytes of all tensors as stored.
  var weightFileBytes: Int {
    source.tensorNames.reduce(0) { $0 + ((try? source.tensor($1).byteCount) ?? 0) }
  }

  /// How many tensors there are of each type, most first.
  var elementTypes: [(String, Int)] {
    var counts: [String: Int] = [:]
    for name in source.tensorNames {
      guard let tensor = try? source.tensor(name) else { continue }
      counts["\(tensor.type.rawValue)", default: 0] += 1
    }
    return counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
  }
}

extension ModelStatement {
  /// The licence, and where it can be read.
  fileprivate var spelled: String {
    (licence ?? "unknown") + (licenceText == nil ? "" : ", with its text")
      + (licenceLink.map { ", see \($0)" } ?? "")
  }
}
