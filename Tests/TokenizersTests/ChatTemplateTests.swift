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

  /// U+212A is the sign of kelvin, to Swift the letter K; U+0301 combines with what is before it.
  @Test(arguments: [
    ("{{ '{K}'.format(**{'\u{212A}': 'kelvin', 'K': 'letter'}) }}", "letter"),
    ("{{ '{\u{212A}}'.format(**{'K': 'letter', '\u{212A}': 'kelvin'}) }}", "kelvin"),
    ("{% macro f(K) %}{{ K }}{{ kwargs|length }}{% endmacro %}{{ f(**{'\u{212A}': 5}) }}", "1"),
    ("{% macro f(K) %}{{ K }}{% endmacro %}{{ f(**{'K': 5}) }}", "5"),
    (
      "{{ [{'a': 1, '\u{301}b': 2, 'n': 1}, {'a': 1, '\u{301}b': 1, 'n': 2}]"
        + "|sort(attribute='a,\u{301}b')|map(attribute='n')|join }}", "21"
    ),
    ("{{ [{'a': {'\u{301}b': 7}}]|map(attribute='a.\u{301}b')|join }}", "7"),
    ("{{ [{'a': [3, 4]}]|map(attribute='a.1')|join }}", "4"),
  ])
  func namesAreComparedByCodePoints(source: String, expected: String) throws {
    #expect(try render(source) == expected)
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
    ("{{ 2 ** 5000 }}", "integers of more than 4096 bits are not supported"),
    (
      "{{ 'a' | random }}",
      "The filter 'random' is not supported: it draws by chance, so a prompt would not be the "
        + "same twice."
    ),
    ("{{ 'a'.encode() }}", "the method 'encode' of 'str' is not supported in chat templates"),
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
    Self.nesting("[ns.a].index"), Self.nesting("[ns.a] | map('list')"),
    Self.nesting("cycler(ns.a)"), Self.nesting("{1: ns.a}.items()"),
    "{{ ['x' * 30000000] * 1000000 }}",
    "{% set ns = namespace(a=1) %}{% for i in range(5000) %}{% for j in [ns.a] %}"
      + "{% set ns.a = loop %}{% endfor %}{% endfor %}",
    "{% set ns = namespace(a=1) %}{% for i in range(5000) %}{% for j in [1] %}"
      + "{% if loop.changed(ns.a) %}{% set ns.a = loop %}{% endif %}{% endfor %}{% endfor %}",
  ])
  func limitsHold(source: String) {
    let error = #expect(throws: TemplateError.self) { try render(source) }
    #expect(error?.code == .limitExceeded, "\(String(describing: error)) for \(source.prefix(60))")
  }

  private static func nesting(_ value: String) -> String {
    "{% set ns = namespace(a=[]) %}{% for i in range(5000) %}{% set ns.a = \(value) %}{% endfor %}"
  }

  /// Functions that hold the scopes of calls before them are no value that nests, and are freed one
  /// by one.
  @Test func chainsOfCallersAreFreed() throws {
    let text = try render(
      "{% set ns = namespace(a=1) %}{% macro m() %}{% set ns.a = caller %}{% endmacro %}"
        + "{% for i in range(20000) %}{% with x = ns.a %}{% call m() %}{{ x }}{% endcall %}"
        + "{% endwith %}{% endfor %}done")
    #expect(text == "done")
  }

  /// What has no end stops soon, with a code and words of its own.
  @Test(arguments: [
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{% set big = 3 ** 2500 %}{% for i in range(99999) %}{% set x = big // 7 %}{% endfor %}",
    """
    {% set ns = namespace(a=[]) %}{% for i in range(99) %}{% set ns.a = [ns.a, ns.a] %}\
    {% endfor %}
    """,
    "{% set s = 'x' * 30000000 %}{% for i in range(99999) %}{{ (s | upper)[0] }}{% endfor %}",
  ])
  func stepsAreBounded(source: String) {
    let error = #expect(throws: TemplateError.self) { try render(source) }
    #expect(error?.code == .stepLimit)
    #expect(error?.message.hasPrefix("rendering takes more than 2000000 steps") == true)
  }

  /// Templates that read the conversation again for each message, as Gemma 4's, have steps for the
  /// longest conversation that the API admits; short ones have no more than before.
  @Test func stepsGrowWithTheConversation() throws {
    let limits = TemplateLimits()
    func variables(_ count: Int) -> JSONMembers {
      let message = ChatTemplate.message(role: "user", content: "hi")
      return ["messages": .array(Array(repeating: message, count: count))]
    }
    #expect(limits.steps(for: variables(4)) < 2_001_000)
    #expect(limits.steps(for: variables(4096)) > 16 * 4096 * 4096 / 2)
    #expect(limits.steps(for: variables(100_000)) < 150_000_000)
    let text = try render(
      "{% for m in messages %}{% for j in range(loop.index0) %}{% if messages[j].role == '' %}x"
        + "{% endif %}{% endfor %}{% endfor %}done", variables(1000))
    #expect(text == "done")
  }

  /// `messages | length` in a loop, as Qwen 3's template has it, and the like: the time follows the
  /// number of messages, not the size of the conversation times that.
  @Test(.timeLimit(.minutes(1)), arguments: [
    "messages | length", "messages | first", "messages | last", "messages | default('')",
    "messages[-1].role", "messages is defined", "loop.last", "messages", "m.content | default('')",
    "m.content[0]", "m.content | first", "m.content.startswith('x')",
  ])
  func loopsDoNotReadTheWholeConversation(expression: String) throws {
    let message = ChatTemplate.message(
      role: "user", content: .text(String(repeating: "0123456789", count: 1000)))
    let text = try render(
      "{% for m in messages %}{% set i = \(expression) %}{% endfor %}done",
      ["messages": .array(Array(repeating: message, count: 4000))])
    #expect(text == "done")
  }

  @Test func namesAreCheckedBeforeTheFirstConversation() throws {
    for (source, message) in [
      ("{{ x }}\n{% if x %}{{ x | nothing }}{% endif %}", "line 2: No filter named 'nothing'."),
      ("{{ x is nothing }}", "line 1: No test named 'nothing'."),
      ("{{ x | map('nothing') }}", "line 1: No filter named 'nothing'."),
      ("{{ x | selectattr('a', 'nothing') }}", "line 1: No test named 'nothing'."),
      ("{% macro m() %}\n{{ nothing(1) }}{% endmacro %}", "line 2: No function named 'nothing'."),
      ("{{ x.nothing() }}", "line 1: No method named 'nothing'."),
      ("{{ x.encode() }}", "line 1: The method 'encode' is not supported."),
      (
        "{{ lipsum() }}",
        "line 1: The function 'lipsum' is not supported: its text is drawn by chance."
      ),
    ] {
      let error = #expect(throws: TemplateError.self) {
        try ChatTemplate(source: source).checkNames()
      }
      #expect(error?.description == message, "\(source)")
    }
    try ChatTemplate(
      source: """
        {% macro m(f) %}{{ f() }}{{ caller() }}{{ varargs }}{% endmacro %}\
        {% set ns = namespace(g=m) %}
        {% for a, b in x.items() recursive %}{{ loop(b) }}{{ loop.cycle(1, 2) }}{% endfor %}\
        {{ ns.g(1) }}
        {% if make is defined %}{{ make() }}{% endif %}{% set ns.h = m %}{{ ns.h() }}\
        {{ {'k': m}.k() }}
        {{ x.append(1) if x }}{{ raise_exception('a') if strftime_now is defined }}
        """
    ).checkNames()
  }

  @Test func methodsTakeAllTheirArguments() throws {
    let text = try render(
      #"{{ s.startswith("b", 1) }} {{ s.endswith("b", 0, 2) }} {{ s.count("b", 2) }} "#
        + #"{{ [1,2,1].index(1, 1) }} {% for g in [{"r":"u"}]|groupby("r") %}{{ g.grouper }}"#
        + #"{% endfor %} {{ "0x10"|int }} {{ 1e22|int }} {{ 1234|round(-2) }} {{ "ΟΔΟΣ"|lower }}"#,
      ["s": .string("abc")])
    #expect(text == "True True 0 2 u 0 10000000000000000000000 1200 οδος")
  }

  /// Whole numbers of any JSON keep their digits.
  @Test func largeIntegersStayIntegers() throws {
    let json = try JSONReader.parse(
      Array(#"{"a": 18446744073709551615, "b": [-99999999999999999999]}"#.utf8), file: "",
      rules: .strict)
    let text = try render(
      "{{ a }} {{ a + 1 }} {{ b | tojson }} {{ 9223372036854775807 + 1 }} {{ a is integer }}",
      try #require(json.objectValue))
    #expect(
      text == "18446744073709551615 18446744073709551616 [-99999999999999999999] "
        + "9223372036854775808 True")
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
