import ArgumentParser
import Execution
import FineTuning
import Foundation
import Kernels
import Models

/// Measures fine-tuning on this machine.
struct BenchFinetuneCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "finetune", abstract: "Measure how many tokens a second a model learns here.",
    discussion: """
      Takes whole steps (forward, backward, AdamW) over random tokens, with a LoRA adapter beside \
      every matrix of the layers. The figure is that of the median of --repeats steps after a \
      warm-up.

      EXAMPLE:
        tally bench finetune --model model.gguf --threads 2 --sequences 4 --tokens 256 --rank 8 \
      --json
      """)

  @Option(help: "A GGUF file or a Hugging Face folder.", completion: .file())
  var model: String

  @Option(help: "Sequences of a step.")
  var sequences = 4

  @Option(help: "Tokens of a sequence.")
  var tokens = 256

  @Option(help: "Rows of the small matrices.")
  var rank = 8

  @Option(
    help: ArgumentHelp(
      """
      Megabytes of activations to keep between the passes, at most; what is not kept is computed \
      twice.
      """,
      discussion: "Fewer are kept where the machine has less memory available."))
  var keepMegabytes = 512

  @Flag(help: "Turn the weights into float32 first, so that all arithmetic is float32.")
  var dequantize = false

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var repetition: RepeatOptions
  @OptionGroup var packedCache: PackedCacheOptions
  @OptionGroup var compute: ComputeOptions

  private struct Report: Encodable {
    let threads: Int
    let variant: String
    let tokens_per_second: Double
    let seconds_per_step: Double
    let trainable_parameters: Int
    let peak_resident_bytes: Int
  }

  func validate() throws {
    guard (1...4096).contains(sequences), (2...1 << 20).contains(tokens), (1...4096).contains(rank),
      (0...1 << 20).contains(keepMegabytes)
    else {
      throw ValidationError(
        "--sequences and --rank take 1 to 4096, --tokens 2 or more, --keep-megabytes 0 or more")
    }
  }

  func run() throws {
    let memory = LocalMemory.now()
    let loaded = try packedCache.load(
      model, options: .init(weights: dequantize ? .float32 : .asStored))
    let compute = try compute.makeCompute()
    let adapter = Adapter.initial(
      for: try DenseModel(loaded).description, rank: rank, alpha: Double(2 * rank), seed: 0)
    let limits = try memory.trainingLimits(
      loaded, adapter, longest: tokens, threads: compute.pool.threads,
      wanted: .init(activationBytes: keepMegabytes << 20), advice: "choose fewer --tokens")
    let trainer = try Trainer(FrozenModel(loaded), adapter, compute: compute, limits: limits)
    let vocabulary = Double(loaded.description.vocabularySize)
    let batch = TrainingBatch(
      sequences: (0..<sequences).map { sequence in
        let ids = (0..<tokens).map {
          Int32(Philox.uniform(seed: Int64(sequence), position: $0) * vocabulary)
        }
        return .init(tokens: ids, labels: ids)
      })
    let clock = ContinuousClock()
    let seconds = try repetition.medianOfRuns {
      try clock.measure { _ = try trainer.step(batch, OptimiserSettings()) }.inSeconds
    }
    let report = Report(
      threads: compute.pool.threads, variant: compute.kernels.variant.rawValue,
      tokens_per_second: Double(batch.tokenCount) / seconds, seconds_per_step: seconds,
      trainable_parameters: adapter.parameterCount,
      peak_resident_bytes: ProcessMemory.peakResidentBytes())
    if json { return try printJSON(report) }
    Terminal.output.line(
      String(
        format: "%.0f tokens/s, %.2f s a step of %d tokens", report.tokens_per_second, seconds,
        batch.tokenCount))
    Terminal.output.line(
      "\(report.threads) threads, \(report.variant), \(Spelled.count(report.trainable_parameters)) "
        + "parameters, peak memory "
        + Spelled.bytes(report.peak_resident_bytes))
  }
}
