import ModelFormats
import Synchronization

/// A rendered conversation.
package struct RenderedConversation: Hashable, Sendable {
  package var text: String
  /// Messages, by their index, of which no word is in the text: the template does not know their
  /// role, or leaves them out where they stand.
  package var ignored: [Int]

  package init(text: String, ignored: [Int]) {
    self.text = text
    self.ignored = ignored
  }
}

/// Renders conversations with one chat template, so that no word of a message is lost unnoticed.
///
/// Templates differ in what they take, and none says so. What one takes is found out by rendering
/// short conversations whose texts are markers, when it first matters:
///
/// - A role `developer` that the template does not name becomes `system`, as llama.cpp and vLLM
///   hand it over. One that it refuses by name stays, so that the refusal is told.
/// - Content parts are handed over as they are where the template writes the text of each, as
///   transformers does, and joined by line ends where it does not.
/// - Messages that do not reach the text are reported.
package final class ConversationRenderer: Sendable {
  private let template: ChatTemplate
  private let variables: JSONMembers
  private let clock: TemplateClock
  private let learnt = Mutex(Learnt())

  /// What is known of the template.
  private struct Learnt {
    var namesDeveloper: Bool?
    var takesParts: [ExactString: Bool] = [:]
    var ignored: [Shape: [Int]] = [:]

    static let roles = 16
    static let shapes = 256
  }

  /// A conversation without its texts: what decides which messages a template ignores.
  private struct Shape: Hashable {
    var messages: [TemplateValue]
    var addGenerationPrompt: Bool
  }

  /// What is ignored of conversations of more messages is found out each time: they would take too
  /// much memory.
  private static let longConversation = 64

  /// - Parameters:
  ///   - variables: what the template sees besides the conversation, such as `bos_token`, `tools`
  ///     and `documents`.
  ///   - clock: what `strftime_now` shows.
  package init(_ template: ChatTemplate, variables: JSONMembers = [:], clock: TemplateClock) {
    self.template = template
    self.variables = variables
    self.clock = clock
  }

  /// Renders a conversation.
  ///
  /// - Parameters:
  ///   - messages: objects with `role` and `content`; anything else is handed over as it is.
  ///   - addGenerationPrompt: whether the text ends where the assistant's answer begins.
  /// - Throws: `TemplateError`; one that the template raised has the code `raised` and its message.
  package func render(
    _ messages: [TemplateValue], addGenerationPrompt: Bool
  ) throws -> RenderedConversation {
    let adapted = messages.map(adapt)
    let text = try plain(adapted, addGenerationPrompt)
    return RenderedConversation(text: text, ignored: ignored(of: adapted, addGenerationPrompt))
  }

  private func plain(_ messages: [TemplateValue], _ addGenerationPrompt: Bool) throws -> String {
    try template.render(
      messages: .array(messages), addGenerationPrompt: addGenerationPrompt, extra: variables,
      clock: clock)
  }

  // MARK: roles and parts

  /// The message as the template takes it.
  private func adapt(_ message: TemplateValue) -> TemplateValue {
    guard var members = message.objectValue, var role = members["role"]?.stringValue else {
      return message
    }
    if role == Self.developer, !namesDeveloper {
      role = "system"
      members["role"] = .string(role)
    }
    if let text = ChatContent.joined(members["content"]), !takesParts(role) {
      members["content"] = .string(text)
    }
    return .object(members)
  }

  private static let developer = "developer"

  /// Whether the template does with this role anything else than with a role that nobody knows, or
  /// refuses it by its name.
  private var namesDeveloper: Bool {
    if let known = learnt.withLock({ $0.namesDeveloper }) { return known }
    let unknown = "qzrole"
    func outcome(_ role: String) -> (text: String, isRefused: Bool) {
      let messages = [
        ChatTemplate.message(role: role, content: .text(Marker.text(0, 0))),
        ChatTemplate.message(role: "user", content: .text(Marker.text(1, 0))),
      ]
      do {
        return (try plain(messages, true).lowercased(), false)
      } catch {
        return ("\(error)".lowercased(), true)
      }
    }
    let (own, other) = (outcome(Self.developer), outcome(unknown))
    let isNamed =
      own != (other.text.replacing(unknown, with: Self.developer), other.isRefused)
      || own.isRefused && own.text.contains(Self.developer)
    learnt.withLock { $0.namesDeveloper = isNamed }
    return isNamed
  }

  /// Whether the template writes the texts of two parts of a message of this role, and neither
  /// drops one nor prints the list as it is.
  private func takesParts(_ role: String) -> Bool {
    let key = ExactString(role)
    if let known = learnt.withLock({ $0.takesParts[key] }) { return known }
    let parts = (0..<2).map { part in
      TemplateValue.object([
        "type": .string("text"), "text": .string(Marker.text(1, part)),
        // Only a list that is printed as it is shows this.
        "qz": .string(Marker.text(2, 0)),
      ])
    }
    let user = ChatTemplate.message(role: "user", content: .text(Marker.text(0, 0)))
    let message = TemplateValue.object(["role": .string(role), "content": .array(parts)])
    let conversation: [TemplateValue] =
      switch role {
      case "user": [message]
      case "system", Self.developer: [message, user]
      default: [user, message, user]
      }
    let found = (try? plain(conversation, true)).map(Marker.all(in:)) ?? []
    let takes =
      found.isSuperset(of: [Marker(message: 1, part: 0), Marker(message: 1, part: 1)])
      && !found.contains(Marker(message: 2, part: 0))
    learnt.withLock {
      if $0.takesParts.count < Learnt.roles { $0.takesParts[key] = takes }
    }
    return takes
  }

  // MARK: messages that are ignored

  private func ignored(of messages: [TemplateValue], _ addGenerationPrompt: Bool) -> [Int] {
    var expected: [Marker] = []
    let shape = Shape(
      messages: messages.enumerated().map { Self.marked($1, $0, &expected) },
      addGenerationPrompt: addGenerationPrompt)
    guard !expected.isEmpty else { return [] }
    if let known = learnt.withLock({ $0.ignored[shape] }) { return known }
    // A template that takes the texts and refuses the markers reads what they say; it is not one
    // that ignores messages.
    let found = (try? plain(shape.messages, addGenerationPrompt)).map(Marker.all(in:))
    let ignored = found.map { found in
      Set(expected.filter { !found.contains($0) }.map(\.message)).sorted()
    }
    learnt.withLock {
      guard messages.count <= Self.longConversation else { return }
      if $0.ignored.count >= Learnt.shapes { $0.ignored = [:] }
      $0.ignored[shape] = ignored ?? []
    }
    return ignored ?? []
  }

  /// The message with markers for its texts.
  private static func marked(
    _ message: TemplateValue, _ index: Int, _ expected: inout [Marker]
  ) -> TemplateValue {
    guard var members = message.objectValue else { return message }
    func mark(_ text: String, _ part: Int) -> TemplateValue {
      guard !isBlank(text) else { return .string(text) }
      expected.append(Marker(message: index, part: part))
      return .string(Marker.text(index, part))
    }
    if let text = members["content"]?.stringValue {
      members["content"] = mark(text, 0)
    } else if let parts = members["content"]?.arrayValue {
      members["content"] = .array(
        parts.enumerated().map { number, part in
          guard var part = part.objectValue, let text = part["text"]?.stringValue else {
            return part
          }
          part["text"] = mark(text, number)
          return .object(part)
        })
    }
    for key in ["name", "reasoning", "reasoning_content"] {
      guard let text = members[key]?.stringValue, !isBlank(text) else { continue }
      members[key] = .string("qz")
    }
    return .object(members)
  }

  private static func isBlank(_ text: String) -> Bool {
    text.unicodeScalars.allSatisfy(\.properties.isWhitespace)
  }
}

