import ArgumentParser
import Execution
import Foundation
import Kernels
import Models
import Tokenizers

/// How well a model foresees a text.
struct PerplexityCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "perplexity", abstract: "Measure how well a model foresees a text.",
    discussion: """
      The text's tokens are cut into windows of --context tokens; the rest at the end is not used. \
      Each window is a text of its own: its first token becomes the one that begins a text, where \
      the tokenizer adds one. The tokens of its second half (but the first of them) are scored, \
      each given all tokens before it in the window. The perplexity is exp of the mean of their \
      negative log-probabilities: the lower, the better. llama.cpp's llama-perplexity measures the \
      same. FILE "-" reads standard input.

      EXAMPLES:
        tally perplexity --model model.gguf text.txt
        tally perplexity --model model.gguf text.txt --tokens 20000 --json
        tally perplexity --model ./Qwen3-0.6B text.txt --quantize q4_0 --calibrate other.txt
      """)

  @Option(help: "A GGUF file or a Hugging Face folder.", completion: .file())
  var model: String

  @Option(
    help: "A folder with a LoRA adapter for it, as PEFT and `tally finetune` write them.",
    completion: .directory)
  var adapter: String?

  @Argument(help: "A text in UTF-8.", completion: .file())
  var file: String

  @Option(help: "Tokens of a window.")
  var context = 512

  @Option(help: "Use the first tokens of the text alone, as many as this.")
  var tokens: Int?

  @Option(help: "How keys and values are stored: f16, as in batches, or f32.")
  var cache: CacheOption = .f16

  @Flag(help: "Turn the weights into float32 first, so that all arithmetic is float32.")
  var dequantize = false

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup(title: "Rounding first, as `tally model add` does") var rounding: RoundingOptions
  @OptionGroup var packedCache: PackedCacheOptions
  @OptionGroup var compute: ComputeOptions

  private struct Report: Encodable {
    let perplexity: Double
    let standard_error: Double
    /// The mean of the negative natural log-probabilities.
    let mean_negative_log: Double
    let text_tokens: Int
    let windows: Int
    let scored_tokens: Int
    let context: Int
  }

  func validate() throws {
    guard context >= 4 else { throw ValidationError("--context takes 4 or more") }
    if let tokens, tokens < context {
      throw ValidationError("--tokens takes \(context), the context, or more")
    }
  }

  func run() throws {
    let text = try TextFile.read(file)
    let tokens = try TextTokens(text, TokenizerBundle(path: self.model).tokenizer)
    let memory = LocalMemory.now()
    let model = try loadModel()
    guard context <= model.description.contextLength else {
      throw CommandError(
        "the model's context ends at \(model.description.contextLength) tokens: choose a smaller "
          + "--context")
    }
    let ids = Array(tokens.ids.prefix(self.tokens ?? tokens.ids.count))
    guard ids.count >= context else {
      throw CommandError("\(file) has \(ids.count) tokens, less than one window of \(context)")
    }
    try memory.check(
      model, sequences: 1, tokens: context, logitRows: Perplexity.logitRows(context: context),
      cache: cache.element, advice: "choose a smaller --context")
    var bar = ProgressBar()
    let windows = ids.count / context
    let result = try Perplexity(
      of: ids, beginning: tokens.beginning, context: context, cache: cache.element,
      executor: Executor(model, compute: try compute.makeCompute())
    ) { soFar in
      bar.show(
        fraction: Double(soFar.windows) / Double(windows),
        detail: String(format: "perplexity %.4f", soFar.value))
    }
    bar.finish()
    let report = Report(
      perplexity: result.value, standard_error: result.standardError,
      mean_negative_log: result.negativeLogSum / Double(result.tokens), text_tokens: ids.count,
      windows: result.windows, scored_tokens: result.tokens, context: context)
    if json { return try printJSON(report) }
    Terminal.output.line(
      String(
        format: "perplexity %.4f +- %.4f, %@ tokens scored in %d windows of %d", report.perplexity,
        report.standard_error, Spelled.count(report.scored_tokens), report.windows, context))
  }

  private func loadModel() throws -> Model {
    let options = Model.LoadOptions(weights: dequantize ? .float32 : .asStored)
    let rounding = try rounding.rounding(
      of: model, temporary: FileManager.default.temporaryDirectory, compute)
    guard let rounding else {
      return try packedCache.load(model, adapter: adapter, options: options)
    }
    let files = try rounding.apply(try ModelFiles(path: model))
    let rounded = try LocalMemory.now().load(
      files.description, from: files.source, options: options)
    guard let adapter else { return rounded }
    return try rounded.adapted(by: AdapterFolder(URL(fileURLWithPath: adapter)).adapter)
  }
}
