import ArgumentParser
import Foundation
import WirePayloads
import WireProtocol

/// Runs a prompt on this machine alone.
struct GenerateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate",
    abstract: "Run a prompt on this machine alone; the answer streams to standard output.",
    discussion: """
      Uses the same engine as workers do: the same prompt, settings and seed give the same answer \
      as in a batch, on every machine. The prompt is a user's message in the model's chat \
      template, unless --raw continues it as it is. PROMPT "-" reads standard input.

      EXAMPLES:
        tally generate --model model.gguf "What is the capital of France?"
        tally generate --model model.gguf --raw --max-tokens 20 "Once upon a time"
        tally generate --model model.gguf --temperature 0.8 --top-p 0.95 --seed 7 --json "Write a \
      poem."
      """)

  @Option(help: "A GGUF file or a Hugging Face folder.", completion: .file())
  var model: String

  @Option(
    help: "A folder with a LoRA adapter for it, as PEFT and `tally finetune` write them.",
    completion: .directory)
  var adapter: String?

  @Argument(help: "What to answer or continue.")
  var prompt: String

  @Flag(help: "Continue the text as it is, without the chat template.")
  var raw = false

  @Option(help: "A system message before the prompt.")
  var system: String?

  @Option(name: .shortAndLong, help: "Tokens to generate, at most.")
  var maxTokens = 256

  @OptionGroup(title: "Sampling") var sampling: SamplingOptions

  @Option(help: "How keys and values are stored: f16, as in batches, or f32.")
  var cache: CacheOption = .f16

  @Flag(help: "Print one JSON object at the end instead of streaming.")
  var json = false

  @OptionGroup var packedCache: PackedCacheOptions
  @OptionGroup var compute: ComputeOptions

  private struct Report: Encodable {
    let text: String
    let tokens: [Int32]
    let finish_reason: String
    let prompt_tokens: Int
    let completion_tokens: Int
    let threads: Int
    let prefill_tokens_per_second: Double
    let decode_tokens_per_second: Double
  }

  func validate() throws {
    guard (1...GenerateInputs.Limit.maxTokens).contains(maxTokens) else {
      throw ValidationError("--max-tokens takes 1 to \(GenerateInputs.Limit.maxTokens)")
    }
    if raw, system != nil { throw ValidationError("--system has no meaning with --raw") }
  }

  func run() throws {
    var text = prompt
    if prompt == "-" {
      let input = try FileHandle.standardInput.readToEnd() ?? Data()
      text = String(decoding: input, as: UTF8.self)
    }
    let local = try LocalModel(
      path: model, adapter: adapter, cache: packedCache, compute: try compute.makeCompute())
    let tokens = try local.promptTokens(text, isRaw: raw, system: system)
    guard !tokens.isEmpty else { throw CommandError("the prompt has no tokens") }
    let outcome = try local.generate(
      sampling.sequence(tokens, maxTokens: maxTokens), cache: cache == .f16 ? .f16 : .f32
    ) { piece in
      if !json { try Terminal.output.foreign(piece) }
    }
    let count = outcome.sequence.tokens.count
    let prefill = Double(tokens.count) / max(outcome.prefillSeconds, 1e-9)
    // The first token comes out of the prefill.
    let decode = Double(max(0, count - 1)) / max(outcome.decodeSeconds, 1e-9)
    if json {
      try printJSON(
        Report(
          text: outcome.text, tokens: outcome.sequence.tokens,
          finish_reason: outcome.sequence.finish.word, prompt_tokens: tokens.count,
          completion_tokens: count, threads: compute.threadCount,
          prefill_tokens_per_second: prefill, decode_tokens_per_second: decode))
      return
    }
    Terminal.output.line()
    if outcome.sequence.finish == .nonFinite {
      throw CommandError("the model's values became infinite or undefined here")
    }
    Terminal.error.line(
      Terminal.error.styled(
        String(
          format: "%d + %d tokens, prefill %.0f and decode %.0f tokens a second", tokens.count,
          count,
          prefill, decode), .dim))
  }
}

/// How the next token is chosen.
struct SamplingOptions: ParsableArguments {
  @Option(help: "0 takes the most likely token; higher is more varied, up to 2.")
  var temperature: Float = 0

  @Option(help: "Only the most likely tokens that together have this probability.")
  var topP: Float = 1

  @Option(help: "Only this many of the most likely tokens; 0 for all.")
  var topK = 0

  @Option(help: "Only tokens that have this share of the most likely one's probability.")
  var minP: Float = 0

  @Option(help: "Decides the draw: the same seed gives the same answer.")
  var seed: Int64 = 0

  @Option(help: "End where this text appears; may be repeated.")
  var stop: [String] = []

  func validate() throws {
    guard (0...2).contains(temperature) else {
      throw ValidationError("--temperature takes 0 to 2")
    }
    guard topP > 0, topP <= 1 else { throw ValidationError("--top-p takes more than 0, up to 1") }
    guard (0...1).contains(minP) else { throw ValidationError("--min-p takes 0 to 1") }
    guard (0...Int(Int32.max)).contains(topK) else {
      throw ValidationError("--top-k takes 0 or more")
    }
    guard stop.count <= GenerateInputs.Limit.stopStringsPerSequence,
      stop.allSatisfy({ (1...GenerateInputs.Limit.stopStringBytes).contains($0.utf8.count) })
    else { throw ValidationError("too many, too long or empty --stop texts") }
  }

  func sequence(_ tokens: [Int32], maxTokens: Int) -> GenerateInputs.Sequence {
    GenerateInputs.Sequence(
      promptTokens: tokens, maxTokens: maxTokens, temperature: temperature, topP: topP, minP: minP,
      topK: topK, seed: seed, stopStrings: stop.map { Array($0.utf8) })
  }
}

extension GenerateResult.Finish {
  /// OpenAI's word for it.
  fileprivate var word: String {
    switch self {
    case .endOfSequence, .stopString: "stop"
    case .length: "length"
    case .nonFinite: "error"
    }
  }
}
