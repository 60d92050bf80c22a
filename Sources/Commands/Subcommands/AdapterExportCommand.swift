import APIObjects
import ArgumentParser
import Foundation
import Models

extension AdapterCommand {
  /// Tuned models of one's own.
  struct ListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list", abstract: "List your tuned models on a coordinator.",
      discussion: """
        EXAMPLE:
          tally adapter list
        """)

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup(title: "Connection") var connection: ConnectionOptions

    private struct Row: Encodable {
      struct Origin: Encodable {
        let fine_tuning_job: String?
        let licence: String?
      }
      let id: String
      let created: Int
      let tally: Origin

      init(_ model: ModelObject) {
        (id, created) = (model.id, model.created)
        tally = Origin(fine_tuning_job: model.tally.fineTuningJob, licence: model.tally.licence)
      }
    }

    func run() async throws {
      try await APIClient.with(connection) { client in
        let models = try await client.get("/v1/models", as: ListObject<ModelObject>.self).data
        let tuned = models.filter { $0.tally.fineTuningJob != nil }
        if json { return try printJSON(tuned.map(Row.init)) }
        guard !tuned.isEmpty else {
          return Terminal.output.line("No tuned models. `tally finetune` makes one.")
        }
        var table = TextTable(
          .text("MODEL"), .text("JOB"), .text("CREATED"), .text("LICENCE OF THE BASE"))
        for model in tuned {
          table.add(
            model.id, model.tally.fineTuningJob ?? "", Spelled.time(model.created),
            model.tally.licence ?? "not stated")
        }
        Terminal.output.line(table.rendered())
      }
    }
  }

  /// To files of others.
  struct ExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "export", abstract: "Write an adapter as a PEFT folder or as a GGUF file.",
      discussion: """
        ADAPTER is a tuned model or a checkpoint of one (ft:...) on a coordinator, or a PEFT \
        folder on this machine. A PEFT folder is what Hugging Face's peft loads over the base \
        model; a GGUF file is what llama.cpp takes with --lora over the base model in GGUF. To \
        change the base model's own weights instead, see `tally adapter merge`.

        EXAMPLES:
          tally adapter export ft:smollm2-135m-instruct:tallystick:proverbs:0a1b2c3d --output \
        my-adapter
          tally adapter export ft:smollm2-135m-instruct:tallystick:proverbs:0a1b2c3d --format gguf \
        --output my-adapter.gguf
          tally adapter export my-adapter --model ./SmolLM2-135M-Instruct --format gguf --output \
        my-adapter.gguf
        """)

    enum Format: String, ExpressibleByArgument, CaseIterable {
      case peft
      case gguf
    }

    @Argument(help: "A tuned model's name, or a folder of PEFT's.", completion: .directory)
    var adapter: String

    @Option(help: "What to write: a PEFT folder or a GGUF file.")
    var format: Format = .peft

    @Option(
      help: "The model that a folder's adapter is for: a GGUF file or a Hugging Face folder.",
      completion: .file())
    var model: String?

    @Option(
      name: .shortAndLong, help: "The folder, new or empty, or the file to write.",
      completion: .file())
    var output: String

    @OptionGroup(title: "Connection") var connection: ConnectionOptions

    private var isFolder: Bool { FileManager.default.fileExists(atPath: adapter) }

    func validate() throws {
      guard isFolder else {
        if model != nil {
          throw ValidationError("--model is for a folder's adapter; there is no folder \(adapter)")
        }
        return
      }
      guard format == .gguf else { throw ValidationError("\(adapter) is a PEFT folder already") }
      guard model != nil else {
        throw ValidationError("--model is missing: the model that \(adapter) is for")
      }
    }

    func run() async throws {
      let target = URL(fileURLWithPath: output)
      if let model, isFolder {
        let read = try AdapterFolder(URL(fileURLWithPath: adapter)).adapter
        let description = try ModelFiles(path: model).description
        try read.check(description)
        let data = try GGUFAdapter.data(
          read, of: description, name: target.deletingPathExtension().lastPathComponent)
        try data.write(to: target, options: .atomic)
        return Terminal.output.line("\(output): \(Spelled.bytes(data.count))")
      }
      if format == .peft { try Self.makeFolder(target) }
      try await APIClient.with(connection) { client in
        let download = AdapterDownload(client: client)
        switch format {
        case .peft: try await download.peft(adapter, to: target)
        case .gguf: try await download.gguf(adapter, to: target)
        }
      }
      Terminal.output.line("the adapter is in \(output)")
    }

    private static func makeFolder(_ url: URL) throws {
      try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
      guard try FileManager.default.contentsOfDirectory(atPath: url.path).isEmpty else {
        throw CommandError("\(url.path) is not empty: name a new folder for the adapter")
      }
    }
  }
}
