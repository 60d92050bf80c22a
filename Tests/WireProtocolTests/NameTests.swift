import Testing
import WireProtocol

@Suite("Names")
struct NameTests {
  @Test(
    "what people call themselves is kept, in one spelling",
    arguments: [
      ("Analytical Engines", "Analytical Engines"), ("  ada \u{a0} lovelace ", "ada lovelace"),
      ("cafe\u{301}", "café"), ("\u{212b}ngström", "Ångström"), ("数学", "数学"), ("עדה", "עדה"),
      ("❤\u{fe0f} GPUs", "❤ GPUs"), ("ภาษาไทย", "ภาษาไทย"), ("Ｗｉｄｅ", "Ｗｉｄｅ"),
    ])
  func kept(given: String, stored: String) throws {
    #expect(Array(try Name.checked(given).unicodeScalars) == Array(stored.unicodeScalars))
    #expect(try Name.checked(stored) == stored)
  }

  @Test(
    "what cannot be seen, or changes what is around it, is refused by its number",
    arguments: [
      "\0", "\u{7}", "\n", "\t", "\u{1b}", "\u{7f}", "\u{85}", "\u{9b}", "\u{ad}", "\u{200b}",
      "\u{200d}", "\u{200f}", "\u{202e}", "\u{2028}", "\u{2029}", "\u{2066}", "\u{feff}",
      "\u{fffe}", "\u{e000}", "\u{f0000}", "\u{378}", "\u{e0041}", "\u{3164}", "\u{115f}",
      "\u{ffa0}", "\u{2800}", "\u{fffd}", "\u{34f}", "\u{180b}",
    ])
  func refused(scalar: String) throws {
    for name in ["a\(scalar)b", "\(scalar)ab", "ab\(scalar)"] {
      #expect { try Name.checked(name) } throws: { "\($0)".contains("U+") }
      #expect(Name.cleaned(name).map { $0.replacing(" ", with: "") } == "ab")
    }
    #expect(Name.cleaned(scalar) == nil)
  }

  @Test("a name is not empty, bounded in bytes, and no tower of marks")
  func bounds() throws {
    #expect(throws: Name.Fault.empty) { try Name.checked(" \u{a0} ") }
    #expect(throws: Name.Fault.empty) { try Name.checked("") }
    #expect(try Name.checked(String(repeating: "é", count: 127)).utf8.count == 254)
    for long in ["é", "x", "\u{1f680}", "a\u{301}"] {
      #expect(throws: Name.Fault.tooLong(limitBytes: 254)) {
        try Name.checked(String(repeating: long, count: 255))
      }
    }
    // One character for Swift, 16,001 bytes.
    #expect(throws: Name.Fault.self) {
      try Name.checked("a" + String(repeating: "\u{301}", count: 8000))
    }
    for marks in ["\u{316}\u{301}\u{302}\u{303}\u{304}", "\u{316}\u{316}"] {
      #expect(throws: Name.Fault.tooManyMarks) { try Name.checked("x" + marks) }
    }
    #expect(throws: Name.Fault.tooManyMarks) { try Name.checked("\u{301}x") }
    #expect(try Name.checked("x\u{316}\u{301}").unicodeScalars.count == 3)
  }

  @Test("a machine's own name is cut at a whole character")
  func cleaned() {
    #expect(Name.cleaned("  attic\u{1b}[31m-pc\n") == "attic [31m-pc")
    #expect(Name.cleaned(String(repeating: "ж", count: 80)) == String(repeating: "ж", count: 50))
    #expect(Name.cleaned("x" + String(repeating: "\u{1f680}", count: 80))?.utf8.count == 97)
    #expect(Name.cleaned(nil) == nil && Name.cleaned(" \u{202e}\n") == nil)
  }
}
