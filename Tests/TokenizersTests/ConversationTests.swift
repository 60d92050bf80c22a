import ModelFormats
import Testing
import Tokenizers

/// What becomes of a conversation on its way into a prompt: roles, content parts, and messages that
/// a template leaves out.
@Suite struct ConversationTests {
  /// Writes every role as it is.
  private static let chatML = """
    {% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}\
    {% if add_generation_prompt %}<assistant>{% endif %}
    """
  /// As Qwen's: other roles vanish, and content that is no text too.
  private static let known = """
    {% for m in messages %}{% if m.role in ['system', 'user', 'assistant'] %}\
    <{{ m.role }}>{{ m.content if m.content is string else '' }}{% endif %}{% endfor %}
    """
  private static let namesDeveloper = """
    {% for m in messages %}<{{ 'boss' if m.role == 'developer' else m.role }}>{{ m.content }}\
    {% endfor %}
    """
  /// As Gemma 4's: the text of each part, trimmed.
  private static let takesParts = """
    {% for m in messages %}<{{ m.role }}>{% if m.content is string %}{{ m.content | trim }}\
    {% else %}{% for part in m.content %}{% if part.type == 'text' %}{{ part.text | trim }}\
    {% endif %}{% endfor %}{% endif %}{% endfor %}
    """
  /// Parts in a macro, as Qwen 3.5's.
  private static let macro = """
    {% macro words(content) %}{% if content is string %}{{ content }}{% else %}\
    {% for item in content %}{% if 'text' in item %}{{ item.text }}{% endif %}{% endfor %}\
    {% endif %}{% endmacro %}{% for m in messages %}<{{ m.role }}>{{ words(m.content) }}{% endfor %}
    """
  /// Parts of users, but of a system message the first alone, as Gemma 3's.
  private static let firstPart = """
    {% if messages[0].role == 'system' %}{% if messages[0].content is string %}\
    ({{ messages[0].content }}){% else %}({{ messages[0].content[0].text }}){% endif %}\
    {% set rest = messages[1:] %}{% else %}{% set rest = messages %}{% endif %}\
    {% for m in rest %}<{{ m.role }}>{% if m.content is string %}{{ m.content }}{% else %}\
    {% for p in m.content %}{{ p['text'] }}{% endfor %}{% endif %}{% endfor %}
    """

  private func renderer(_ source: String) throws -> ConversationRenderer {
    ConversationRenderer(
      try ChatTemplate(source: source), clock: TemplateClock(year: 2026, month: 1, day: 2))
  }

  private func render(
    _ source: String, _ messages: [(String, ChatContent)]
  ) throws -> RenderedConversation {
    try renderer(source).render(
      messages.map { ChatTemplate.message(role: $0.0, content: $0.1) }, addGenerationPrompt: false)
  }

  @Test(arguments: [
    (chatML, "<system>Be brief.<user>Hi"), (known, "<system>Be brief.<user>Hi"),
    (namesDeveloper, "<boss>Be brief.<user>Hi"), (takesParts, "<system>Be brief.<user>Hi"),
  ])
  func developersBecomeSystemUnlessTheyAreNamed(_ template: String, _ expected: String) throws {
    let rendered = try render(template, [("developer", "Be brief."), ("user", "Hi")])
    #expect(rendered == RenderedConversation(text: expected, ignored: []))
  }

  @Test func aRefusalOfDevelopersByNameIsTold() throws {
    let source = """
      {% for m in messages %}{% if m.role not in ['system', 'user'] %}\
      {{ raise_exception('unknown role: ' + m.role) }}{% endif %}{{ m.content }}{% endfor %}
      """
    let error = #expect(throws: TemplateError.self) { try render(source, [("developer", "Hi")]) }
    #expect(error?.message == "unknown role: developer")
    // One that says nothing of the role would only puzzle its reader.
    let silent = source.replacing("'unknown role: ' + m.role", with: "'roles must alternate'")
    #expect(try render(silent, [("developer", "Hi")]).text == "Hi")
  }

