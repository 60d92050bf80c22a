import ModelFormats
import TestSupport
import Testing
import Tokenizers

@Suite struct ChatTemplateTests {
  private let clock = TemplateClock(year: 2026, month: 1, day: 2, hour: 3, minute: 4, second: 5)

  private func render(
    _ source: String, _ variables: JSONMembers = [:], limits: TemplateLimits = TemplateLimits()
  ) throws -> String {
    try ChatTemplate(source: source, limits: limits).render(variables: variables, clock: clock)
  }

  @Test func passesTheConversation() throws {
    let template = try ChatTemplate(
      source: """
        {{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}
        {%- if add_generation_prompt %}<assistant>{% endif %}{{ tools is none }}
        """)
    let text = try template.render(
      messages: .array([.object(["role": .string("user"), "content": .string("hi")])]),
      addGenerationPrompt: true, extra: ["bos_token": .string("<s>")], clock: clock)
    #expect(text == "<s><user>hi<assistant>True")
  }

  @Test func raisedErrorsCarryTheirMessage() {
    let error = #expect(throws: TemplateError.self) {
      try render("\n\n{{ raise_exception('no ' ~ 'system') }}")
    }
    #expect(error?.code == .raised)
    #expect(error?.message == "no system")
    #expect(error?.line == 3)
  }

  @Test(arguments: [
    ("{{ x.y }}", "'x' is undefined"),
    ("{% set a = {} %}{{ a.b.c }}", "'dict object' has no attribute 'b'"),
    ("{{ [].append(1) }}", "access to attribute 'append' of 'list' object is unsafe."),
    ("{{ 1 / 0 }}", "division by zero"), ("{{ nothing() }}", "'nothing' is undefined"),
    ("{{ 'a' < 1 }}", "'<' not supported between instances of 'str' and 'int'"),
    ("{{ 9223372036854775807 + 1 }}", "integer too large"),
    (
      "{{ range(1000000) }}",
      "Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000)."
    ),
  ])
  func misuseIsAnError(source: String, message: String) {
    let error = #expect(throws: TemplateError.self) { try render(source) }
    #expect(error?.code == .evaluation)
    #expect(error?.message == message)
  }

  @Test(arguments: [
    "{% if %}", "{% for x in %}{% endfor %}", "{{ 'a }}", "{{ (1 }}", "{% endif %}", "{# ",
    "{{ 1 +",
    "{% set = 1 %}", "{% riddle %}", "{% macro m(a=1, b) %}{% endmacro %}", "{% raw %}",
    "{{ a b }}",
    "{% break %}", "{{ \u{1} }}",
  ])
  func badSyntaxIsAnError(source: String) {
    let error = #expect(throws: TemplateError.self) { try render(source) }
    #expect(error?.code == .syntax)
    #expect(error?.line == 1)
  }

  @Test(arguments: [
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    Self.doubling("'x'"),
    Self.doubling("[1]"),
    "{{ 'x' * 999999999999 }}", "{{ 'x' | center(999999999999) }}",
    "{{ ('x' * 1000000) | replace('x', 'x' * 1000000) }}", "{{ '%999999999d' % 1 }}",
    "{{ \(String(repeating: "(", count: 5000))1\(String(repeating: ")", count: 5000)) }}",
    "{{ a\(String(repeating: ".b", count: 100_000)) }}",
    "{{ 1\(String(repeating: "+1", count: 100_000)) }}",
    "\(String(repeating: "{% if 1 %}", count: 20_000))",
    "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "{% set ns = namespace(a=[]) %}{% for i in range(5000) %}{% set ns.a = [ns.a] %}{% endfor %}",
  ])
  func limitsHold(source: String) {
    let error = #expect(throws: TemplateError.self) { try render(source) }
    #expect(error?.code == .limitExceeded, "\(String(describing: error)) for \(source.prefix(60))")
  }

  private static func doubling(_ start: String) -> String {
    "{% set ns = namespace(s=\(start)) %}"
      + "{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}"
  }

  /// A namespace that holds itself, and macros that see each other, are freed all the same.
  @Test func circlesAreAllowed() throws {
    let text = try render(
      "{% set ns = namespace() %}{% set ns.me = ns %}{% macro a(n) %}{{ n }}{{ b(n - 1) if n }}"
        + "{% endmacro %}{% macro b(n) %}{{ a(n) }}{% endmacro %}{{ a(2) }}{{ ns.me.me == ns }}")
    #expect(text == "210True")
  }

  @Test func damagedTemplatesNeverCrash() throws {
    let seed: UInt64 = 23
    var random = SeededRandom(seed: seed)
    let original = Array(
      """
      {%- macro f(a, b=[1, 2]) -%}{{ a ~ b | join(', ') }}{%- endmacro -%}
      {% set ns = namespace(x=1) %}{% for k, v in d.items() if v is defined %}{{ loop.index }}
      {{ f(k, b=v[::-1]) }}{% else %}-{% endfor %}
      {{ 'x' if a == 'b' and not c or d['k'][1:] in 'abc' else {'q': (1, 2.5)} | tojson(indent=2) }}
      """.unicodeScalars)
    let alphabet = Array("{}%#()[]|.,:'\"-+*/~<>=! abkx1\n\\é".unicodeScalars)
    var variables: JSONMembers = [:]
    variables["d"] = .object(["k": .array([.int(1), .string("a")])])
    var limits = TemplateLimits()
    limits.steps = 20_000
    for _ in 0..<2000 {
      var scalars = original
      for _ in 0..<Int.random(in: 1...6, using: &random) {
        let index = Int.random(in: 0..<scalars.count, using: &random)
        let scalar = alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
        switch Int.random(in: 0..<3, using: &random) {
        case 0: scalars[index] = scalar
        case 1: scalars.insert(scalar, at: index)
        default: scalars.remove(at: index)
        }
      }
      let source = String(String.UnicodeScalarView(scalars))
      do {
        _ = try render(source, variables, limits: limits)
      } catch is TemplateError {
      } catch {
        Issue.record("seed \(seed): \(error) for \(source)")
      }
    }
  }

  @Test func printsDates() {
    #expect(
      clock.formatted("%Y-%m-%d %H:%M:%S %A %d %b %-d %j %I%p %y%%")
        == "2026-01-02 03:04:05 Friday 02 Jan 2 002 03AM 26%")
    #expect(TemplateClock(secondsSince1970: 951_782_400) == TemplateClock("2000-02-29"))
    #expect(TemplateClock(secondsSince1970: -1).formatted("%F %T") == "1969-12-31 23:59:59")
    #expect(TemplateClock("tomorrow") == nil)
  }

  @Test func numbersReadAsInPython() throws {
    let text = try render(
      "{{ [1.0, 1e16, 123456789012345680.0, 1e-5, 0.0001, 1.5e300, -0.0, 0.1 + 0.2] }}")
    #expect(
      text
        == "[1.0, 1e+16, 1.2345678901234568e+17, 1e-05, 0.0001, 1.5e+300, -0.0, "
        + "0.30000000000000004]"
    )
  }
}
