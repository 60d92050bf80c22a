import Kernels
import WirePayloads
import WireProtocol

/// How many sequences and rows run together. It decides speed and memory, never bits.
package struct BatchLimits: Sendable, Hashable {
  /// Sequences with a cache at one time.
  package var activeSequences: Int
  /// Rows in one pass: one for each decoding sequence, the rest for prompts.
  package var rows: Int

  package init(activeSequences: Int = 32, rows: Int = 256) {
    self.activeSequences = max(1, activeSequences)
    self.rows = max(1, rows)
  }
}

/// Continuous batching: sequences join as others end, prompts are taken in chunks beside decoding
/// ones.
///
/// A value without threads or clock: each `step` is one pass through the model.
package struct GenerationEngine<Model: LanguageModel> {
  /// A token that `step` generated.
  package struct Event: Equatable, Sendable {
    package var sequence: Int
    package var token: Int32
    /// Set with a sequence's last token.
    package var finish: GenerateResult.Finish?
  }

  private struct Active {
    let index: Int
    let cache: Model.Cache
    /// Prompt tokens that have been run.
    var prefilled = 0
    /// The token to run next, once the prompt is through.
    var pending: Int32 = 0
    var stops: StopMatcher
  }

  private let model: Model
  private let cacheType: CacheType
  private let inputs: GenerateInputs
  private let vocabulary: VocabularyBytes?
  private let limits: BatchLimits
  private var sampler: Sampler
  private var active: [Active] = []
  private var nextSequence = 0
  private var outputs: [GenerateResult.Sequence]
  /// Tokens that have gone through the model, prompts included.
  package private(set) var processedTokens = 0

  /// - Throws: `ExecutionError` for inputs that this model cannot run.
  package init(
    model: Model, inputs: GenerateInputs, vocabulary: VocabularyBytes?, cacheType: CacheType,
    compute: Compute, limits: BatchLimits
  ) throws {
    try Self.check(inputs, vocabulary, model)
    self.model = model
    self.inputs = inputs
    self.vocabulary = vocabulary
    self.cacheType = cacheType
    self.limits = limits
    sampler = Sampler(compute: compute, vocabularyCount: model.vocabularyCount)
    outputs = inputs.sequences.map { _ in GenerateResult.Sequence(finish: .length) }
  }

  package var isFinished: Bool { active.isEmpty && nextSequence == inputs.sequences.count }

  /// What the sequences became; complete once `isFinished`.
  package var result: GenerateResult { GenerateResult(sequences: outputs) }

  /// Runs one pass and returns the tokens that it generated.
  ///
  /// - Throws: what the model throws.
  package mutating func step() throws -> [Event] {
    try admit()
    let (chunks, members) = planChunks()
    var events: [Event] = []
    var ended: [Int] = []
    try model.forward(chunks) { chunk, logits in
      let member = members[chunk]
      let event = take(logits, member: member)
      events.append(event)
      if event.finish != nil { ended.append(member) }
    }
    processedTokens += chunks.reduce(0) { $0 + $1.tokens.count }
    for member in ended.sorted(by: >) { active.remove(at: member) }
    return events
  }

  private mutating func admit() throws {
    while active.count < limits.activeSequences, nextSequence < inputs.sequences.count {
      let sequence = inputs.sequences[nextSequence]
      active.append(
        Active(
          index: nextSequence, cache: try model.makeCache(cacheType),
          stops: StopMatcher(sequence.stopStrings)))
      nextSequence += 1
    }
  }

  /// Every decoding sequence's token, then prompts in order while there are rows.
  private mutating func planChunks() -> ([ForwardChunk<Model.Cache>], members: [Int]) {
    var chunks: [ForwardChunk<Model.Cache>] = []
    var members: [Int] = []
    var rows = 0
    for (member, slot) in active.enumerated()
    where slot.prefilled == inputs.sequences[slot.index].promptTokens.count {
      chunks.append(
        ForwardChunk(cache: slot.cache, tokens: [slot.pending], wantsLogits: true))
      members.append(member)
      rows += 1
    }
    for (member, slot) in active.enumerated() {
      let prompt = inputs.sequences[slot.index].promptTokens
      let room = max(limits.rows - rows, chunks.isEmpty ? 1 : 0)
      guard room > 0 else { break }
      guard slot.prefilled < prompt.count else { continue }
      let end = min(prompt.count, slot.prefilled + room)
      chunks.append(
        ForwardChunk(
          cache: slot.cache, tokens: prompt[slot.prefilled..<end],
          wantsLogits: end == prompt.count))
      members.append(member)
      rows += end - slot.prefilled
      active[member].prefilled = end
    }
    return (chunks, members)
  }

  private mutating func take(_ logits: UnsafeMutableBufferPointer<Float>?, member: Int) -> Event {
    let index = active[member].index
    let sequence = inputs.sequences[index]
    guard let logits else {
      outputs[index].finish = .nonFinite
      return Event(sequence: index, token: -1, finish: .nonFinite)
    }
    let pick = sampler.pick(logits, for: sequence, position: outputs[index].tokens.count)
    outputs[index].tokens.append(pick.token)
    outputs[index].logprobs.append(pick.logprob)
    outputs[index].topTokens.append(pick.topTokens)
    outputs[index].topLogprobs.append(pick.topLogprobs)
    active[member].pending = pick.token
    let finish = finish(after: pick.token, member: member)
    if let finish { outputs[index].finish = finish }
    return Event(sequence: index, token: pick.token, finish: finish)
  }

  private mutating func finish(after token: Int32, member: Int) -> GenerateResult.Finish? {
    let index = active[member].index
    let sequence = inputs.sequences[index]
    if model.endOfSequence.contains(token) { return .endOfSequence }
    if let vocabulary, !active[member].stops.isEmpty,
      active[member].stops.append(vocabulary[token])
    {
      return .stopString
    }
    let generated = outputs[index].tokens.count
    let full = sequence.promptTokens.count + generated >= model.contextLength
    return generated == sequence.maxTokens || full ? .length : nil
  }

  private static func check(
    _ inputs: GenerateInputs, _ vocabulary: VocabularyBytes?, _ model: Model
  ) throws {
    for (index, sequence) in inputs.sequences.enumerated() {
      guard sequence.promptTokens.count < model.contextLength else {
        throw ExecutionError.promptTooLong(
          sequence: index, tokens: sequence.promptTokens.count, context: model.contextLength)
      }
      if let token = sequence.promptTokens.first(where: {
        $0 < 0 || Int($0) >= model.vocabularyCount
      }) {
        throw ExecutionError.tokenOutOfRange(
          sequence: index, token: token, vocabulary: model.vocabularyCount)
      }
      if let wanted = sequence.topLogprobs, wanted > model.vocabularyCount {
        throw ExecutionError.tooManyAlternatives(
          sequence: index, wanted: wanted, vocabulary: model.vocabularyCount)
      }
      if !sequence.stopStrings.isEmpty, vocabulary == nil {
        throw ExecutionError.vocabularyMissing
      }
    }
    // Embeddings are often padded beyond the tokenizer's vocabulary, never cut.
    if let vocabulary, vocabulary.count > model.vocabularyCount {
      throw ExecutionError.vocabularyMismatch(
        count: vocabulary.count, vocabulary: model.vocabularyCount)
    }
  }
}
