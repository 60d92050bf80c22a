import ArgumentParser
import Calibration
import CoordinatorAPI
import Foundation
import Kernels
import MachineLimits
import ModelFormats
import Models
import Tokenizers
import WirePayloads

/// How float weights are rounded.
struct RoundingOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Round weights in floats to this format.",
      discussion: """
        Matrices of layers and experts to the format named, embedding and output to 8 bits (6 with \
        q6_k).
        """,
      valueName: "format"))
  var quantize: RoundedFormat?

  @Option(
    help: ArgumentHelp(
      "A text in UTF-8, such as the model will meet: what rounding loses on it is made up for.",
      discussion: """
        Weights are rounded one column after the other, and those that are still to come take over \
        what was lost (second-order rounding, as in GPTQ). Takes the time of two passes of the \
        text through the model, and OpenBLAS (libopenblas0-pthread).
        """, valueName: "text"),
    completion: .file())
  var calibrate: String?

  @Option(
    help: ArgumentHelp(
      "Tokens of the text that are used, spread over the whole of it.", valueName: "count"))
  var calibrationTokens = 32_768

  @Option(help: ArgumentHelp("Tokens of a window of it.", valueName: "count"))
  var calibrationContext = 512

  func validate() throws {
    if calibrate != nil, quantize == nil {
      throw ValidationError("--calibrate goes with --quantize")
    }
    guard calibrationContext >= 16 else {
      throw ValidationError("--calibration-context takes 16 or more")
    }
    guard calibrationTokens >= calibrationContext else {
      throw ValidationError("--calibration-tokens takes \(calibrationContext), a window, or more")
    }
  }

  /// The rounding that is asked for; nil: none.
  ///
  /// - Parameters:
  ///   - model: a GGUF file or a folder, which has the tokenizer.
  ///   - temporary: the folder for what is rounded, until it is stored.
  func rounding(of model: String, temporary: URL, _ options: ComputeOptions) throws
    -> ModelRounding?
  {
    guard let quantize else { return nil }
    guard let calibrate else { return .plain(quantize) }
    // What is missing is said before anything is read.
    let algebra = try LinearAlgebra(threads: options.threadCount)
    let data = try TextFile.read(calibrate)
    let file = ModelProvenance.File(
      name: URL(fileURLWithPath: calibrate).lastPathComponent, bytes: data.utf8.count,
      sha256: BlobDigest.sha256(Array(data.utf8)).hex)
    let tokens = try TextTokens(data, TokenizerBundle(path: model).tokenizer)
    let compute = try options.makeCompute()
    return ModelRounding(name: quantize.rawValue, calibration: file) { files in
      let windows = try Calibration.windows(
        of: tokens.ids, beginning: tokens.beginning,
        context: min(calibrationContext, files.description.contextLength), limit: calibrationTokens)
      let calibration = try Calibration(
        files, to: quantize, algebra, compute: compute, folder: temporary
      ) { SystemMemory.reportedAvailableBytes() }
      var bar = ProgressBar()
      let layers = files.description.layers.count
      let rounded = try calibration.run(on: windows) { layer, fraction in
        bar.show(fraction: fraction, detail: "calibrating layer \(layer + 1) of \(layers)")
      }
      bar.clear()
      return rounded
    }
  }
}

/// A text from a file, or from standard input.
enum TextFile {
  /// - Throws: `CommandError` for a file that cannot be read or is not UTF-8.
  static func read(_ path: String) throws -> String {
    let data: Data
    if path == "-" {
      data = try FileHandle.standardInput.readToEnd() ?? Data()
    } else {
      guard let content = FileManager.default.contents(atPath: path) else {
        throw CommandError("\(path) cannot be read")
      }
      data = content
    }
    guard let text = String(validating: data, as: UTF8.self) else {
      throw CommandError("\(path) is not UTF-8")
    }
    return text
  }
}

/// A text's tokens.
struct TextTokens {
  let ids: [Int32]
  /// The token that begins a text, where the tokenizer adds one.
  let beginning: Int32?

  init(_ text: String, _ tokenizer: Tokenizer) throws {
    ids = try tokenizer.encode(text, addSpecialTokens: true)
    let plain = try tokenizer.encode(text, addSpecialTokens: false)
    beginning = ids.first == plain.first ? nil : ids.first
  }
}