/// A word that stands for one text of a conversation, such as `qz000003x000000q`: no template has a
/// reason to change it.
private struct Marker: Hashable {
  var message: Int
  var part: Int

  private static let digits = 6
  private static let start = Array("qz".utf8)

  static func text(_ message: Int, _ part: Int) -> String {
    func padded(_ number: Int) -> String {
      let digits = String(number)
      return String(repeating: "0", count: max(0, Self.digits - digits.count)) + digits
    }
    return "qz" + padded(message) + "x" + padded(part) + "q"
  }

  /// Every marker in a text, whatever its case.
  static func all(in text: String) -> Set<Marker> {
    let bytes = text.utf8.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
    let length = start.count + 2 * digits + 2
    var found: Set<Marker> = []
    guard bytes.count >= length else { return found }
    func number(_ range: Range<Int>) -> Int? {
      guard bytes[range].allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
      return bytes[range].reduce(0) { $0 * 10 + Int($1 - 0x30) }
    }
    for index in 0...(bytes.count - length)
    where bytes[index] == start[0] && bytes[index + 1] == start[1] {
      let first = index + start.count
      let second = first + digits + 1
      guard bytes[second - 1] == UInt8(ascii: "x"),
        let message = number(first..<first + digits),
        let part = number(second..<second + digits)
      else { continue }
      found.insert(Marker(message: message, part: part))
    }
    return found
  }
}
