import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Foundation
import ModelFormats
import TestSupport
import Testing
import Tokenizers

@Suite struct BatchLineTests {
  static func validator(_ endpoint: GenerationEndpoint = .chatCompletions) -> BatchLineValidator {
    BatchLineValidator(endpoint: endpoint, knowsModel: { $0 == "m" || $0 == "m2" })
  }

  static func chat(_ members: String, id: String = "a") -> [UInt8] {
    Array(
      """
      {"custom_id":"\(id)","method":"POST","url":"/v1/chat/completions","body":{"model":"m",\
      "messages":[{"role":"user","content":"hi"}]\(members.isEmpty ? "" : "," + members)}}
      """.utf8)
  }

  static func completion(_ members: String) -> [UInt8] {
    Array(
      """
      {"custom_id":"a","method":"POST","url":"/v1/completions","body":{"model":"m",\(members)}}
      """.utf8)
  }

  @Test func readsEveryChatParameter() throws {
    var validator = Self.validator()
    let line = try validator.validate(
      Self.chat(
        """
        "temperature":0.5,"top_p":0.9,"top_k":40,"min_p":0.05,"seed":-3,"max_completion_tokens":7,\
        "stop":["x","yy"],"logprobs":true,"top_logprobs":20,"n":3,"user":"u","stream":false,\
        "response_format":{"type":"text"},"frequency_penalty":0,"presence_penalty":0.0,\
        "logit_bias":{},"metadata":{"k":"v"},"tools":[],"tool_choice":"none","store":false,\
        "service_tier":"auto","stream_options":null
        """), number: 1)
    #expect(line.customID == "a")
    var expected = GenerationRequest(
      model: "m", prompt: .messages([ChatMessage(role: "user", content: "hi")]))
    expected.temperature = 0.5
    expected.topP = 0.9
    expected.topK = 40
    expected.minP = 0.05
    expected.seed = -3
    expected.maximumTokens = 7
    expected.stop = ["x", "yy"]
    expected.topLogprobs = 20
    expected.choices = 3
    #expect(line.request == expected)
  }

