import ArgumentParser
import Foundation
import ModelFormats
import Models

extension ModelCommand {
  /// A tensor of a model as float32.
  struct TensorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "tensor", abstract: "List a model's tensors, or write one of them as float32.",
      discussion: """
        Without NAME it lists the tensors. With a name it writes that tensor, dequantised to \
        float32, to a safetensors file under its own name: the very bits that the engine computes \
        with. Works on any GGUF file or Hugging Face folder, also of models that cannot be run here.

        EXAMPLES:
          tally model tensor model.gguf
          tally model tensor model.gguf blk.0.attn_q.weight --output q.safetensors
        """)

    @Argument(help: "A GGUF file or a Hugging Face folder.", completion: .file())
    var path: String

    @Argument(help: "The tensor to write; all are listed when left out.")
    var name: String?

    @Option(help: "The safetensors file to write.", completion: .file())
    var output: String?

    @Flag(help: "Print the list as JSON.")
    var json = false

    private struct Row: Encodable {
      let name: String
      let type: String
      let shape: [Int]
      let bytes: Int
    }

    func validate() throws {
      guard (name == nil) == (output == nil) else {
        throw ValidationError("a tensor's NAME and --output FILE belong together")
      }
      if json, name != nil { throw ValidationError("--json is for the list") }
    }

    func run() throws {
      let source = try openTensors(path: path)
      guard let name, let output else { return try list(source) }
      guard source.tensorNames.contains(name) else {
        throw CommandError(
          "\(path) has no tensor \"\(name)\"\(hint(source.tensorNames, name)); "
            + "`tally model tensor \(path)` lists all \(source.tensorNames.count)")
      }
      let values = try source.floats(name)
      var writer = SafetensorsWriter()
      try writer.add(name, shape: try source.tensor(name).shape, values)
      try writer.write(to: URL(filePath: output))
    }

    private func list(_ source: any TensorSource) throws {
      let rows = source.tensorNames.map { name in
        // A type that is not known here is no reason to hide the others.
        let tensor = try? source.tensor(name)
        return Row(
          name: name, type: tensor?.type.rawValue ?? "not supported", shape: tensor?.shape ?? [],
          bytes: tensor?.byteCount ?? 0)
      }
      if json { return try printJSON(rows) }
      var table = TextTable(.text("TENSOR"), .text("TYPE"), .text("SHAPE"), .number("SIZE"))
      for row in rows {
        table.add(
          row.name, row.type, row.shape.map(String.init).joined(separator: " x "),
          Spelled.bytes(row.bytes))
      }
      Terminal.output.line(table.rendered())
    }

    /// Names that end as what was typed does.
    private func hint(_ names: [String], _ wanted: String) -> String {
      let parts = wanted.split(separator: ".")
      for dropped in parts.indices {
        let end = "." + parts[dropped...].joined(separator: ".")
        let similar = names.filter { ("." + $0).hasSuffix(end) }
        guard let first = similar.first else { continue }
        return similar.count == 1
          ? " (perhaps \"\(first)\")" : " (\(similar.count) are like \"\(first)\")"
      }
      return ""
    }
  }
}