  @Test(arguments: [
    (chatML, "<user>Name a \ncolour."), (known, "<user>Name a \ncolour."),
    (takesParts, "<user>Name acolour."), (macro, "<user>Name a colour."),
    (firstPart, "<user>Name a colour."),
  ])
  func partsGoToTemplatesThatTakeThem(_ template: String, _ expected: String) throws {
    let rendered = try render(template, [("user", .parts(["Name a ", "colour."]))])
    #expect(rendered == RenderedConversation(text: expected, ignored: []))
  }

  @Test func eachRoleHasItsOwnWayWithParts() throws {
    let rendered = try render(
      Self.firstPart, [("system", .parts(["One.", "Two."])), ("user", .parts(["a", "b"]))])
    #expect(rendered == RenderedConversation(text: "(One.\nTwo.)<user>ab", ignored: []))
  }

  @Test func aMessageThatIsLeftOutIsNamed() throws {
    let rendered = try render(
      Self.known, [("user", "a"), ("critic", "e"), ("user", "b"), ("tool", "a")])
    #expect(rendered.text == "<user>a<user>b")
    // Its letter stands in the text for another reason.
    #expect(rendered.ignored == [1, 3])
    // Nothing is lost of what says nothing.
    #expect(try render(Self.known, [("critic", " \n"), ("user", "b")]).ignored == [])
    // As Mistral's: a system message goes before the last user's turn, if that ends the
    // conversation.
    let last = """
      {% if messages[0].role == 'system' %}{% set s = messages[0].content %}\
      {% set rest = messages[1:] %}{% else %}{% set rest = messages %}{% endif %}\
      {% for m in rest %}{% if loop.last and m.role == 'user' and s is defined %}{{ s }}{% endif %}\
      [{{ m.content }}]{% endfor %}
      """
    #expect(try render(last, [("system", "S"), ("user", "u")]).ignored == [])
    #expect(try render(last, [("system", "S"), ("user", "u"), ("assistant", "a")]).ignored == [0])
  }

  @Test(arguments: [
    // Reasoning that a template strips from the history, and texts that it changes, are no loss.
    ("{% for m in messages %}{{ m.content.split('</think>')[-1] | trim | upper }}{% endfor %}",
      "<think>why</think> because"),
    ("{% for m in messages %}{{ m.content | tojson }}{% endfor %}", "\"quoted\"\n"),
  ])
  func changedTextsAreNotLost(_ template: String, _ text: String) throws {
    #expect(try render(template, [("user", .text(text))]).ignored == [])
  }

  /// Also where the words of the message that is left out stand elsewhere in the text.
  @Test(arguments: ["message", "user", ">", "ok"])
  func longConversationsAreLookedThroughToo(_ words: String) throws {
    let renderer = try renderer(Self.known)
    func messages(_ role: String) -> [TemplateValue] {
      (0..<200).map {
        ChatTemplate.message(
          role: $0 == 150 ? role : "user",
          content: .text($0 == 150 ? words : "message \($0) ok"))
      }
    }
    #expect(try renderer.render(messages("user"), addGenerationPrompt: false).ignored == [])
    #expect(try renderer.render(messages("critic"), addGenerationPrompt: false).ignored == [150])
  }

  @Test func reasoningIsHandedOverUnderBothNames() throws {
    let message = ChatTemplate.message(role: "assistant", content: "a", reasoning: "why")
    let source =
      "{% for m in messages %}{{ m.reasoning }} {{ m.reasoning_content }} {{ m.content }}"
      + "{% endfor %}"
    let rendered = try renderer(source).render([message], addGenerationPrompt: false)
    #expect(rendered == RenderedConversation(text: "why why a", ignored: []))
  }

  /// Templates from strangers: what cannot be rendered at all is an error of the conversation, not
  /// of the search.
  @Test func templatesThatAlwaysFailFail() throws {
    #expect(throws: TemplateError.self) {
      try render("{{ raise_exception('no') }}", [("developer", .parts(["a"]))])
    }
  }
}
