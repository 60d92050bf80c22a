import CoordinatorCore
import CoordinatorStore
import Foundation
import WirePayloads
import WireProtocol

/// Turns a validated line into what the store runs. Pure: the same line of the same batch gives the
/// same request, so that an interrupted validation can start over.
package struct RequestPlanner {
  private let batch: String
  private let model: ModelRecord
  private let encoder: any PromptEncoder
  private let defaultChatTokens: Int

  /// - Parameter defaultChatTokens: what a chat request without `max_tokens` may generate.
  package init(
    batch: String, model: ModelRecord, encoder: any PromptEncoder, defaultChatTokens: Int
  ) {
    self.batch = batch
    self.model = model
    self.encoder = encoder
    self.defaultChatTokens = defaultChatTokens
  }

  /// The request of line `number`; one that cannot be run has failed already.
  package func plan(_ line: BatchLine, number: Int) throws -> NewRequest {
    let rendering = AnswerRendering(
      choices: line.request.choices, model: line.request.model, manifest: model.manifest,
      tokenizer: model.tokenizer, source: model.source, licence: model.licence,
      baseModels: model.baseModels, adapter: model.adapter)
    let content: NewRequest.Content
    do {
      content = .run(
        RequestWork(
          model: model.manifest, adapter: model.adapter,
          sequences: try sequences(line.request, line: number)))
    } catch let error as PromptRefusal {
      content = .failed(error.failure)
    }
    return NewRequest(
      line: number, customID: line.customID, rendering: try CanonicalJSON.encode(rendering),
      content: content)
  }

  /// For each prompt its choices, in the order of the answer's `choices`.
  private func sequences(_ request: GenerationRequest, line: Int) throws
    -> [GenerateInputs.Sequence]
  {
    let prompts = try encoder.tokens(of: request.prompt)
    var sequences: [GenerateInputs.Sequence] = []
    for (index, tokens) in prompts.enumerated() {
      try check(tokens, request)
      let room = encoder.contextLength - tokens.count
      let maximum = request.maximumTokens ?? min(defaultChatTokens, room)
      for choice in 0..<request.choices {
        sequences.append(
          GenerateInputs.Sequence(
            promptTokens: tokens,
            maxTokens: min(maximum, GenerateInputs.Limit.maxTokens),
            temperature: request.temperature, topP: request.topP, minP: request.minP,
            topK: request.topK,
            seed: seed(request, line: line, sequence: index * request.choices + choice),
            topLogprobs: request.topLogprobs, stopStrings: request.stop.map { Array($0.utf8) }))
      }
    }
    return sequences
  }

  private func check(_ tokens: [Int32], _ request: GenerationRequest) throws {
    let param = if case .messages = request.prompt { "messages" } else { "prompt" }
    guard !tokens.isEmpty else {
      throw PromptRefusal("empty_prompt", "The prompt has no tokens.", param: param)
    }
    if let token = tokens.first(where: { $0 < 0 || Int($0) >= encoder.vocabularySize }) {
      throw PromptRefusal(
        "invalid_value", "Token \(token) is not in the model's vocabulary.", param: param)
    }
    let context = encoder.contextLength
    guard tokens.count < context else {
      throw PromptRefusal(
        "context_length_exceeded",
        "This model's maximum context length is \(context) tokens, but the prompt has "
          + "\(tokens.count).", param: param)
    }
    if let maximum = request.maximumTokens, tokens.count + maximum > context {
      throw PromptRefusal(
        "context_length_exceeded",
        "This model's maximum context length is \(context) tokens, but \(tokens.count) of the "
          + "prompt and \(maximum) of the answer were asked for.", param: param)
    }
  }

  /// A request's own seed counts for its first choice. Every other one is derived from what will
  /// not change: the seed, or the batch and line, and the place of the choice.
  private func seed(_ request: GenerationRequest, line: Int, sequence: Int) -> Int64 {
    if let seed = request.seed, sequence == 0 { return seed }
    let origin = request.seed.map { "seed \($0)" } ?? "batch \(batch) line \(line)"
    let digest = BlobDigest.sha256(Array("tally-seed-1\n\(origin)\n\(sequence)".utf8))
    return Int64(bitPattern: UInt64(digest.hex.prefix(16), radix: 16) ?? 0)
  }
}

/// What is needed to write a request's answer, kept with the request.
package struct AnswerRendering: Codable, Hashable, Sendable {
  /// Choices for each prompt.
  package var choices: Int
  /// The model's name at the time of the request.
  package var model: String
  package var manifest: Digest
  /// The blob of the tokenizer; the model's name may mean another one by then.
  package var tokenizer: Digest
  /// As `ModelRecord` has them; nil in requests of coordinators that did not keep them.
  package var source: String?
  package var licence: String?
  package var baseModels: [String]?
  /// Of a tuned model.
  package var adapter: Digest?

  package init(
    choices: Int, model: String, manifest: Digest, tokenizer: Digest, source: String? = nil,
    licence: String? = nil, baseModels: [String]? = nil, adapter: Digest? = nil
  ) {
    self.choices = choices
    self.model = model
    self.manifest = manifest
    self.tokenizer = tokenizer
    self.source = source
    self.licence = licence
    self.baseModels = baseModels
    self.adapter = adapter
  }

  private enum CodingKeys: String, CodingKey {
    case choices = "n"
    case model = "m"
    case manifest = "d"
    case tokenizer = "t"
    case source = "s"
    case licence = "l"
    case baseModels = "b"
    case adapter = "a"
  }
}
