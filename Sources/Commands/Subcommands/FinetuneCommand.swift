import ArgumentParser
import Execution
import FineTuning
import Foundation
import Kernels
import ModelFormats
import Models
import Tokenizers
import TrainingData

/// Fine-tunes on this machine alone.
struct FinetuneCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "finetune",
    abstract: """
      Fine-tune a model with a coordinator's volunteers, or on this machine alone: a LoRA adapter \
      comes out.
      """,
    discussion: """
      DATA has a JSON object on each line, as OpenAI's fine-tuning takes them: {"messages": \
      [...]}, of which the assistant's turns are learnt (but those with "weight": 0), or {"text": \
      ...}, all of which is learnt. The model's weights stay as they are, and may be quantised; \
      small matrices beside them are learnt with AdamW. The adapter is a folder that Hugging Face \
      PEFT loads, and that `tally generate --adapter` uses; it is the one with the least held-out \
      loss.

      MODEL says where. The name of a coordinator's model makes a job there: its shards are learnt \
      by volunteers' machines in rounds, and batches can name the tuned model at once. A GGUF file \
      or a Hugging Face folder is learnt on this machine alone.

      The same data, settings and seed give the same adapter to the bit, on every machine. `tally \
      audit JOB` repeats a job.

      EXAMPLES:
        tally finetune data.jsonl --model smollm2-135m-instruct --dry-run
        tally finetune data.jsonl --model smollm2-135m-instruct --suffix proverbs --output \
      my-adapter
        tally finetune data.jsonl --model model.gguf --output my-adapter
        tally finetune data.jsonl --model ./Qwen2.5-0.5B-Instruct --output my-adapter --epochs 1 \
      --rank 16 --targets q_proj,v_proj
      """)

  @Argument(help: "Examples, one JSON object a line.", completion: .file())
  var data: String

  @Option(
    help: """
      The name of a coordinator's model; or a GGUF file or a Hugging Face folder, to learn on this \
      machine.
      """,
    completion: .file())
  var model: String

  @Option(
    name: .shortAndLong,
    help: "The folder that the adapter is written to; it must be new or empty.",
    completion: .directory)
  var output: String?

  @Option(help: "Examples that are not learnt, to measure the loss on.", completion: .file())
  var validation: String?

  @Option(
    help: ArgumentHelp(
      "Without --validation, the share of DATA that is held out instead.", valueName: "share"))
  var holdOut = 0.1

  @Option(help: "How often every example is learnt.")
  var epochs = 3

  @Option(
    help: """
      Epochs in a row (rounds, of a job) that may leave the held-out loss no better, before the \
      run ends early. 1 epoch, or any number of rounds, when left out.
      """)
  var patience: Int?

  @Option(help: "Examples of a step.")
  var batchSize = 4

  @Option(help: "How far a step goes.")
  var learningRate = 2e-4

  @Option(help: "How much of the adapter each step takes away, times the learning rate.")
  var weightDecay = 0.0

  @Option(help: "The norm that gradients are clipped to.")
  var maximumNorm = 1.0

  @Option(help: "Rows of the small matrices.")
  var rank = 8

  @Option(
    help: """
      How much the adapter counts: its product is multiplied with alpha / rank. Twice the rank \
      when left out.
      """)
  var alpha: Double?

  @Flag(help: "Multiply with alpha / sqrt(rank) instead.")
  var rankStabilised = false

  @Option(
    help: """
      Matrices that get an adapter, separated by commas; all of q_proj, k_proj, v_proj, o_proj, \
      gate_proj, up_proj, down_proj when left out.
      """)
  var targets: String?

  @Option(help: "Tokens of an example that are used, at most.")
  var maxTokens = 1024

  @Option(help: "Begins the adapter, shuffles and holds out.")
  var seed: Int64 = 0

  @Option(help: ArgumentHelp("Of a job: a word in the tuned model's name."))
  var suffix: String?

  @Option(help: "Of a job: who may run it, public (volunteers can read the data) or trusted.")
  var pool: SubmitCommand.Pool = .public

  @Option(
    help: """
      Of a job: shards of a round, which as many machines learn at a time. By the workers that are \
      there when left out.
      """)
  var shards: Int?

  @Option(help: "Of a job: steps that a shard takes before it is joined with the others.")
  var localSteps: Int?

  @Option(
    help: ArgumentHelp(
      "Of a job: what the data may be used for, for the model's card.", valueName: "licence"))
  var dataLicence: String?

  @Option(
    help: ArgumentHelp(
      "Of a job: where the data are from, for the model's card.", valueName: "source"))
  var dataSource: String?

  @Flag(help: "Of a job: print its identifier and leave it to the coordinator.")
  var detach = false

  @Option(
    help: ArgumentHelp(
      "What chat templates take for today, so that a run repeats.", valueName: "yyyy-mm-dd"))
  var date = "2026-01-01"

  @Option(
    help: ArgumentHelp(
      """
      Megabytes of activations to keep between the passes, at most; what is not kept is computed \
      twice.
      """,
      discussion: """
        Fewer are kept where the machine has less memory available. The adapter is the same to the \
        bit.
        """))
  var keepMegabytes = 512

  @Flag(help: "Turn the weights into float32 first, so that all arithmetic is float32.")
  var dequantize = false

  @Flag(help: "Say what would be done, how long it would take and how much memory; learn nothing.")
  var dryRun = false

  @Flag(help: "Print a JSON object at the end instead of text.")
  var json = false

  @OptionGroup var packedCache: PackedCacheOptions
  @OptionGroup var compute: ComputeOptions
  @OptionGroup(title: "Connection") var connection: ConnectionOptions

  /// Whether the model is a file here, so that this machine learns alone.
  private var isLocal: Bool { FileManager.default.fileExists(atPath: model) }

  func validate() throws {
    func positive(_ value: Int, _ name: String, _ limit: Int) throws {
      guard (1...limit).contains(value) else {
        throw ValidationError("\(name) takes 1 to \(limit)")
      }
    }
    try positive(epochs, "--epochs", 10_000)
    if let patience { try positive(patience, "--patience", 10_000) }
    try positive(batchSize, "--batch-size", 4096)
    try positive(rank, "--rank", 4096)
    try positive(maxTokens, "--max-tokens", 1 << 20)
    guard learningRate > 0, learningRate < 10 else {
      throw ValidationError("--learning-rate takes more than 0, less than 10")
    }
    guard weightDecay >= 0, weightDecay * learningRate < 1 else {
      throw ValidationError("--weight-decay takes 0 or more")
    }
    guard maximumNorm > 0 else { throw ValidationError("--maximum-norm takes more than 0") }
    guard holdOut >= 0, holdOut < 1 else {
      throw ValidationError("--hold-out takes 0 or more, less than 1")
    }
    guard (0...1 << 20).contains(keepMegabytes) else {
      throw ValidationError("--keep-megabytes takes 0 or more")
    }
    if isLocal {
      if output == nil, !dryRun {
        throw ValidationError(
          "--output is missing, the folder for the adapter; or ask for a --dry-run")
      }
      let ofJobs =
        suffix != nil || shards != nil || localSteps != nil || dataLicence != nil
        || dataSource != nil || detach
      if ofJobs {
        throw ValidationError(
          "\(model) is a file, so that this machine learns alone: --suffix, --shards, "
            + "--local-steps, --data-licence, --data-source and --detach are of jobs")
      }
    } else {
      if ["/", ".gguf"].contains(where: model.contains) {
        throw ValidationError("there is no file \(model)")
      }
      if dequantize {
        throw ValidationError(
          "--dequantize is for this machine alone; add the model to the coordinator in floats "
            + "instead")
      }
      if maximumNorm != 1 {
        throw ValidationError("--maximum-norm is for this machine alone; jobs clip to 1")
      }
      if detach, output != nil {
        throw ValidationError("--detach does not wait for what --output would hold")
      }
    }
    guard FileManager.default.isReadableFile(atPath: data) || data == "-" else {
      throw ValidationError("cannot read \(data)")
    }
    _ = try kinds()
    _ = try clock()
  }

  func clock() throws -> TemplateClock {
    guard let clock = TemplateClock(date) else {
      throw ValidationError("--date takes a day such as 2026-01-31")
    }
    return clock
  }

  func kinds() throws -> Set<LinearKind> {
    guard let targets else { return Set(LinearKind.allCases) }
    return Set(
      try targets.split(separator: ",").map { name in
        let name = name.trimmingCharacters(in: .whitespaces)
        guard let kind = LinearKind(rawValue: name) else {
          let known = LinearKind.allCases.map(\.rawValue).joined(separator: ", ")
          throw ValidationError("--targets: there is no \(name); known are \(known)")
        }
        return kind
      })
  }

  func run() async throws {
    if isLocal { try runHere() } else { try await runJob() }
  }

  func newFolder(_ path: String) throws -> URL {
    let url = URL(fileURLWithPath: path)
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    guard try FileManager.default.contentsOfDirectory(atPath: url.path).isEmpty else {
      throw CommandError("\(path) is not empty: name a new folder for the adapter")
    }
    return url
  }
}
