import ArgumentParser
import Foundation
import Models

/// Measures a model on this machine.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measure how many tokens a second a model makes here.",
    discussion: """
      Prefill runs a prompt of 512 tokens. Decode runs 1, 8 and 32 sequences side by side, each with 128 tokens in its \
      cache, for 32 tokens a sequence; its tokens a second are those of all sequences together. Each figure is the \
      median of --repeat runs after a warm-up.

      EXAMPLE:
        tally bench --model model.gguf --threads 2 --json
      """)

  @Option(help: "A GGUF file or a Hugging Face folder.", completion: .file())
  var model: String

  @Option(help: "Runs that the median is taken of.")
  var repeats = 3

  @Option(help: "How keys and values are stored: f16 or f32.")
  var cache: CacheOption = .f16

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var compute: ComputeOptions

  private struct Report: Encodable {
    let threads: Int
    let prefill: [String: Double]
    let decode: [String: Double]
    let peak_resident_bytes: Int
  }

  func validate() throws {
    guard (1...1000).contains(repeats) else { throw ValidationError("--repeats takes 1 to 1000") }
  }

  func run() throws {
    let model = try Model(path: model)
    let bench = Benchmark(
      executor: Executor(model, compute: try compute.makeCompute()), cache: cache.element)
    let prefill = try median { try bench.prefill(tokens: 512) }
    var decode: [String: Double] = [:]
    for sequences in [1, 8, 32] {
      decode[String(sequences)] = try median {
        try bench.decode(sequences: sequences, context: 128, tokens: 32)
      }
    }
    let report = Report(
      threads: compute.threadCount, prefill: ["512": prefill], decode: decode,
      peak_resident_bytes: ProcessMemory.peakResidentBytes())
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys]
      Terminal.output.line(String(decoding: try encoder.encode(report), as: UTF8.self))
    } else {
      var table = TextTable(.text("RUN"), .number("TOKENS A SECOND"))
      table.add("prefill 512", String(format: "%.0f", prefill))
      for sequences in [1, 8, 32] {
        table.add("decode \(sequences)", String(format: "%.0f", decode[String(sequences)] ?? 0))
      }
      Terminal.output.line(table.rendered())
      Terminal.output.line(
        "\(report.threads) threads, peak memory \(Spelled.bytes(report.peak_resident_bytes))")
    }
  }

  private func median(_ measure: () throws -> Double) throws -> Double {
    _ = try measure()
    let figures = try (0..<repeats).map { _ in try measure() }.sorted()
    return repeats % 2 == 1
      ? figures[repeats / 2] : (figures[repeats / 2 - 1] + figures[repeats / 2]) / 2
  }
}
