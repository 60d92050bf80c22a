import ArgumentParser
import Execution
import Foundation
import Models

/// Runs token ids through a model and writes every logit.
struct LogitsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "logits", abstract: "Compute a model's logits for given token ids.",
    discussion: """
      For comparing with other programs. Reads "input_ids" int32 [B, T] from a safetensors file, \
      each row a sequence of its own from position 0, and writes "logits" float32 [B, T, V] to \
      another.

      EXAMPLE:
        tally logits --model model.gguf --input ids.safetensors --output logits.safetensors
      """)

  @Option(help: "A GGUF file or a Hugging Face folder.", completion: .file())
  var model: String

  @Option(
    help: "A folder with a LoRA adapter for it, as PEFT and `tally finetune` write them.",
    completion: .directory)
  var adapter: String?

  @Option(help: "A safetensors file with input_ids.", completion: .file())
  var input: String

  @Option(help: "The safetensors file to write.", completion: .file())
  var output: String

  @Option(help: "How keys and values are stored: f32 or f16.")
  var cache: CacheOption = .f32

  @Flag(help: "Turn the weights into float32 first, so that all arithmetic is float32.")
  var dequantize = false

  @OptionGroup var packedCache: PackedCacheOptions
  @OptionGroup var compute: ComputeOptions

  func run() throws {
    let memory = LocalMemory.now()
    let model = try packedCache.load(
      model, adapter: adapter, options: .init(weights: dequantize ? .float32 : .asStored))
    try writeLogits(
      model, inputPath: input, outputPath: output, cache: cache.element,
      compute: try compute.makeCompute()
    ) { tokens, logitRows in
      try memory.check(
        model, sequences: 1, tokens: tokens, logitRows: logitRows, cache: cache.element,
        advice: "give shorter sequences")
    }
  }
}
