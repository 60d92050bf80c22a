import ArgumentParser
import Execution
import Foundation
import Models

/// Measures a model on this machine.
struct BenchModelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model", abstract: "Measure how many tokens a second a model makes here.",
    discussion: """
      Prefill runs a prompt of 512 tokens. Decode runs 1, 8 and 32 sequences side by side, each \
      with 128 tokens in its cache, for 32 tokens a sequence; its tokens a second are those of all \
      sequences together. Each figure is the median of --repeats runs after a warm-up.

      EXAMPLES:
        tally bench --model model.gguf --threads 2 --json
        tally bench --model model.gguf --prefill 512 --decode 1
      """)

  @Option(help: "A GGUF file or a Hugging Face folder.", completion: .file())
  var model: String

  @Option(help: "Tokens of a prompt to measure; may be repeated. 512 when no run is named.")
  var prefill: [Int] = []

  @Option(help: "Sequences to decode together; may be repeated. 1, 8 and 32 when no run is named.")
  var decode: [Int] = []

  @OptionGroup var repetition: RepeatOptions

  @Option(help: "How keys and values are stored: f16 or f32.")
  var cache: CacheOption = .f16

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var packedCache: PackedCacheOptions
  @OptionGroup var compute: ComputeOptions

  private struct Report: Encodable {
    let threads: Int
    let variant: String
    let prefill: [String: Double]
    let decode: [String: Double]
    /// Of the weights that every token goes through.
    let bytes_per_step: Int
    let peak_resident_bytes: Int
  }

  /// Tokens in each sequence's cache before it is decoded.
  private static let decodeContext = 128
  /// Tokens that each sequence decodes.
  private static let decodeTokens = 32

  func validate() throws {
    guard prefill.allSatisfy({ (1...1 << 20).contains($0) }) else {
      throw ValidationError("--prefill takes 1 to \(1 << 20) tokens")
    }
    guard decode.allSatisfy({ (1...4096).contains($0) }) else {
      throw ValidationError("--decode takes 1 to 4096 sequences")
    }
  }

  func run() throws {
    let memory = LocalMemory.now()
    let model = try packedCache.load(model)
    let compute = try compute.makeCompute()
    let bench = Benchmark(executor: Executor(model, compute: compute), cache: cache.element)
    let isAll = prefill.isEmpty && decode.isEmpty
    let prompts = isAll ? [512] : prefill
    let batches = isAll ? [1, 8, 32] : decode
    // Fewer sequences together would be another measurement.
    for tokens in prompts {
      try memory.check(
        model, sequences: 1, tokens: tokens, cache: cache.element,
        advice: "choose a smaller --prefill than \(tokens)")
    }
    for sequences in batches {
      try memory.check(
        model, sequences: sequences, tokens: Self.decodeContext + Self.decodeTokens,
        logitRows: sequences,
        cache: cache.element, advice: "choose a smaller --decode than \(sequences)")
    }
    var prefilled: [String: Double] = [:]
    for tokens in prompts {
      prefilled[String(tokens)] = try repetition.medianOfRuns { try bench.prefill(tokens: tokens) }
    }
    var decoded: [String: Double] = [:]
    for sequences in batches {
      decoded[String(sequences)] = try repetition.medianOfRuns {
        try bench.decode(
          sequences: sequences, context: Self.decodeContext, tokens: Self.decodeTokens)
      }
    }
    let report = Report(
      threads: compute.pool.threads, variant: compute.kernels.variant.rawValue, prefill: prefilled,
      decode: decoded, bytes_per_step: model.bytesPerStep,
      peak_resident_bytes: ProcessMemory.peakResidentBytes())
    if json { return try printJSON(report) }
    var table = TextTable(.text("RUN"), .number("TOKENS A SECOND"))
    for tokens in prompts {
      table.add("prefill \(tokens)", String(format: "%.0f", prefilled[String(tokens)] ?? 0))
    }
    for sequences in batches {
      table.add("decode \(sequences)", String(format: "%.0f", decoded[String(sequences)] ?? 0))
    }
    Terminal.output.line(table.rendered())
    Terminal.output.line(
      "\(report.threads) threads, \(report.variant), peak memory "
        + Spelled.bytes(report.peak_resident_bytes))
  }
}
