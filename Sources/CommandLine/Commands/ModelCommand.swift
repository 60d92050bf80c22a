import ArgumentParser
import CoordinatorAPI
import CoordinatorServer
import CoordinatorCore
import CoordinatorStore
import Foundation
import Models

/// The models that batches may name.
struct ModelCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model", abstract: "Add, list and inspect models and their tensors.",
    subcommands: [Add.self, List.self, Show.self, Inspect.self, TensorCommand.self])

  struct Add: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Add a model to a coordinator.",
      discussion: """
        PATH is a GGUF file or a Hugging Face folder (config.json, safetensors, tokenizer.json or \
        tokenizer.model). The weights are cut into chunks named by their SHA-256, from which \
        workers fetch what they lack. A running coordinator serves it at once. Adding the same \
        files again changes nothing.

        hf:OWNER/NAME[@REVISION] is a model of the Hugging Face hub, \
        hf:OWNER/NAME/FILE.gguf[@REVISION] one file there. What is to be had is pinned to its \
        commit, downloaded to TALLY_HUB_CACHE (else ~/.cache/tally/hub) and checked against the \
        hub's digests; an interrupted download goes on where it was. HF_TOKEN opens models whose \
        terms you have accepted there, HF_ENDPOINT names another hub.

        --quantize rounds weights that are stored in floats as they are added: matrices of layers \
        and experts to the format named, embedding and output to 8 bits (6 with q6_k), rows that \
        are no multiple of its block to what comes next (q4_1 for q4_k, q5_1 for q5_k, else q8_0). \
        Routers, norms and weights that are quantised already stay. With --calibrate, less is \
        lost. `tally perplexity --quantize --calibrate` shows what either costs.

        EXAMPLES:
          tally model add SmolLM2-135M-Instruct.Q4_1.gguf --name smollm2-135m-instruct
          tally model add ./Llama-3.2-1B-Instruct
          tally model add hf:Qwen/Qwen3-0.6B --quantize q4_k --calibrate text.txt
          tally model add hf:Qwen/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q8_0.gguf --dry-run
        """)

    @Argument(
      help: "A GGUF file, a Hugging Face folder, or hf:OWNER/NAME[/FILE.gguf][@REVISION].",
      completion: .file())
    var path: String

    @Option(help: "What batches call it; the file's or folder's name in lower case when left out.")
    var name: String?

    @Option(
      help: ArgumentHelp(
        "The licence of its weights, such as apache-2.0; what the files say when left out.",
        discussion: """
          Volunteers choose by it (see `tally worker choose`); one that nobody states is "unknown".
          """))
    var licence: String?

    @Option(
      help: ArgumentHelp(
        "A file with the licence's text; LICENSE among the model's files when left out.",
        valueName: "file"),
      completion: .file())
    var licenceText: String?

    @Option(
      help: ArgumentHelp(
        "A file with a chat template to use in place of the model's own.",
        discussion: "A template's text, or any file that `tally render --template` takes.",
        valueName: "file"),
      completion: .file())
    var chatTemplate: String?

    @Flag(help: "Say what would be downloaded and added, and do nothing.")
    var dryRun = false

    @OptionGroup(title: "Rounding") var rounding: RoundingOptions
    @OptionGroup var compute: ComputeOptions
    @OptionGroup var data: DataOptions

    func run() async throws {
      let reference = try HubReference(path)
      if dryRun { return try await plan(reference) }
      guard let reference else { return try await add(path) }
      // The folder is opened first: nothing is downloaded for a coordinator that is not there.
      _ = try data.open()
      let download = try await HubDownload.fetch(reference)
      try await add(
        download.path, name: Self.name(of: reference.file ?? reference.name),
        source: "\(download.reference)", notices: download.folder)
    }

    private func plan(_ reference: HubReference?) async throws {
      let output = Terminal.output
      guard let reference else {
        let files = try ModelFiles(path: path)
        try files.checkLoadable()
        return output.line(
          "\(name ?? Self.name(of: path)): \(files.description.family), "
            + "\(Spelled.bytes(files.weightFileBytes)) of weights")
      }
      let (pinned, files) = try await HubDownload.plan(reference)
      output.line("\(pinned)")
      var table = TextTable(.text("FILE"), .number("SIZE"))
      for file in files {
        table.add(file.rfilename, file.byteCount.map(Spelled.bytes) ?? "unknown")
      }
      let total = files.reduce(0) { $0 + ($1.byteCount ?? 0) }
      table.add("total", Spelled.bytes(total))
      output.line(table.rendered())
    }

    /// - Parameters:
    ///   - name: what batches call the model where the options do not say so.
    ///   - source: where it is from; nil: the path's last part.
    ///   - notices: the folder with licence and card; nil: the model's own.
    private func add(
      _ path: String, name fallback: String? = nil, source: String? = nil, notices: String? = nil
    ) async throws {
      let folder = try data.open()
      let name = name ?? fallback ?? Self.name(of: path)
      let rounding = try rounding.rounding(
        of: path, temporary: data.url, compute)
      let origin = ModelOrigin(
        source: source, noticeFolder: notices, licence: licence, licenceFile: licenceText,
        chatTemplateFile: chatTemplate)
      var bar = ProgressBar()
      let total = try ModelImport.workBytes(path: path, origin: origin)
      var done = 0
      let record = try await ModelImport(store: folder.store, blobs: folder.blobs).add(
        path: path, name: name, origin: origin, rounded: rounding, now: folder.now()
      ) { bytes in
        done += bytes
        bar.show(
          fraction: total > 0 ? min(0.99, Double(done) / Double(total)) : 0,
          detail: "read \(Spelled.bytes(done)) of \(Spelled.bytes(total))")
      }
      bar.clear()
      Terminal.output.line(
        "\(record.id): \(Spelled.bytes(record.cost.weightBytes)) of weights, context "
          + "\(Spelled.count(record.contextLength)), licence \(record.licence ?? "unknown"), "
          + (record.chatTemplate == nil ? "no chat template" : "with a chat template"))
    }

    /// `Some.Model-Q4.gguf` becomes `some.model-q4`.
    static func name(of path: String) -> String {
      let last = URL(filePath: path).standardizedFileURL.lastPathComponent
      let stem = last.lowercased().hasSuffix(".gguf") ? String(last.dropLast(5)) : last
      return String(
        stem.lowercased().map { character in
          character.isASCII
            && (character.isLetter || character.isNumber || "._-".contains(character))
            ? character : "-"
        })
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List a coordinator's models.")

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var data: DataOptions

    private struct Row: Encodable {
      let id: String
      let source: String
      let manifest: String
      let weight_bytes: Int
      let context_length: Int
      let licence: String?
      let base_models: [String]?
      let chat_template: Bool
      let created_at: Int
    }

    func run() async throws {
      let models = try await data.open().store.models()
      if json {
        return try printJSON(
          models.map {
            Row(
              id: $0.id, source: $0.source, manifest: $0.manifest.hex,
              weight_bytes: $0.cost.weightBytes, context_length: $0.contextLength,
              licence: $0.licence, base_models: $0.baseModels,
              chat_template: $0.chatTemplate != nil, created_at: $0.createdAt.seconds)
          })
      }
      var table = TextTable(
        .text("MODEL"), .number("WEIGHTS"), .number("CONTEXT"), .text("CHAT"), .text("LICENCE"),
        .text("FROM"))
      for model in models {
        table.add(
          model.id, Spelled.bytes(model.cost.weightBytes), Spelled.count(model.contextLength),
          model.chatTemplate == nil ? "no" : "yes", model.licence ?? "unknown", model.source)
      }
      Terminal.output.line(table.rendered())
    }
  }
}
