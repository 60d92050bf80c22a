import Kernels
import WirePayloads
import WireProtocol

/// How many sequences and rows run together. It decides speed and memory, never bits.
package struct BatchLimits: Sendable, Hashable {
  /// Caches at one time: of sequences, and of prefixes that further sequences will start from.
  package var activeSequences: Int
  /// Rows in one pass: one for each decoding sequence, the rest for prompts.
  package var rows: Int

  package init(activeSequences: Int = 32, rows: Int = 512) {
    self.activeSequences = max(1, activeSequences)
    self.rows = max(1, rows)
  }
}

/// Continuous batching: sequences join as others end, prompts are taken in chunks beside decoding
/// ones, and what prompts have in common is computed once (see `PrefixTree`).
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

  private let model: Model
  private let inputs: GenerateInputs
  private let vocabulary: VocabularyBytes?
  private let limits: BatchLimits
  private let tree: PrefixTree
  private var sampler: Sampler
  private var lanes: BatchLanes<Model>
  private var stops: [StopMatcher]
  private var outputs: [GenerateResult.Sequence]
  /// Tokens that have gone through the model; those of a shared prefix count once.
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
    self.limits = limits
    tree = PrefixTree(inputs.sequences.map(\.promptTokens))
    sampler = Sampler(compute: compute, vocabularyCount: model.vocabularyCount)
    lanes = BatchLanes(
      model: model, cacheType: cacheType, limit: limits.activeSequences, tree: tree)
    stops = inputs.sequences.map { StopMatcher($0.stopStrings) }
    outputs = inputs.sequences.map { _ in GenerateResult.Sequence(finish: .length) }
  }

  package var isFinished: Bool { lanes.isEmpty }

  /// What the sequences became; complete once `isFinished`.
  package var result: GenerateResult { GenerateResult(sequences: outputs) }

  /// What one sequence has become so far.
  package func output(of sequence: Int) -> GenerateResult.Sequence { outputs[sequence] }

  /// Runs one pass and returns the tokens that it generated.
  ///
  /// - Throws: what the model throws.
  package mutating func step() throws -> [Event] {
    try lanes.admit()
    let (chunks, members) = planChunks()
    var events: [Event] = []
    try model.forward(chunks) { chunk, logits in
      for sequence in lanes.sequences(of: lanes.running[members[chunk]].work) {
        events.append(take(logits, sequence: sequence))
      }
    }
    for (chunk, member) in zip(chunks, members) {
      processedTokens += chunk.tokens.count
      lanes.running[member].length += chunk.tokens.count
    }
    let ended = Set(events.lazy.filter { $0.finish != nil }.map(\.sequence))
    // From the last on, since lanes go.
    for member in members.sorted(by: >) { lanes.settle(member, ended: ended) }
    return events
  }

  /// The tokens of all lanes that lack one only, then those of the others in order while there are
  /// rows.
  private func planChunks() -> ([ForwardChunk<Model.Cache>], members: [Int]) {
    var chunks: [ForwardChunk<Model.Cache>] = []
    var members: [Int] = []
    var rows = 0
    func add(_ member: Int, _ count: Int) {
      let lane = lanes.running[member]
      let end = lane.length + count
      chunks.append(
        ForwardChunk(
          cache: lane.cache, tokens: tokens(of: lane.work, lane.length..<end),
          wantsLogits: end == goal(lane.work) && lanes.givesTokens(lane.work)))
      members.append(member)
      rows += count
    }
    let missing = lanes.running.map { goal($0.work) - $0.length }
    for (member, count) in missing.enumerated() where count == 1 { add(member, 1) }
    for (member, count) in missing.enumerated() where count > 1 {
      let room = max(limits.rows - rows, chunks.isEmpty ? 1 : 0)
      guard room > 0 else { break }
      add(member, min(count, room))
    }
    return (chunks, members)
  }

  /// Tokens that a lane must have run.
  private func goal(_ work: BatchWork) -> Int {
    switch work {
    case .prompt(let node): tree.nodes[node].length
    case .sequence(let index):
      inputs.sequences[index].promptTokens.count + outputs[index].tokens.count
    }
  }

  private func tokens(of work: BatchWork, _ range: Range<Int>) -> ArraySlice<Int32> {
    // Any of a node's sequences begins with its tokens.
    guard let index = lanes.sequences(of: work).first else { return [] }
    let prompt = inputs.sequences[index].promptTokens
    if range.upperBound <= prompt.count { return prompt[range] }
    let generated = max(0, range.lowerBound - prompt.count)..<range.upperBound - prompt.count
    return prompt.dropFirst(range.lowerBound) + outputs[index].tokens[generated]
  }

  private mutating func take(
    _ logits: UnsafeMutableBufferPointer<Float>?, sequence index: Int
  ) -> Event {
    let sequence = inputs.sequences[index]
    guard let logits else {
      outputs[index].finish = .nonFinite
      return Event(sequence: index, token: -1, finish: .nonFinite)
    }
    let pick = sampler.pick(logits, for: sequence, position: outputs[index].tokens.count)
    outputs[index].tokens.append(pick.token)
    outputs[index].logprobs.append(pick.logprob)
    outputs[index].topTokens.append(contentsOf: pick.topTokens)
    outputs[index].topLogprobs.append(contentsOf: pick.topLogprobs)
    let finish = finish(after: pick.token, sequence: index)
    if let finish { outputs[index].finish = finish }
    return Event(sequence: index, token: pick.token, finish: finish)
  }

  private mutating func finish(
    after token: Int32, sequence index: Int
  ) -> GenerateResult.Finish? {
    let sequence = inputs.sequences[index]
    if model.endOfSequence.contains(token) { return .endOfSequence }
    if let vocabulary, !stops[index].isEmpty, stops[index].append(vocabulary[token]) {
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
      guard !sequence.promptTokens.isEmpty else {
        throw ExecutionError.promptEmpty(sequence: index)
      }
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
