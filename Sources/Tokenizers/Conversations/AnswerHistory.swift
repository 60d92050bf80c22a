import ModelFormats

/// What an answer of a model may carry besides its text when it is sent back as a part of a
/// conversation: servers add members of their own, and clients send them all.
///
/// What says nothing, or nothing that a template writes, is passed over. What would have to change
/// the prompt is refused by whoever reads the message.
package struct AnswerHistory: Hashable, Sendable {
  /// What the model thought before it answered.
  package private(set) var reasoning: String?
  /// What it said instead of an answer; nil unless there is no content.
  package private(set) var refusal: String?

  /// What is wrong with a member.
  package enum Fault: Error, Hashable, Sendable {
    case unknown(String)
    /// A member that is no text but has to be one.
    case noText(String)
    /// A member that says another thing than another one.
    case contradiction(String, of: String)

    /// The member at fault.
    package var key: String {
      switch self {
      case .unknown(let key), .noText(let key), .contradiction(let key, _): key
      }
    }
  }

  /// How servers name what a model thought before it answered.
  private static let reasoningKeys = ["reasoning", "reasoning_content"]

  /// - Parameters:
  ///   - members: of the message; null counts as absent.
  ///   - role: whose message it is. Only the assistant's may have more than empty lists.
  ///   - known: members that are read elsewhere.
  /// - Throws: `Fault` for the first member, by its name, that cannot be passed over.
  package init(_ members: JSONMembers, role: String, known: Set<String>) throws(Fault) {
    let isAnswer = role == "assistant"
    let members = members.withoutNulls
    for key in members.keys.sorted(by: utf8Order) where !known.contains(key) {
      guard let value = members[key] else { continue }
      if Self.changesNothing(key, value, isAnswer: isAnswer) { continue }
      switch key {
      case "reasoning" where isAnswer, "reasoning_content" where isAnswer:
        guard let text = value.stringValue else { throw .noText(key) }
        if let reasoning, !sameBytes(reasoning, text) {
          throw .contradiction(key, of: Self.reasoningKeys[0])
        }
        reasoning = text
      case "refusal" where isAnswer:
        guard let text = value.stringValue else { throw .noText(key) }
        if let content = members["content"], content != .string("") {
          throw .contradiction(key, of: "content")
        }
        refusal = text
      default: throw .unknown(key)
      }
    }
  }

  /// Whether a member holds nothing, or names where an answer comes from.
  private static func changesNothing(_ key: String, _ value: JSONValue, isAnswer: Bool) -> Bool {
    guard isAnswer else {
      return ["annotations", "tool_calls"].contains(key) && value.arrayValue?.isEmpty == true
    }
    switch value {
    case .array(let elements): return elements.isEmpty || key == "annotations"
    case .object(let members): return members.keys.isEmpty
    case .string(let text): return text.isEmpty && key == "refusal"
    case .null, .bool, .int, .bigInt, .double: return false
    }
  }
}
