import Foundation
import ModelFormats
import Testing
import Tokenizers

/// Renderings by Python's Jinja2, for every template in the fixtures.
///
/// `TALLY_TEMPLATES` names another folder of files of the same shape. The files of the repository
/// are written by `Tests/TokenizersTests/make_templates.py`.
@Suite struct GoldenTemplateTests {
  static let folder: URL = {
    if let path = ProcessInfo.processInfo.environment["TALLY_TEMPLATES"], !path.isEmpty {
      return URL(fileURLWithPath: path)
    }
    return Fixtures.tests.appendingPathComponent("Fixtures/chat_templates")
  }()

  static let files: [URL] = ((try? Fixtures.contents(of: folder)) ?? [])
    .filter { $0.pathExtension == "json" }

  @Test func fixturesAreThere() {
    #expect(!Self.files.isEmpty, "no files in \(Self.folder.path)")
  }

  @Test(arguments: files)
  func rendersAsJinja2(file: URL) throws {
    let json = try Fixtures.json(file)
    let source = try #require(json["template"]?.stringValue)
    let cases = try #require(json["cases"]?.arrayValue)
    let command = RenderCommand(try ChatTemplate(source: source))
    #expect(!cases.isEmpty)
    let now = TemplateClock(year: 2000, month: 1, day: 1)
    for entry in cases {
      let name = entry["name"]?.stringValue ?? ""
      if let expected = entry["error"]?.stringValue {
        let error = #expect(throws: TemplateError.self, "case \(name)") {
          try command.render(case: entry, now: now)
        }
        #expect(error?.message == expected, "case \(name)")
      } else {
        let expected = try #require(entry["rendered"]?.stringValue)
        let text = try command.render(case: entry, now: now)
        #expect(sameBytes(text, expected), "case \(name): \(text.debugDescription)")
      }
    }
  }
}
