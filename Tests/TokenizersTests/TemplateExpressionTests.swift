import Foundation
import ModelFormats
import Testing
import Tokenizers

/// The values of some thousand expressions, as Python's Jinja2 gives them: methods, filters, tests,
/// operators and functions with good arguments and bad ones. The table is written by
/// `Tests/Fixtures/template_expressions/make_expressions.py`.
@Suite struct TemplateExpressionTests {
  @Test func expressionsHaveJinjasValues() throws {
    let file = Fixtures.tests.appendingPathComponent(
      "Fixtures/template_expressions/expressions.json")
    let table = try Fixtures.json(file)
    let variables = try #require(table["variables"]?.objectValue)
    let rows = try #require(table["expressions"]?.arrayValue)
    let clock = try #require(TemplateClock("2026-01-02T03:04:05"))
    #expect(rows.count > 3000)
    for row in rows {
      let expression = try #require(row.arrayValue?.first?.stringValue)
      let expected = row.arrayValue?.last?.stringValue
      do {
        let text = try ChatTemplate(source: "{{ \(expression) }}")
          .render(variables: variables, clock: clock)
        let isRight = expected.map { sameBytes(text, $0) } ?? false
        #expect(isRight, "\(expression): \(text.debugDescription)")
      } catch let error as TemplateError {
        #expect(expected == nil, "\(expression): \(error)")
        // Jinja2 has limits too, such as that of a range.
        let codes: [TemplateError.Code] = [.evaluation, .raised, .syntax, .limitExceeded]
        #expect(codes.contains(error.code), "\(expression): \(error)")
      }
    }
  }
}
