import FineTuning
import ModelFormats
import Tokenizers

/// Turns examples into tokens of one model, and says which of them are learnt.
package struct ExampleEncoder: Sendable {
  private let tokenizer: Tokenizer
  private let conversations: ConversationRenderer?
  private let endToken: Int32?
  /// Tokens of an example that are used, from its first on.
  package let limit: Int
  private let vocabularySize: Int

  /// - Parameters:
  ///   - bundle: the model's tokenizer and chat template.
  ///   - limit: tokens of an example, at most; what is beyond is cut off.
  ///   - clock: what templates take for now.
  /// - Throws: `TemplateError` for a template that cannot be read.
  package init(_ bundle: TokenizerBundle, limit: Int, clock: TemplateClock) throws {
    self.init(
      bundle.tokenizer, template: try bundle.chatTemplate.map { try ChatTemplate(source: $0) },
      specialTokens: bundle.specialTokens, limit: limit, clock: clock)
  }

  /// - Parameters:
  ///   - specialTokens: the special tokens as templates name them, such as `eos_token`.
  ///   - vocabularySize: of the model, which may know fewer tokens than its tokenizer.
  package init(
    _ tokenizer: Tokenizer, template: ChatTemplate?, specialTokens: JSONMembers, limit: Int,
    vocabularySize: Int = Int(Int32.max), clock: TemplateClock
  ) {
    precondition(limit > 0)
    self.vocabularySize = vocabularySize
    self.tokenizer = tokenizer
    conversations = template.map {
      ConversationRenderer($0, variables: specialTokens, clock: clock)
    }
    endToken = specialTokens["eos_token"]?.stringValue.flatMap { tokenizer.id(of: $0) }
      .map { Int32($0) }
    self.limit = limit
  }

  /// The example's tokens, and whether some were cut off. A conversation is tokenized as a whole;
  /// what is learnt begins where its tokens part from those of the text before it.
  ///
  /// - Parameter line: for errors.
  /// - Throws: `DatasetError` for what the template or tokenizer refuse, and where nothing that is
  ///   learnt is left within the limit.
  package func encode(
    _ example: TrainingExample, line: Int
  ) throws(DatasetError) -> (sequence: TrainingBatch.Sequence, isShortened: Bool) {
    var sequence = TrainingBatch.Sequence(tokens: [], labels: [])
    let isShortened: Bool
    switch example {
    case .text(let text):
      sequence.tokens = try tokens(text, special: true, line)
      sequence.labels = sequence.tokens
      if let endToken {
        sequence.tokens.append(endToken)
        sequence.labels.append(endToken)
      }
    case .chat(let messages):
      sequence = try tokens(messages, line)
    }
    isShortened = sequence.tokens.count > limit
    sequence.tokens = Array(sequence.tokens.prefix(limit))
    sequence.labels = Array(sequence.labels.prefix(limit))
    if let token = sequence.tokens.first(where: { $0 < 0 || Int($0) >= vocabularySize }) {
      throw DatasetError(line: line, "token \(token) is not in the model's vocabulary")
    }
    guard sequence.labels.dropFirst().contains(where: { $0 != TrainingBatch.ignored }) else {
      throw DatasetError(line: line, "nothing to learn is within its first \(limit) tokens")
    }
    return (sequence, isShortened)
  }

  private func tokens(
    _ text: String, special: Bool, _ line: Int
  ) throws(DatasetError) -> [Int32] {
    do {
      return try tokenizer.encode(text, addSpecialTokens: special)
    } catch {
      throw DatasetError(line: line, "cannot be tokenized: \(error)")
    }
  }

  /// A conversation's tokens, with labels where turns are learnt.
  private func tokens(
    _ messages: [TrainingExample.Message], _ line: Int
  ) throws(DatasetError) -> TrainingBatch.Sequence {
    let pieces = try pieces(messages, line)
    let whole = try tokens(pieces.map(\.text).joined(), special: false, line)
    var labels = Array(repeating: TrainingBatch.ignored, count: whole.count)
    var (text, start) = ("", 0)
    for piece in pieces {
      text += piece.text
      let so = try tokens(text, special: false, line)
      let end = zip(so, whole).prefix { $0 == $1 }.count
      if piece.isLearnt, start < end {
        labels.replaceSubrange(start..<end, with: whole[start..<end])
      }
      start = max(start, end)
    }
    return TrainingBatch.Sequence(tokens: whole, labels: labels)
  }

  /// The conversation as the template writes it, cut where turns that are learnt begin and end.
  private func pieces(
    _ messages: [TrainingExample.Message], _ line: Int
  ) throws(DatasetError) -> [(text: String, isLearnt: Bool)] {
    let rendered = try render(messages[...], answers: false, line)
    if let index = rendered.ignored.first {
      throw DatasetError(
        line: line,
        "the model's chat template leaves out messages[\(index)], of role "
          + quoted(messages[index].role))
    }
    let whole = Array(rendered.text.utf8)
    var pieces: [(text: String, isLearnt: Bool)] = []
    var start = 0
    func cut(at end: Int, isLearnt: Bool) {
      if end > start {
        pieces.append((String(decoding: whole[start..<end], as: UTF8.self), isLearnt))
        start = end
      }
    }
    for index in messages.indices where messages[index].isLearnt {
      let before = Array(try render(messages[..<index], answers: true, line).text.utf8)
      let after = Array(try render(messages[...index], answers: false, line).text.utf8)
      guard before.count >= start, after.count >= before.count, whole.starts(with: after),
        after.starts(with: before)
      else {
        throw DatasetError(
          line: line,
          "the model's chat template writes messages[\(index)] otherwise when more follow: give "
            + "its conversations one assistant message each, or \"weight\": 0 to the earlier ones")
      }
      cut(at: before.count, isLearnt: false)
      cut(at: after.count, isLearnt: true)
    }
    cut(at: whole.count, isLearnt: false)
    return pieces
  }

  /// - Parameter answers: whether the assistant is to speak next.
  private func render(
    _ messages: ArraySlice<TrainingExample.Message>, answers: Bool, _ line: Int
  ) throws(DatasetError) -> RenderedConversation {
    guard let conversations else {
      throw DatasetError(
        line: line, "the model has no chat template: give it lines of {\"text\": ...}")
    }
    let values = messages.map {
      ChatTemplate.message(
        role: $0.role, content: $0.content, name: $0.name, reasoning: $0.reasoning)
    }
    do {
      return try conversations.render(values, addGenerationPrompt: answers)
    } catch {
      throw DatasetError(line: line, "the model's chat template refuses it: \(error)")
    }
  }
}
