import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Foundation
import Testing
import WirePayloads
import WireProtocol

/// Token n is the letter n places after `a`; token 100 ends a sequence; 101 and 102 are halves of `é`.
private struct Letters: TokenDecoder {
  func bytes(of token: Int32) -> [UInt8] {
    switch token {
    case 0..<26: [UInt8(97 + token)]
    case 100: Array("<end>".utf8)
    case 101: [0xC3]
    case 102: [0xA9]
    default: []
    }
  }

  func isSpecial(_ token: Int32) -> Bool { token == 100 }

  func text(of tokens: [Int32]) throws -> String {
    String(decoding: tokens.filter { !isSpecial($0) }.flatMap(bytes(of:)), as: UTF8.self)
  }
}

@Suite struct AnswerWriterTests {
  private static let digest = BlobDigest.sha256(Array("x".utf8))

  private func write(
    _ endpoint: GenerationEndpoint, _ result: GenerateResult.Sequence, stop: [String] = [],
    topLogprobs: Int? = nil
  ) throws -> [String: Any] {
    let inputs = GenerateInputs(sequences: [
      .init(promptTokens: [9, 9], maxTokens: 50),
      .init(
        promptTokens: [1, 2, 3], maxTokens: 50, topLogprobs: topLogprobs,
        stopStrings: stop.map { Array($0.utf8) }),
    ])
    let other = GenerateResult.Sequence(tokens: [25], finish: .length, logprobs: [-1])
    let completed = CompletedRequest(
      unit: Self.digest, inputs: Self.digest, result: Self.digest, firstSequence: 1,
      sequenceCount: 1, verification: .replay, replicas: 1, completedAt: Timestamp(seconds: 7))
    let outcome = RequestOutcome(
      id: "batch_req_abcdefghijklmnopqrstuvwx", line: 1, customID: "c", rendering: Data(),
      ending: .completed(completed))
    let line = try AnswerWriter(endpoint: endpoint).line(
      outcome, completed: completed,
      rendering: AnswerRendering(
        choices: 1, model: "m", manifest: Self.digest, tokenizer: Self.digest),
      inputs: inputs, result: GenerateResult(sequences: [other, result]), decoder: Letters())
    #expect(line.last == 10)
    let json = try #require(try JSONSerialization.jsonObject(with: line) as? [String: Any])
    let response = try #require(json["response"] as? [String: Any])
    #expect(response["request_id"] as? String == "req_abcdefghijklmnopqrstuvwx")
    return try #require(response["body"] as? [String: Any])
  }

  private func choice(_ body: [String: Any]) -> [String: Any] {
    (body["choices"] as? [[String: Any]])?.first ?? [:]
  }

  private func content(_ body: [String: Any]) -> String? {
    (choice(body)["message"] as? [String: Any])?["content"] as? String
  }

  @Test func theEndTokenIsCountedButNotShown() throws {
    let body = try write(
      .chatCompletions,
      .init(tokens: [7, 8, 100], finish: .endOfSequence, logprobs: [-1, -2, -3]), topLogprobs: 0)
    #expect(content(body) == "hi")
    #expect(choice(body)["finish_reason"] as? String == "stop")
    let usage = body["usage"] as? [String: Any]
    #expect(usage?["prompt_tokens"] as? Int == 3)
    #expect(usage?["completion_tokens"] as? Int == 3)
    #expect(usage?["total_tokens"] as? Int == 6)
    let entries = (choice(body)["logprobs"] as? [String: Any])?["content"] as? [[String: Any]]
    #expect(entries?.compactMap { $0["token"] as? String } == ["h", "i"])
    #expect(body["created"] as? Int == 7)
    #expect((body["tally"] as? [String: Any])?["verification"] as? String == "replay")
  }

  @Test func textEndsBeforeTheStopString() throws {
    let result = GenerateResult.Sequence(
      tokens: [0, 1, 2, 3, 4], finish: .stopString, logprobs: [-1, -1, -1, -1, -1])
    let body = try write(.chatCompletions, result, stop: ["zz", "cde", "de"], topLogprobs: 0)
    #expect(content(body) == "ab")
    let entries = (choice(body)["logprobs"] as? [String: Any])?["content"] as? [[String: Any]]
    #expect(entries?.count == 2)
    // Only a sequence that a stop string ended is cut.
    var ended = result
    ended.finish = .length
    #expect(content(try write(.chatCompletions, ended, stop: ["cd"])) == "abcde")
  }

  @Test func splitCharactersKeepTheirBytes() throws {
    let result = GenerateResult.Sequence(
      tokens: [101, 102], finish: .length, logprobs: [-0.5, -.infinity],
      topTokens: [[101, 0], [102, 0]], topLogprobs: [[-0.5, -1], [-0.25, -2]])
    let body = try write(.chatCompletions, result, topLogprobs: 2)
    #expect(content(body) == "é")
    let entries = (choice(body)["logprobs"] as? [String: Any])?["content"] as? [[String: Any]]
    #expect(entries?.compactMap { $0["bytes"] as? [Int] } == [[0xC3], [0xA9]])
    #expect(entries?.last?["logprob"] as? Double == -9999)
    let alternatives = entries?.first?["top_logprobs"] as? [[String: Any]]
    #expect(alternatives?.compactMap { $0["logprob"] as? Double } == [-0.5, -1])
  }

  @Test func completionsHaveParallelArrays() throws {
    let result = GenerateResult.Sequence(
      tokens: [0, 1], finish: .length, logprobs: [-0.5, -1],
      topTokens: [[0, 1], [1, 2]], topLogprobs: [[-0.5, -1], [-1, -3]])
    let body = try write(.completions, result, topLogprobs: 2)
    #expect(body["object"] as? String == "text_completion")
    #expect(choice(body)["text"] as? String == "ab")
    let logprobs = try #require(choice(body)["logprobs"] as? [String: Any])
    #expect(logprobs["tokens"] as? [String] == ["a", "b"])
    #expect(logprobs["text_offset"] as? [Int] == [0, 1])
    #expect(logprobs["token_logprobs"] as? [Double] == [-0.5, -1])
    #expect((logprobs["top_logprobs"] as? [[String: Double]])?.last == ["b": -1, "c": -3])
  }

  @Test func aRequestThatDoesNotFitItsUnitIsDamage() {
    let completed = CompletedRequest(
      unit: Self.digest, inputs: Self.digest, result: Self.digest, firstSequence: 3,
      sequenceCount: 2, verification: .quorum, replicas: 2, completedAt: Timestamp(seconds: 7))
    let outcome = RequestOutcome(
      id: "batch_req_x", line: 1, customID: "c", rendering: Data(), ending: .completed(completed))
    #expect(throws: StoreError.self) {
      try AnswerWriter(endpoint: .completions).line(
        outcome, completed: completed,
        rendering: AnswerRendering(
          choices: 1, model: "m", manifest: Self.digest, tokenizer: Self.digest),
        inputs: GenerateInputs(sequences: []), result: GenerateResult(sequences: []),
        decoder: Letters())
    }
  }
}
