import ModelFormats

/// A chat template: messages in, the prompt out.
///
/// Templates are Jinja2 in the environment that transformers gives them
/// (`ImmutableSandboxedEnvironment` with `trim_blocks`, `lstrip_blocks` and loop controls). They
/// come with a model, so they are bounded by `TemplateLimits` and cannot reach anything but their
/// input.
package struct ChatTemplate: Sendable {
  /// The parsed template.
  let statements: [TemplateStatement]
  package let limits: TemplateLimits
  /// A template longer than this is refused; published ones have some 30 KB.
  package static let sourceLimitBytes = 2 << 20

  /// The variables that `render(messages:..)` sets.
  static let inputNames: Set<String> = [
    "messages", "tools", "documents", "add_generation_prompt",
  ]

  /// Throws: `TemplateError` with the line of a syntax error.
  package init(source: String, limits: TemplateLimits = TemplateLimits()) throws {
    guard source.utf8.count <= Self.sourceLimitBytes else {
      throw TemplateError(.limitExceeded, "the template is too long")
    }
    statements = try TemplateParser.parse(source)
    self.limits = limits
  }

  /// Checks that the template names no filter, test, function or method that it cannot have, so
  /// that this is found before the first conversation.
  ///
  /// - Throws: `TemplateError` with the line of the first such name.
  package func checkNames() throws { try TemplateNames.check(statements) }

  /// Renders a conversation.
  ///
  /// - Parameters:
  ///   - messages: an array of objects with `role` and `content`.
  ///   - tools, documents: arrays, or nil for none, as templates see missing ones.
  ///   - addGenerationPrompt: whether the text ends where the assistant's answer begins.
  ///   - extra: further variables such as `bos_token` or `enable_thinking`.
  ///   - clock: what `strftime_now` shows.
  /// - Throws: `TemplateError`; one that the template raised has the code `raised` and its message.
  package func render(
    messages: TemplateValue, tools: TemplateValue? = nil, documents: TemplateValue? = nil,
    addGenerationPrompt: Bool, extra: JSONMembers = [:], clock: TemplateClock
  ) throws -> String {
    var variables: JSONMembers = [
      "messages": messages, "tools": tools ?? .null, "documents": documents ?? .null,
      "add_generation_prompt": .bool(addGenerationPrompt),
    ]
    for (key, value) in zip(extra.keys, extra.values) { variables[key] = value }
    return try render(variables: variables, clock: clock)
  }

  /// Renders with exactly these variables.
  ///
  /// - Throws: `TemplateError`.
  package func render(variables: JSONMembers, clock: TemplateClock) throws -> String {
    let globals = TemplateScope(parent: nil)
    TemplateGlobals.define(in: globals, clock: clock)
    let scope = TemplateScope(parent: globals)
    for (key, value) in zip(variables.keys, variables.values) {
      scope.set(key, RuntimeValue(value))
    }
    return try TemplateInterpreter(limits: limits, steps: limits.steps(for: variables))
      .renderTemplate(statements, TemplateScope(parent: scope))
  }
}
