import CoordinatorCore
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

  /// Writes the line of a completed request, with its line end, in pieces: log-probabilities may be
  /// many, and are read and written a few at a time.
  ///
  /// - Parameters:
  ///   - unit: the one that `completed` names.
  ///   - emit: takes the next bytes.
  /// - Throws: `StoreError.corrupt` when unit and request do not fit together; what reading the
  ///   unit and `emit` throw.
  package func write(
    _ outcome: RequestOutcome, completed: CompletedRequest, rendering: AnswerRendering,
    unit: AnsweredUnit, decoder: some TokenDecoder, emit: (Data) async throws -> Void
  ) async throws {
    let range = completed.firstSequence..<completed.firstSequence + completed.sequenceCount
    guard range.lowerBound >= 0, range.upperBound <= unit.inputs.sequences.count,
      rendering.choices > 0
    else {
      throw StoreError(.corrupt, "Request \(outcome.id) does not fit unit \(completed.unit).")
    }
    let answer = Answer(
      id: String(outcome.id.suffix(24)), created: completed.completedAt.seconds,
      rendering: rendering, usage: usage(unit, range, rendering),
      verification: VerificationBody(
        unit: completed.unit.hex, verification: completed.verification.rawValue,
        replicas: completed.replicas,
        model: ModelOriginBody(
          manifest: rendering.manifest.hex, source: rendering.source, licence: rendering.licence,
          baseModels: rendering.baseModels ?? [], adapter: rendering.adapter?.hex)))
    var texts: [AnswerText] = []
    var finishes: [String] = []
    for index in range {
      let sequence = try await unit.sequence(index)
      texts.append(
        try AnswerText(
          sequence, stopStrings: unit.inputs.sequences[index].stopStrings, decoder: decoder))
      finishes.append(sequence.finish.reason)
    }
    let whole = try encoded(outcome, answer, texts, finishes)
    try await emit(whole.first)
    for (place, rest) in whole.rest.enumerated() {
      let index = range.lowerBound + place
      if unit.inputs.sequences[index].topLogprobs == nil {
        try await emit(Data("null".utf8))
      } else {
        let writer = LogprobsWriter(
          try await unit.sequence(index), count: texts[place].tokenCount, decoder: decoder)
        switch endpoint {
        case .chatCompletions: try await writer.writeChat(emit)
        case .completions: try await writer.writeCompletion(of: texts[place], emit)
        }
      }
      try await emit(rest)
    }
  }

  /// The line without log-probabilities, cut where those of each choice belong.
  private func encoded(
    _ outcome: RequestOutcome, _ answer: Answer, _ texts: [AnswerText], _ finishes: [String]
  ) throws -> (first: Data, rest: [Data]) {
    let choices = zip(texts, finishes).enumerated()
    let text =
      switch endpoint {
      case .chatCompletions:
        try line(
          outcome,
          body: answer.chat(
            choices.map { index, choice in
              ChatCompletionBody.Choice(
                index: index, message: .init(content: choice.0.text), finishReason: choice.1)
            }))
      case .completions:
        try line(
          outcome,
          body: answer.completion(
            choices.map { index, choice in
              CompletionBody.Choice(
                text: choice.0.text, index: index, finishReason: choice.1)
            }))
      }
    // No text of a client looks like this: its quotation marks are escaped.
    let (key, null) = (Data("\"logprobs\":".utf8), Data("null".utf8))
    var pieces: [Data] = []
    var start = text.startIndex
    while let place = text.range(of: key + null, in: start..<text.endIndex) {
      pieces.append(text[start..<place.lowerBound] + key)
      start = place.upperBound
    }
    guard let first = pieces.first, pieces.count == texts.count else {
      throw StoreError(.corrupt, "The answer to request \(outcome.id) cannot be written.")
    }
    return (first, pieces.dropFirst() + [text[start...]])
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
    _ unit: AnsweredUnit, _ range: Range<Int>, _ rendering: AnswerRendering
  ) -> UsageBody {
    let prompts = stride(from: range.lowerBound, to: range.upperBound, by: rendering.choices)
    return UsageBody(
      prompt: prompts.reduce(0) { $0 + unit.inputs.sequences[$1].promptTokens.count },
      completion: range.reduce(0) { $0 + unit.result.tokenCount(of: $1) })
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
