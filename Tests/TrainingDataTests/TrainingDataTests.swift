import FineTuning
import Foundation
import Testing
import Tokenizers
import TrainingData

@Suite struct TrainingDataTests {
  static let chatML = """
    {%- for message in messages -%}
    {{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
    {%- endfor -%}
    {%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}
    """

  static func bundle(template: String? = chatML) throws -> TokenizerBundle {
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "Fixtures/tokenizers/qwen2/tokenizer.json")
    var bundle = try TokenizerBundle(path: path.path)
    bundle.chatTemplate = template
    bundle.specialTokens["eos_token"] = .string("<|im_end|>")
    return bundle
  }

  static func encoder(limit: Int = 200, template: String? = chatML) throws -> ExampleEncoder {
    try ExampleEncoder(
      bundle(template: template), limit: limit, clock: TemplateClock(year: 2026, month: 1, day: 2))
  }

  /// The text of the tokens that are learnt, runs of them apart.
  static func learnt(_ sequence: TrainingBatch.Sequence) throws -> [String] {
    var runs: [[Int32]] = []
    var isOpen = false
    for label in sequence.labels {
      if label == TrainingBatch.ignored {
        isOpen = false
      } else {
        if !isOpen { runs.append([]) }
        runs[runs.count - 1].append(label)
        isOpen = true
      }
    }
    let tokenizer = try bundle().tokenizer
    return try runs.map { try tokenizer.decode($0, skipSpecialTokens: false) }
  }

  static func dataset(_ text: String, _ encoder: ExampleEncoder) -> TrainingDataset {
    TrainingDataset(
      lines: text.split(separator: "\n", omittingEmptySubsequences: false).map { Array($0.utf8) },
      encoder)
  }

  @Test func theAssistantsTurnsAreLearnt() throws {
    let line = #"""
      {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": \#
      "Hi"}, {"role": "assistant", "content": "Hello!"}, {"role": "user", "content": "Who?"}, \#
      {"role": "assistant", "content": "Nobody", "weight": 0}, {"role": "user", "content": \#
      [{"type": "text", "text": "Again"}]}, {"role": "assistant", "content": "Me.", "name": null}]}
      """#
    let dataset = try Self.dataset(line, Self.encoder())
    #expect(dataset.errors == [])
    let sequence = try #require(dataset.sequences.first)
    #expect(try Self.learnt(sequence) == ["Hello!<|im_end|>\n", "Me.<|im_end|>\n"])
    let whole = try Self.bundle().tokenizer.decode(sequence.tokens, skipSpecialTokens: false)
    #expect(whole.hasPrefix("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi"))
    #expect(whole.contains("<|im_start|>assistant\nNobody<|im_end|>\n"))
    #expect(whole.hasSuffix("<|im_start|>assistant\nMe.<|im_end|>\n"))
    #expect(sequence.tokens.count == sequence.labels.count)
  }

  /// Whatever a tokenizer puts before texts, it puts there once: the tokens are the conversation's.
  @Test(arguments: ["llama2", "llama3", "gemma", "qwen2", "gpt2-smollm", "deepseek"])
  func conversationsAreTokenizedAsAWhole(_ name: String) throws {
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "Fixtures/tokenizers/\(name)/tokenizer.json")
    var bundle = try TokenizerBundle(path: path.path)
    bundle.chatTemplate = Self.chatML
    let encoder = try ExampleEncoder(
      bundle, limit: 500, clock: TemplateClock(year: 2026, month: 1, day: 2))
    let dataset = Self.dataset(
      #"{"messages": [{"role": "user", "content": "Where?"}, {"role": "assistant", "#
        + #""content": " Paris, of course"}, {"role": "user", "content": "When?"}, "#
        + #"{"role": "assistant", "content": "Now"}]}"#,
      encoder)
    let sequence = try #require(dataset.sequences.first, "\(dataset.errors)")
    let text =
      "<|im_start|>user\nWhere?<|im_end|>\n<|im_start|>assistant\n Paris, of course<|im_end|>\n"
      + "<|im_start|>user\nWhen?<|im_end|>\n<|im_start|>assistant\nNow<|im_end|>\n"
    #expect(try sequence.tokens == bundle.tokenizer.encode(text, addSpecialTokens: false))
    let learnt = zip(sequence.tokens, sequence.labels)
      .filter { $1 != TrainingBatch.ignored }.map(\.0)
    let asked = zip(sequence.tokens, sequence.labels)
      .filter { $1 == TrainingBatch.ignored }.map(\.0)
    let (one, other) = (
      try bundle.tokenizer.decode(learnt, skipSpecialTokens: false),
      try bundle.tokenizer.decode(asked, skipSpecialTokens: false)
    )
    #expect(one.contains("Paris") && one.contains("Now") && !one.contains("Where"))
    #expect(other.contains("Where") && other.contains("When") && !other.contains("Paris"))
  }

  @Test func textsAreLearntToTheirEnd() throws {
    let dataset = try Self.dataset(#"{"text": "Once upon a time"}"#, Self.encoder())
    let sequence = try #require(dataset.sequences.first)
    #expect(sequence.tokens == sequence.labels)
    #expect(try Self.learnt(sequence) == ["Once upon a time<|im_end|>"])
    let without = try Self.dataset(#"{"text": "Once"}"#, Self.encoder(template: nil))
    #expect(without.errors == [] && without.sequences.count == 1)
  }

  @Test func longExamplesAreCutOff() throws {
    let words = String(repeating: "word ", count: 100)
    let dataset = try Self.dataset(
      """
      {"text": "\(words)"}
      {"text": "short"}
      """, Self.encoder(limit: 20))
    #expect(dataset.sequences.map(\.tokens.count).max() == 20)
    #expect(dataset.shortened == 1 && dataset.errors == [])
    let late = try Self.dataset(
      #"{"messages": [{"role": "user", "content": "\#(words)"}, {"role": "assistant", "#
        + #""content": "x"}]}"#,
      Self.encoder(limit: 20))
    #expect(late.errors.first?.description.contains("line 1: nothing to learn is within") == true)
  }

  @Test(arguments: [
    ("{", "line 1: is no JSON"), ("[]", "line 1: is no object"), ("{}", "\"messages\" is no list"),
    (#"{"messages": []}"#, "\"messages\" is no list"), (#"{"text": 1}"#, "\"text\" is no text"),
    (#"{"text": "a", "messages": []}"#, "stands with other members"),
    (#"{"messages": [], "tools": []}"#, "\"tools\" is not known"),
    (#"{"messages": [1]}"#, "messages[0]: is no object"),
    (#"{"messages": [{"content": "a"}]}"#, "messages[0]: \"role\" is missing"),
    (#"{"messages": [{"role": "tool", "content": "a"}]}"#, "\"role\" is \"tool\""),
    (#"{"messages": [{"role": "user"}]}"#, "\"content\" is missing"),
    (#"{"messages": [{"role": "user", "content": 1}]}"#, "\"content\" is no text"),
    (
      #"{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}"#,
      "a part that is no text"
    ),
    (#"{"messages": [{"role": "user", "content": "a", "weight": 1}]}"#, "\"weight\" is 0 or 1"),
    (
      #"{"messages": [{"role": "assistant", "content": "a", "weight": 2}]}"#, "\"weight\" is 0 or 1"
    ),
    (
      #"{"messages": [{"role": "assistant", "content": "a", "tool_calls": [{}]}]}"#,
      "\"tool_calls\" is not known"
    ),
    (
      #"{"messages": [{"role": "user", "content": "a", "reasoning": "b"}]}"#,
      "\"reasoning\" is not known"
    ),
    (
      #"{"messages": [{"role": "assistant", "content": "a", "reasoning": 1}]}"#,
      "\"reasoning\" is no text"
    ),
    (
      """
      {"messages": [{"role": "assistant", "content": "a", "reasoning": "b", \
      "reasoning_content": "c"}]}
      """,
      "\"reasoning_content\" contradicts \"reasoning\""
    ),
    (#"{"messages": [{"role": "user", "content": "a"}]}"#, "no message of the assistant"),
    (
      #"{"messages": [{"role": "assistant", "content": "a", "weight": 0}]}"#,
      "no message of the assistant"
    ),
  ])
  func wrongLinesAreNamed(_ line: String, _ reason: String) throws {
    let encoder = try Self.encoder()
    let dataset = Self.dataset(line, encoder)
    #expect(dataset.sequences.isEmpty)
    let error = try #require(dataset.errors.first)
    #expect(error.description.contains(reason), "\(error)")
    // With its number among others; blank lines count as lines.
    let later = Self.dataset("{\"text\": \"fine\"}\n\n  \n\(line)\n", encoder)
    #expect(later.errors.map(\.line) == [4] && later.sequences.count == 1)
  }

  @Test func nothingIsNoDataset() throws {
    #expect(
      try Self.dataset("\n \n", Self.encoder()).errors.first?.description == "there is no example")
  }

  /// An answer as servers give it is an example as it is.
  @Test func answersMayCarryWhatChangesNoPrompt() throws {
    func example(_ members: String) throws -> TrainingExample {
      try TrainingExample(
        line: Array(
          #"{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant"\#(members)}]}"#
            .utf8),
        number: 1)
    }
    let plain = try example(#", "content": "Hello!""#)
    for members in [
      #", "annotations": [], "tool_calls": [], "refusal": null, "audio": null, "images": []"#,
      #", "annotations": [{"type": "url_citation"}], "thinking_blocks": [], "function_call": {}"#,
    ] {
      #expect(try example(#", "content": "Hello!""# + members) == plain, "\(members)")
    }
    let thought = try example(
      #", "content": "Hello!", "reasoning": "hm", "reasoning_content": "hm""#)
    #expect(
      thought
        == .chat([
          .init(role: "user", content: "Hi", isLearnt: false),
          .init(role: "assistant", content: "Hello!", reasoning: "hm", isLearnt: true),
        ]))
    #expect(try example(#", "content": null, "refusal": "Hello!""#) == plain)
  }

  @Test func reasoningIsLearntWhereTheTemplateWritesIt() throws {
    let template = """
      {%- for message in messages -%}
      {{ '<|im_start|>' + message['role'] + '\\n' }}
      {%- if message.reasoning_content %}{{ '<think>' + message.reasoning_content + '</think>' }}\
      {% endif -%}
      {{ message['content'] + '<|im_end|>' + '\\n' }}
      {%- endfor -%}
      {%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}
      """
    let dataset = try Self.dataset(
      #"{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho", "#
        + #""reasoning": "hm"}]}"#,
      Self.encoder(template: template))
    #expect(dataset.errors == [])
    #expect(
      try Self.learnt(try #require(dataset.sequences.first)) == ["<think>hm</think>Ho<|im_end|>\n"])
  }

  @Test func byteOrderMarksOfJoinedFilesAreNoLines() throws {
    let line = #"{"text": "fine"}"#
    let joined = try Self.dataset(
      "\u{FEFF}\(line)\n\u{FEFF}\n\u{FEFF}\(line)\n\u{FEFF} \r\r", Self.encoder())
    #expect(joined.errors == [])
    #expect(joined.lines == 2 && joined.sequences.count == 2)
  }

  @Test func templatesThatRewriteThePastAreRefused() throws {
    // Only the last turn keeps its content as it is.
    let forgetful = """
      {%- for message in messages -%}<|im_start|>{{ message['role'] }}
      {{ message['content'] }}{{ '' if loop.last else '...' }}<|im_end|>{%- endfor -%}
      {%- if add_generation_prompt -%}<|im_start|>assistant
      {% endif -%}
      """
    let turns = #"{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}"#
    let encoder = try Self.encoder(template: forgetful)
    let dataset = Self.dataset(#"{"messages": [\#(turns), \#(turns)]}"#, encoder)
    #expect(dataset.errors.first?.description.contains("messages[1] otherwise") == true)
    let missing = try Self.dataset(#"{"messages": [\#(turns)]}"#, Self.encoder(template: nil))
    #expect(missing.errors.first?.description.contains("no chat template") == true)
  }

  @Test func everyExampleIsLearntOnceAnEpoch() throws {
    let text = (0..<23).map { #"{"text": "number \#($0)"}"# }.joined(separator: "\n")
    var dataset = try Self.dataset(text, Self.encoder())
    let all = dataset.sequences
    let held = dataset.holdOut(share: 0.2, seed: 5)
    #expect(held.count == 5 && dataset.sequences.count == 18)
    func sorted(_ sequences: [TrainingBatch.Sequence]) -> [[Int32]] {
      sequences.map(\.tokens).sorted { $0.lexicographicallyPrecedes($1) }
    }
    #expect(sorted(held + dataset.sequences) == sorted(all))
    let first = dataset.batches(epoch: 0, size: 4, seed: 5)
    #expect(first.map(\.sequences.count) == [4, 4, 4, 4, 2])
    #expect(sorted(first.flatMap(\.sequences)) == sorted(dataset.sequences))
    #expect(dataset.batches(epoch: 0, size: 4, seed: 5) == first)
    #expect(dataset.batches(epoch: 1, size: 4, seed: 5) != first)
    var one = try Self.dataset(#"{"text": "alone"}"#, Self.encoder())
    #expect(one.holdOut(share: 0.9, seed: 1) == [])
    #expect(ShuffledOrder.make(50, seed: 3).sorted() == Array(0..<50))
  }
}
