import ArgumentParser
import Execution
import Foundation
import Kernels
import Models
import WirePayloads
import WireProtocol

/// Shows that this machine gives the bits that every other gives.
struct ProveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prove", abstract: "Run a fixed unit and print the digest of its result.",
    discussion: """
      The unit's inputs depend on the model alone: prompts of several lengths, some with a common \
      beginning, continued greedily and by drawing. It runs as a worker runs it. Two machines that \
      have the same model file must print the same digest, whatever their processors, variants and \
      threads; anything else is a bug, or a broken machine.

      EXAMPLES:
        tally prove --model model.gguf
        TALLY_CPU=avx2 tally prove --model model.gguf --threads 1 --json
        tally prove --model model.gguf --expect 5cbaf1...
      """)

  @Option(help: "A GGUF file or a Hugging Face folder.", completion: .file())
  var model: String

  @Option(help: "How keys and values are stored: f16, as in batches, or f32.")
  var cache: CacheOption = .f16

  @Option(help: "Fail unless this is the digest.")
  var expect: String?

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var packedCache: PackedCacheOptions
  @OptionGroup var compute: ComputeOptions

  private struct Report: Encodable {
    let digest: String
    /// Of the unit's inputs: if these differ, the models do.
    let inputs: String
    let profile: String
    let cache: String
    let variant: String
    let threads: Int
    let generated_tokens: Int
    /// Values of TALLY_CPU that this machine can run.
    let variants: [String]
  }

  func run() throws {
    let memory = LocalMemory.now()
    let description = try ModelFiles(path: model).description
    let engine = try compute.makeEngine()
    let threads = compute.threadCount
    let inputs = ProofUnit.inputs(
      vocabulary: description.vocabularySize, context: description.contextLength)
    let encoded = try inputs.encoded()
    let specification = UnitSpecification(
      kind: .generate,
      // Names the model for a coordinator's books; the bits do not depend on it.
      model: BlobDigest.sha256(Data()), inputs: BlobDigest.sha256(encoded),
      cache: cache == .f16 ? .f16 : .f32)
    var unit = UnitWork(specification, inputs: encoded, threads: threads)
    var bar = ProgressBar()
    let all = inputs.sequences.reduce(0) { $0 + $1.promptTokens.count + $1.maxTokens }
    unit.progress = { _, processed in
      guard Terminal.error.isInteractive else { return }
      bar.show(fraction: Double(processed) / Double(all), detail: "\(processed) tokens")
    }
    let outcome = try UnitRunner(engine).run(
      unit, on: .files(path: model, packed: packedCache.folder), within: .machine(memory))
    bar.clear()
    let report = Report(
      digest: BlobDigest.sha256(outcome.result).hex, inputs: specification.inputs.hex,
      profile: specification.profile, cache: cache.rawValue,
      variant: engine.kernels.variant.rawValue, threads: threads,
      generated_tokens: outcome.tokens, variants: KernelSet.availableFamilies)
    if json {
      try printJSON(report)
    } else {
      Terminal.output.line("digest   \(report.digest)")
      Terminal.output.line("variant  \(report.variant), \(report.threads) threads")
    }
    if let expect, expect.lowercased() != report.digest {
      throw CommandError("the digest is \(report.digest), not \(expect)")
    }
  }
}