  @Test func messagesMayHavePartsAndRoles() throws {
    var validator = Self.validator()
    let line = try validator.validate(
      Array(
        """
        {"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m",\
        "messages":[
        {"role":"developer","content":"be brief"},
        {"role":"user","name":"ann","content":[{"type":"text","text":"a"},{"type":"text",\
        "text":"b"}]},
        {"role":"assistant","content":"c","refusal":null,"tool_calls":[]}]}}
        """.utf8), number: 1)
    #expect(
      line.request.prompt
        == .messages([
          ChatMessage(role: "developer", content: "be brief"),
          ChatMessage(role: "user", content: .parts(["a", "b"]), name: "ann"),
          ChatMessage(role: "assistant", content: "c"),
        ]))
  }

  private func messages(_ json: String) throws -> GenerationPrompt {
    var validator = Self.validator()
    return try validator.validate(
      Array(
        """
        {"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m",\
        "messages":[{"role":"user","content":"Hi"},\(json)]}}
        """.utf8), number: 1
    ).request.prompt
  }

  @Test(arguments: [
    #""refusal":null,"annotations":[],"audio":null,"function_call":null,"tool_calls":null"#,
    #""tool_calls":[],"annotations":null,"reasoning":null,"reasoning_content":null"#,
    #""name":null"#,
    #""images":[],"thinking_blocks":[],"reasoning_details":[],"provider_specific_fields":{}"#,
    """
    "refusal":"","function_call":{},"annotations":[{"type":"url_citation",\
    "url_citation":{"url":"x"}}]
    """,
  ])
  func answersAreAcceptedAsHistory(_ members: String) throws {
    let history = try messages(#"{"role":"assistant","content":"Hello!",\#(members)}"#)
    #expect(
      history
        == .messages([
          ChatMessage(role: "user", content: "Hi"),
          ChatMessage(role: "assistant", content: "Hello!"),
        ]))
  }

  /// OpenAI shows a refusal in the place of an answer.
  @Test(arguments: [#""content":null"#, #""content":"""#, #""annotations":[]"#])
  func aRefusalIsWhatTheAssistantSaid(_ members: String) throws {
    let history = try messages(#"{"role":"assistant","refusal":"No.",\#(members)}"#)
    #expect(
      history
        == .messages([
          ChatMessage(role: "user", content: "Hi"), ChatMessage(role: "assistant", content: "No."),
        ]))
  }

  @Test(arguments: [
    #""reasoning":"hm""#, #""reasoning_content":"hm""#,
    #""reasoning":"hm","reasoning_content":"hm""#,
  ])
  func reasoningIsKept(_ members: String) throws {
    let history = try messages(#"{"role":"assistant","content":"Paris",\#(members)}"#)
    #expect(
      history
        == .messages([
          ChatMessage(role: "user", content: "Hi"),
          ChatMessage(role: "assistant", content: "Paris", reasoning: "hm"),
        ]))
  }

  @Test(arguments: [
    (#"{"role":"user","content":"a","annotations":[{}]}"#, "unsupported_parameter", "annotations"),
    (#"{"role":"user","content":"a","images":[]}"#, "unsupported_parameter", "images"),
    (
      #"{"role":"assistant","content":"a","annotations":"b"}"#, "unsupported_parameter",
      "annotations"
    ),
    (#"{"role":"assistant","content":"a","images":[{}]}"#, "unsupported_parameter", "images"),
    (
      #"{"role":"assistant","content":"a","tool_calls":[{}]}"#, "unsupported_parameter",
      "tool_calls"
    ),
    (#"{"role":"assistant","content":"a","refusal":"b"}"#, "invalid_value", "refusal"),
    (#"{"role":"assistant","refusal":1}"#, "invalid_type", "refusal"),
    (#"{"role":"user","content":"a","refusal":"b"}"#, "unsupported_parameter", "refusal"),
    (#"{"role":"assistant","content":"a","audio":{"id":"x"}}"#, "unsupported_parameter", "audio"),
    (#"{"role":"user","content":"a","reasoning":"hm"}"#, "unsupported_parameter", "reasoning"),
    (#"{"role":"assistant","content":"a","reasoning":1}"#, "invalid_type", "reasoning"),
    (
      #"{"role":"assistant","content":"a","reasoning":"b","reasoning_content":"c"}"#,
      "invalid_value",
      "reasoning_content"
    ),
    (#"{"role":"assistant","content":null}"#, "invalid_type", "content"),
    (#"{"role":"assistant"}"#, "missing_required_parameter", "content"),
  ])
  func badHistoryIsNamed(_ message: String, _ code: String, _ param: String) {
    let error = #expect(throws: BatchError.self) { try messages(message) }
    #expect(error?.code == code)
    #expect(error?.param == "body.messages[1].\(param)")
    if message.contains("null") { #expect(error?.message.contains("null") == true) }
  }

  @Test(arguments: [
    "\"seed\":18446744073709551615", "\"seed\":-9223372036854775809",
    "\"max_tokens\":99999999999999999999", "\"max_completion_tokens\":9223372036854775808",
    "\"n\":1e30", "\"top_k\":2147483648", "\"max_tokens\":1e400", "\"seed\":-1e400",
  ])
  func integersOutOfRangeAreCalledSo(_ member: String) throws {
    var validator = Self.validator()
    let error = #expect(throws: BatchError.self) {
      try validator.validate(Self.chat(member), number: 1)
    }
    #expect(error?.code == "invalid_value")
    #expect(error?.message.contains("between") == true, "\(error?.message ?? "")")
  }

  @Test func tokensOutOfRangeAreCalledSo() throws {
    for (token, code) in [
      ("2147483648", "invalid_value"), ("-1", "invalid_value"), ("1e30", "invalid_value"),
      ("1e400", "invalid_value"), ("1.5", "invalid_type"),
    ] {
      var validator = Self.validator(.completions)
      let error = #expect(throws: BatchError.self) {
        try validator.validate(Self.completion("\"prompt\":[1,\(token)]"), number: 1)
      }
      #expect(error?.code == code, "token \(token)")
    }
  }

  @Test func noLogprobsMayBeAskedForTwice() throws {
    var validator = Self.validator()
    let line = try validator.validate(
      Self.chat("\"logprobs\":false,\"top_logprobs\":0"), number: 1)
    #expect(line.request.topLogprobs == nil)
  }

  @Test func completionsMayAskForNoLogprobsAsChatsDo() throws {
    for members in [
      "\"logprobs\":false", "\"top_logprobs\":0", "\"logprobs\":false,\"top_logprobs\":0",
    ] {
      var validator = Self.validator(.completions)
      let line = try validator.validate(Self.completion("\"prompt\":\"a\",\(members)"), number: 1)
      #expect(line.request.topLogprobs == nil, "\(members)")
    }
    for (members, code) in [
      ("\"logprobs\":true", "invalid_type"), ("\"top_logprobs\":1", "unsupported_parameter"),
    ] {
      var validator = Self.validator(.completions)
      let error = #expect(throws: BatchError.self) {
        try validator.validate(Self.completion("\"prompt\":\"a\",\(members)"), number: 1)
      }
      #expect(error?.code == code, "\(members)")
    }
  }

  @Test func identifiersAreComparedByCodePoints() throws {
    var validator = BatchLineValidator(endpoint: .chatCompletions) { _ in true }
    let composed = try validator.validate(Self.chat("", id: "\u{E9}"), number: 1)
    let decomposed = try validator.validate(Self.chat("", id: "e\u{301}"), number: 2)
    #expect(composed.customID.utf8.count == 2 && decomposed.customID.utf8.count == 3)
    // U+212A is the sign of kelvin, to Swift the letter K.
    func line(_ model: String, _ id: String) -> [UInt8] {
      Array(
        String(decoding: Self.chat("", id: id), as: UTF8.self)
          .replacing("\"model\":\"m\"", with: "\"model\":\"\(model)\"").utf8)
    }
    var other = BatchLineValidator(endpoint: .chatCompletions) { _ in true }
    _ = try other.validate(line("K", "a"), number: 1)
    let error = #expect(throws: BatchError.self) {
      try other.validate(line("\u{212A}", "b"), number: 2)
    }
    #expect(error?.code == "mismatched_model")
  }

  @Test func completionPromptsHaveFourShapes() throws {
    let cases: [(String, GenerationPrompt)] = [
      ("\"a\"", .texts(["a"])), ("[\"a\",\"b\"]", .texts(["a", "b"])),
      ("[1,2]", .tokens([[1, 2]])), ("[[1],[2,3]]", .tokens([[1], [2, 3]])),
    ]
    for (json, prompt) in cases {
      var validator = Self.validator(.completions)
      let line = try validator.validate(
        Self.completion("\"prompt\":\(json),\"logprobs\":5,\"n\":2,\"best_of\":2,\"echo\":false"),
        number: 1)
      #expect(line.request.prompt == prompt)
      #expect(line.request.maximumTokens == 16)
      #expect(line.request.topLogprobs == 5)
    }
  }

  @Test(arguments: [
    ("\"temperature\":2.5", "invalid_value", "body.temperature"),
    ("\"temperature\":\"hot\"", "invalid_type", "body.temperature"),
    ("\"temperature\":1e400", "invalid_value", "body.temperature"),
    ("\"top_p\":-0.1", "invalid_value", "body.top_p"),
    ("\"top_k\":1.5", "invalid_type", "body.top_k"),
    ("\"n\":0", "invalid_value", "body.n"),
    ("\"n\":129", "invalid_value", "body.n"),
    ("\"max_tokens\":0", "invalid_value", "body.max_tokens"),
    ("\"max_tokens\":1,\"max_completion_tokens\":2", "invalid_value", "body.max_tokens"),
    ("\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]", "invalid_value", "body.stop"),
    ("\"stop\":\"\"", "invalid_value", "body.stop"),
    ("\"stop\":3", "invalid_type", "body.stop"),
    ("\"top_logprobs\":3", "invalid_value", "body.top_logprobs"),
    ("\"logprobs\":true,\"top_logprobs\":21", "invalid_value", "body.top_logprobs"),
    ("\"logprobs\":3", "invalid_type", "body.logprobs"),
    ("\"stream\":true", "unsupported_parameter", "body.stream"),
    ("\"tools\":[{}]", "unsupported_parameter", "body.tools"),
    (
      "\"response_format\":{\"type\":\"json_object\"}", "unsupported_parameter",
      "body.response_format"
    ),
    ("\"frequency_penalty\":0.1", "unsupported_parameter", "body.frequency_penalty"),
    ("\"logit_bias\":{\"1\":2}", "unsupported_parameter", "body.logit_bias"),
    ("\"prompt\":\"x\"", "unsupported_parameter", "body.prompt"),
    ("\"made_up\":1", "unsupported_parameter", "body.made_up"),
    ("\"seed\":1.5", "invalid_type", "body.seed"),
  ])
  func badChatParametersAreNamed(_ members: String, _ code: String, _ param: String) {
    var validator = Self.validator()
    let error = #expect(throws: BatchError.self) {
      try validator.validate(Self.chat(members), number: 9)
    }
    #expect(error?.code == code)
    #expect(error?.param == param)
    #expect(error?.line == 9)
  }

  @Test(arguments: [
    ("{", "invalid_json_line", nil), ("[]", "invalid_type", nil),
    ("{\"custom_id\":\"a\",\"custom_id\":\"b\"}", "invalid_json_line", nil),
    ("{}", "missing_required_parameter", "custom_id"),
    ("{\"custom_id\":3}", "invalid_type", "custom_id"),
    ("{\"custom_id\":\"\"}", "invalid_value", "custom_id"),
    ("{\"custom_id\":\"a\\u0000b\"}", "invalid_value", "custom_id"),
    ("{\"custom_id\":\"\\u0000\"}", "invalid_value", "custom_id"),
    ("{\"custom_id\":\"a\",\"method\":\"GET\"}", "invalid_method", "method"),
    ("{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/completions\"}", "invalid_url", "url"),
    (
      "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\"}",
      "missing_required_parameter", "body"
    ),
    (
      "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\","
        + "\"body\":{\"model\":\"m\"}}",
      "missing_required_parameter", "body.messages"
    ),
    (
      "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":"
        + "{\"model\":\"other\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}}",
      "model_not_found", "body.model"
    ),
    (
      "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":"
        + "{\"model\":\"m\",\"messages\":[{\"role\":\"robot\",\"content\":\"x\"}]}}",
      "invalid_value", "body.messages[0].role"
    ),
    (
      "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":"
        + "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}"
        + "]}]}}",
      "invalid_value", "body.messages[0].content[0].type"
    ),
  ] as [(String, String, String?)])
  func badLinesAreNamed(_ line: String, _ code: String, _ param: String?) {
    var validator = Self.validator()
    let error = #expect(throws: BatchError.self) {
      try validator.validate(Array(line.utf8), number: 2)
    }
    #expect(error?.code == code)
    #expect(error?.param == param)
  }

  @Test func noBadLineIsAnsweredUnderHalfItsName() {
    func named(_ id: String) -> [UInt8] { Array("{\"custom_id\":\"\(id)\"}".utf8) }
    #expect(BatchLineValidator.customID(of: named("a")) == "a")
    #expect(BatchLineValidator.customID(of: named("a\\u0000b")) == nil)
  }

  @Test func promptsMayHoldNUL() throws {
    var validator = Self.validator(.completions)
    let line = try validator.validate(Self.completion("\"prompt\":\"a\\u0000b\""), number: 1)
    #expect(line.request.prompt == .texts(["a\0b"]))
  }

  @Test func linesAreComparedWithEachOther() throws {
    var validator = Self.validator()
    _ = try validator.validate(Self.chat(""), number: 1)
    let duplicate = #expect(throws: BatchError.self) {
      try validator.validate(Self.chat(""), number: 2)
    }
    #expect(duplicate?.code == "duplicate_custom_id")
    let other = Array(
      String(decoding: Self.chat("", id: "b"), as: UTF8.self)
        .replacing("\"model\":\"m\"", with: "\"model\":\"m2\"").utf8)
    let mismatch = #expect(throws: BatchError.self) { try validator.validate(other, number: 3) }
    #expect(mismatch?.code == "mismatched_model")
    #expect(validator.model == "m")
  }

  @Test func damagedLinesThrowOnlyLineErrors() {
    for seed in testSeeds(400) {
      var random = SeededRandom(seed: seed)
      var line = Self.chat("\"stop\":[\"a\"],\"seed\":1,\"logprobs\":true")
      for _ in 0..<Int.random(in: 1...5, using: &random) {
        line[Int.random(in: 0..<line.count, using: &random)] = UInt8.random(
          in: 0...255, using: &random)
      }
      var validator = Self.validator()
      do {
        _ = try validator.validate(line, number: 1)
      } catch {
        #expect(error is BatchError, "seed \(seed)")
      }
    }
  }
}
