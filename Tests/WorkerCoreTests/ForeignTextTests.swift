import Testing
import WorkerCore

@Suite("Foreign text")
struct ForeignTextTests {
  @Test("what a terminal would obey is not shown")
  func controls() {
    #expect(ForeignText.line("\u{1b}[2Jgone\r\n\u{7}now\u{202e}txt") == "[2Jgone now txt")
    #expect(ForeignText.line("  Wartung am Sonntag, 8 Uhr – bis später  ") == "Wartung am Sonntag, 8 Uhr – bis später")
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
}
