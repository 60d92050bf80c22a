import Execution
import Foundation
import Kernels
import ModelFormats
import Models
import Tokenizers
import WirePayloads
import WireProtocol

/// A model with its tokenizer on this machine, for a prompt at a time.
struct LocalModel {
  let bundle: TokenizerBundle
  let model: Model
  let compute: Compute
  private let memory: LocalMemory

  /// - Parameter adapter: a folder of PEFT's.
  init(path: String, adapter: String? = nil, cache: PackedCacheOptions, compute: Compute) throws {
    bundle = try TokenizerBundle(path: path)
    memory = .now()
    model = try cache.load(path, adapter: adapter)
    self.compute = compute
  }

  /// The tokens of a prompt.
  ///
  /// - Parameters:
  ///   - isRaw: the text as it is; else a user's message in the model's chat template.
  ///   - system: a system message before it.
  func promptTokens(_ text: String, isRaw: Bool, system: String?) throws -> [Int32] {
    if isRaw { return try bundle.tokenizer.encode(text, addSpecialTokens: true) }
    guard let source = bundle.chatTemplate else {
      throw CommandError("the model has no chat template: use --raw to continue the text as it is")
    }
    let messages =
      (system.map { [ChatTemplate.message(role: "system", content: .text($0))] } ?? [])
      + [ChatTemplate.message(role: "user", content: .text(text))]
    let rendered = try ConversationRenderer(
      ChatTemplate(source: source), variables: bundle.specialTokens,
      clock: TemplateClock(secondsSince1970: Int64(Date().timeIntervalSince1970)))
      .render(messages, addGenerationPrompt: true)
    if let index = rendered.ignored.first {
      throw CommandError(
        "the model's chat template leaves out the "
          + "\(index < messages.count - 1 ? "system" : "user's") message")
    }
    return try bundle.tokenizer.encode(rendered.text, addSpecialTokens: false)
  }

  /// What stop strings are searched in, a row for each token.
  private func vocabulary() -> VocabularyBytes {
    VocabularyBytes(
      tokens: (0..<Int32(clamping: model.description.vocabularySize)).map { token in
        bundle.tokenizer.isSpecial(token) ? [] : bundle.tokenizer.tokenBytes(token)
      })
  }

  /// How a generation went.
  struct Outcome {
    let text: String
    let sequence: GenerateResult.Sequence
    let prefillSeconds: Double
    let decodeSeconds: Double
  }

  /// Continues a prompt; `piece` gets the text as it becomes certain.
  ///
  /// - Throws: `MemoryShortage`, before anything is computed; `ExecutionError`; what `piece`
  ///   throws.
  func generate(
    _ request: GenerateInputs.Sequence, cache: CacheType, piece: (String) throws -> Void
  ) throws -> Outcome {
    let inputs = GenerateInputs(sequences: [request])
    let limits = try memory.batchLimits(
      model, inputs: inputs, cache: CacheElement(cache), advice: "choose a smaller --max-tokens")
    var engine = try GenerationEngine(
      model: ExecutorModel(model, compute: compute), inputs: inputs,
      vocabulary: request.stopStrings.isEmpty ? nil : vocabulary(), cacheType: cache,
      compute: compute, limits: limits)
    var detokenizer = bundle.tokenizer.streamingDetokenizer()
    var text = ""
    let clock = ContinuousClock()
    let start = clock.now
    var firstToken: ContinuousClock.Instant?
    func take(_ certain: String) throws {
      guard !certain.isEmpty else { return }
      text += certain
      try piece(certain)
    }
    while !engine.isFinished {
      for event in try engine.step() where event.token >= 0 {
        if firstToken == nil { firstToken = clock.now }
        try take(try detokenizer.push(event.token))
      }
    }
    try take(try detokenizer.finish())
    let end = clock.now
    return Outcome(
      text: text, sequence: engine.result.sequences[0],
      prefillSeconds: ((firstToken ?? end) - start).inSeconds,
      decodeSeconds: (end - (firstToken ?? end)).inSeconds)
  }
}
