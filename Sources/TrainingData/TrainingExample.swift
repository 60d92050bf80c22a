import ModelFormats
import Tokenizers

/// One line of a dataset for fine-tuning.
package enum TrainingExample: Sendable, Equatable {
  /// A conversation, as OpenAI's fine-tuning takes them: the assistant's turns are learnt.
  case chat([Message])
  /// A text, all of which is learnt: `{"text": ...}`.
  case text(String)

  /// One turn of a conversation.
  package struct Message: Sendable, Equatable {
    package var role: String
    package var content: ChatContent
    package var name: String?
    /// What the assistant thought before it answered.
    package var reasoning: String?
    /// Whether it is learnt: the assistant's turns without `"weight": 0`.
    package var isLearnt: Bool

    package init(
      role: String, content: ChatContent, name: String? = nil, reasoning: String? = nil,
      isLearnt: Bool
    ) {
      (self.role, self.content) = (role, content)
      (self.name, self.reasoning, self.isLearnt) = (name, reasoning, isLearnt)
    }
  }
}

/// What is wrong with a line of a dataset.
package struct DatasetError: Error, Hashable, Sendable, CustomStringConvertible {
  /// From 1; nil: the whole of it.
  package var line: Int?
  package var message: String

  package init(line: Int?, _ message: String) {
    (self.line, self.message) = (line, message)
  }

  package var description: String { line.map { "line \($0): \(message)" } ?? message }
}

extension TrainingExample {
  /// Messages of a conversation, at most.
  private static let messageLimit = 512

  /// Reads a line: `{"messages": [...]}` or `{"text": ...}`.
  ///
  /// - Parameter number: the line's, from 1.
  /// - Throws: `DatasetError` for the first thing that is wrong.
  package init(line bytes: [UInt8], number: Int) throws(DatasetError) {
    let value: JSONValue
    do {
      value = try JSONReader.parse(
        bytes, file: "line", rules: .lenient.limited(depth: 16, values: 1 << 16))
    } catch {
      let reason = (error as? FormatError).map { "\($0.reason) at byte \($0.offset ?? 0)" }
      throw DatasetError(line: number, "is no JSON: \(reason ?? "\(error)")")
    }
    func wrong(_ message: String) -> DatasetError { DatasetError(line: number, message) }
    guard let members = value.objectValue?.withoutNulls else {
      throw wrong("is no object")
    }
    if let text = members["text"] {
      guard members.count == 1 else { throw wrong("\"text\" stands with other members") }
      guard let text = text.stringValue, !text.isEmpty else {
        throw wrong("\"text\" is no text, or an empty one")
      }
      self = .text(text)
      return
    }
    if let key = members.keys.sorted(by: utf8Order).first(where: { $0 != "messages" }) {
      throw wrong("\(quoted(key)) is not known; a line has \"messages\" or \"text\"")
    }
    guard let messages = members["messages"]?.arrayValue, !messages.isEmpty else {
      throw wrong("\"messages\" is no list, or an empty one")
    }
    guard messages.count <= Self.messageLimit else {
      throw wrong("\"messages\" has more than \(Self.messageLimit) messages")
    }
    var turns: [Message] = []
    for (index, message) in messages.enumerated() {
      do {
        turns.append(try Message(message))
      } catch {
        throw wrong("messages[\(index)]: \(error.reason)")
      }
    }
    guard turns.contains(where: \.isLearnt) else {
      throw wrong("no message of the assistant is there to be learnt")
    }
    self = .chat(turns)
  }
}

extension TrainingExample.Message {
  /// What is wrong with a message.
  fileprivate struct Wrong: Error {
    let reason: String
  }

  fileprivate init(_ value: JSONValue) throws(Wrong) {
    guard let members = value.objectValue?.withoutNulls else {
      throw Wrong(reason: "is no object")
    }
    let history = try Self.history(members)
    guard let role = members["role"]?.stringValue else {
      throw Wrong(reason: "\"role\" is missing")
    }
    guard ["system", "developer", "user", "assistant"].contains(role) else {
      throw Wrong(
        reason: "\"role\" is \(quoted(role)), known are system, developer, user, assistant")
    }
    guard let content = history.refusal.map(JSONValue.string) ?? members["content"] else {
      throw Wrong(reason: "\"content\" is missing")
    }
    var isLearnt = role == "assistant"
    if let weight = members["weight"] {
      guard role == "assistant", let number = weight.intValue, [0, 1].contains(number) else {
        throw Wrong(reason: "\"weight\" is 0 or 1, of the assistant's messages")
      }
      isLearnt = number == 1
    }
    var name: String?
    if let given = members["name"] {
      guard let text = given.stringValue else { throw Wrong(reason: "\"name\" is no text") }
      name = text
    }
    self.init(
      role: role, content: try Self.text(of: content), name: name, reasoning: history.reasoning,
      isLearnt: isLearnt)
  }

  private static func history(_ members: JSONMembers) throws(Wrong) -> AnswerHistory {
    do throws(AnswerHistory.Fault) {
      return try AnswerHistory(
        members, role: members["role"]?.stringValue ?? "",
        known: ["role", "content", "name", "weight"])
    } catch {
      switch error {
      case .unknown(let key): throw Wrong(reason: "\(quoted(key)) is not known here")
      case .noText(let key): throw Wrong(reason: "\(quoted(key)) is no text")
      case .contradiction(let key, let other):
        throw Wrong(reason: "\(quoted(key)) contradicts \(quoted(other))")
      }
    }
  }

  /// A text, or parts of type text.
  private static func text(of content: JSONValue) throws(Wrong) -> ChatContent {
    if let text = content.stringValue { return .text(text) }
    guard let parts = content.arrayValue, !parts.isEmpty else {
      throw Wrong(reason: "\"content\" is no text")
    }
    var texts: [String] = []
    for part in parts {
      guard part["type"]?.stringValue == "text", let text = part["text"]?.stringValue else {
        throw Wrong(reason: "\"content\" has a part that is no text")
      }
      texts.append(text)
    }
    return .parts(texts)
  }
}
