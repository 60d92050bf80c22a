import Foundation
import Testing
import WireProtocol

@Suite("Foreign text")
struct ForeignTextTests {
  @Test("what a terminal would obey is not shown")
  func controls() {
    #expect(ForeignText.line("\u{1b}[2Jgone\r\n\u{7}now\u{202e}txt") == "[2Jgone now txt")
    #expect(
      ForeignText.line("  Wartung am Sonntag, 8 Uhr – bis später  ")
        == "Wartung am Sonntag, 8 Uhr – bis später")
    #expect(ForeignText.line("\u{1b}\n") == nil)
    #expect(ForeignText.line(nil) == nil)
  }

  @Test("however long it is, a line is shown")
  func length() {
    #expect(ForeignText.line(String(repeating: "x", count: 10_000))?.count == ForeignText.limit)
    // One character of very many scalars.
    let tower = "a" + String(repeating: "\u{301}", count: 100_000)
    #expect((ForeignText.line(tower)?.unicodeScalars.count ?? 0) <= 4 * ForeignText.limit)
  }

  @Test("running text keeps its blanks and joiners, and obeys no terminal")
  func plain() {
    #expect(ForeignText.plain("  two  \u{1b}[31mred\u{9b}0m\u{202e}x") == "  two  [31mred0mx")
    #expect(ForeignText.plain("a\nb\tc\u{2028}d") == "a b c d")
    #expect(ForeignText.plain("a\nb\tc\r", keepsLines: true) == "a\nb\tc")
    #expect(ForeignText.plain("👩\u{200d}💻") == "👩\u{200d}💻")
  }

  @Test("a text in pieces of whole scalars is shown as the whole text is")
  func pieces() {
    let scalars = Array(
      "a\u{1b}[31m\u{9b}0m\r\n\u{202e}e\u{301} 👩\u{200d}💻\t\u{2028}z".unicodeScalars)
    func text(_ scalars: ArraySlice<Unicode.Scalar>) -> String {
      String(String.UnicodeScalarView(scalars))
    }
    let whole = ForeignText.plain(text(scalars[...]), keepsLines: true)
    #expect(Array(whole.utf8) == Array("a[31m0m\ne\u{301} 👩\u{200d}💻\t z".utf8))
    for cut in 0...scalars.count {
      let parts = [scalars[..<cut], scalars[cut...]].map {
        ForeignText.plain(text($0), keepsLines: true)
      }
      #expect(Array(parts.joined().utf8) == Array(whole.utf8), "\(cut)")
    }
  }

  @Test("a JSON document reads as the same values, and shows only itself")
  func json() throws {
    let value = ["na\u{1b}me": "x\u{202e}y\u{9b}z\u{e0041} é \u{1f680}\n"]
    let shown = ForeignText.json(String(decoding: try JSONEncoder().encode(value), as: UTF8.self))
    #expect(try JSONDecoder().decode([String: String].self, from: Data(shown.utf8)) == value)
    #expect(ForeignText.plain(shown) == shown)
    #expect(shown.contains("\\u202e") && shown.contains("\\udb40\\udc41") && shown.contains("é"))
  }
}
