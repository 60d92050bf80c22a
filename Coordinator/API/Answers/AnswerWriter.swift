import CoordinatorStore
import Foundation
import Tokenizers
import WirePayloads
import WireProtocol

/// Writes the lines of a batch's output and error files. Pure: the same outcome gives the same
/// bytes, so that a file that is written again after a crash is the same blob.
package struct AnswerWriter {
  private let endpoint: GenerationEndpoint

  package init(endpoint: GenerationEndpoint) { self.endpoint = endpoint }

  /// The line of a completed request, with its line end.
  ///
  /// - Parameters:
  ///   - inputs: of the unit that `completed` names.
  ///   - result: of that unit.
  /// - Throws: `StoreError.corrupt` when unit and request do not fit together.
  package func line(
    _ outcome: RequestOutcome, completed: CompletedRequest, rendering: AnswerRendering,
    inputs: GenerateInputs, result: GenerateResult, decoder: some TokenDecoder
  ) throws -> Data {
    let range = completed.firstSequence..<completed.firstSequence + completed.sequenceCount
    guard range.lowerBound >= 0, range.upperBound <= inputs.sequences.count,
      inputs.sequences.count == result.sequences.count, rendering.choices > 0
    else {
      throw StoreError(.corrupt, "Request \(outcome.id) does not fit unit \(completed.unit).")
    }
    let answer = Answer(
      id: String(outcome.id.suffix(24)), created: completed.completedAt.seconds,
      rendering: rendering,
      usage: usage(inputs.sequences[range], result.sequences[range], rendering),
      verification: VerificationBody(
        unit: completed.unit.hex, verification: completed.verification.rawValue,
        replicas: completed.replicas,
        model: ModelOriginBody(
          manifest: rendering.manifest.hex, source: rendering.source, licence: rendering.licence,
          baseModels: rendering.baseModels ?? [], adapter: rendering.adapter?.hex)))
    let pairs = zip(inputs.sequences[range], result.sequences[range])
    switch endpoint {
    case .chatCompletions:
      let choices = try pairs.enumerated().map { index, pair in
        try chatChoice(index, pair.0, pair.1, decoder)
      }
      return try line(outcome, body: answer.chat(choices))
    case .completions:
      let choices = try pairs.enumerated().map { index, pair in
        try completionChoice(index, pair.0, pair.1, decoder)
      }
      return try line(outcome, body: answer.completion(choices))
    }
  }

  /// The line of a request that was not answered, with its line end; nil for a completed one.
  package func errorLine(_ outcome: RequestOutcome) throws -> Data? {
    switch outcome.ending {
    case .completed: return nil
    case .failed(let failure):
      guard let status = failure.statusCode else {
        return try line(outcome, failure: failure.code, failure.message)
      }
      let body = ErrorBody(
        error: .init(
          message: failure.message,
          type: status < 500 ? "invalid_request_error" : "server_error", param: failure.param,
          code: failure.code))
      return try line(outcome, body: body, status: status)
    case .expired:
      return try line(
        outcome, failure: "batch_expired",
        "This request could not be executed before the completion window expired.")
    case .cancelled:
      return try line(
        outcome, failure: "batch_cancelled",
        "This request was not executed because the batch was cancelled.")
    }
  }

  private func line(
    _ outcome: RequestOutcome, body: some Encodable & Sendable, status: Int = 200
  ) throws -> Data {
    try encoded(
      OutputLine(
        id: outcome.id, customID: outcome.customID,
        response: .init(
          statusCode: status, requestID: "req_\(outcome.id.suffix(24))", body: body),
        error: nil))
  }

  private func line(_ outcome: RequestOutcome, failure code: String, _ message: String) throws
    -> Data
  {
    try encoded(
      OutputLine<ErrorBody>(
        id: outcome.id, customID: outcome.customID, response: nil,
        error: .init(code: code, message: message)))
  }

  private func encoded(_ line: some Encodable) throws -> Data {
    var data = try ExactJSON.encode(line)
    data.append(UInt8(ascii: "\n"))
    return data
  }

  private func usage(
    _ inputs: ArraySlice<GenerateInputs.Sequence>, _ results: ArraySlice<GenerateResult.Sequence>,
    _ rendering: AnswerRendering
  ) -> UsageBody {
    let prompts = stride(from: inputs.startIndex, to: inputs.endIndex, by: rendering.choices)
    return UsageBody(
      prompt: prompts.reduce(0) { $0 + inputs[$1].promptTokens.count },
      completion: results.reduce(0) { $0 + $1.tokens.count })
  }

  private func chatChoice(
    _ index: Int, _ input: GenerateInputs.Sequence, _ result: GenerateResult.Sequence,
    _ decoder: some TokenDecoder
  ) throws -> ChatCompletionBody.Choice {
    let answer = try AnswerText(result, stopStrings: input.stopStrings, decoder: decoder)
    return ChatCompletionBody.Choice(
      index: index, message: .init(content: answer.text),
      logprobs: input.topLogprobs == nil
        ? nil : LogprobsWriter(result, count: answer.tokenCount, decoder: decoder).chat(),
      finishReason: result.finish.reason)
  }

  private func completionChoice(
    _ index: Int, _ input: GenerateInputs.Sequence, _ result: GenerateResult.Sequence,
    _ decoder: some TokenDecoder
  ) throws -> CompletionBody.Choice {
    let answer = try AnswerText(result, stopStrings: input.stopStrings, decoder: decoder)
    return CompletionBody.Choice(
      text: answer.text, index: index,
      logprobs: input.topLogprobs == nil
        ? nil : LogprobsWriter(result, count: answer.tokenCount, decoder: decoder).completion(of: answer.text),
      finishReason: result.finish.reason)
  }
}

/// What the two kinds of answers have in common.
private struct Answer {
  var id: String
  var created: Int
  var rendering: AnswerRendering
  var usage: UsageBody
  var verification: VerificationBody

  /// Names what decides the bits: the numerics profile, the model's manifest, and a tuned model's
  /// adapter.
  private var fingerprint: String {
    let base = "\(ProtocolVersion.numericsProfile)-\(rendering.manifest.hex.prefix(12))"
    return rendering.adapter.map { "\(base)-\($0.hex.prefix(12))" } ?? base
  }

  func chat(_ choices: [ChatCompletionBody.Choice]) -> ChatCompletionBody {
    ChatCompletionBody(
      id: "chatcmpl-\(id)", created: created, model: rendering.model, choices: choices,
      usage: usage, systemFingerprint: fingerprint, tally: verification)
  }

  func completion(_ choices: [CompletionBody.Choice]) -> CompletionBody {
    CompletionBody(
      id: "cmpl-\(id)", created: created, model: rendering.model, choices: choices, usage: usage,
      systemFingerprint: fingerprint, tally: verification)
  }
}

extension GenerateResult.Finish {
  /// OpenAI's word. A sequence that met a value that is not finite has failed before it gets here.
  fileprivate var reason: String {
    switch self {
    case .endOfSequence, .stopString: "stop"
    case .length, .nonFinite: "length"
    }
  }
}
