import ArgumentParser

/// Measures this machine.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measure how fast this machine computes.",
    discussion: """
      Without a subcommand, `tally bench --model MODEL` measures a model: tokens a second of a \
      prompt and of decoding. `bench finetune` measures how fast it learns, `bench products` \
      matrix products alone, and `bench peak` what the processor and its memory can do at most. \
      Close other programs first.

      EXAMPLES:
        tally bench --model model.gguf --threads 2 --json
        tally bench products --shape 1536x576 --rows 512 --type q8_0
        tally bench peak
      """,
    subcommands: [
      BenchModelCommand.self, BenchFinetuneCommand.self, BenchProductsCommand.self,
      BenchPeakCommand.self,
    ],
    defaultSubcommand: BenchModelCommand.self)
}

/// How often a figure is measured.
struct RepeatOptions: ParsableArguments {
  @Option(help: "Runs that the median is taken of, after a warm-up.")
  var repeats = 3

  func validate() throws {
    guard (1...1000).contains(repeats) else { throw ValidationError("--repeats takes 1 to 1000") }
  }

  /// The median of what `measure` returns.
  func medianOfRuns(_ measure: () throws -> Double) rethrows -> Double {
    _ = try measure()
    return try median((0..<repeats).map { _ in try measure() })
  }
}
