import Testing

/// The other tests are worth what their scanner is.
@Suite("Scanner")
struct ScannerTests {
  @Test(
    "blanks comments and literals, keeps code and line ends",
    arguments: [
      ("a // try! b\nc", "a          \nc"),
      ("a /* x /* y */ z */ b", "a                   b"),
      (#"f("try!") g"#, #"f(      ) g"#),
      (#"f("a\"b") g"#, #"f(      ) g"#),
      (##"f(#"a"b"#) g"##, ##"f(#      ) g"##),
      ("f(\"\"\"\na \" b\n\"\"\") g", "f(   \n     \n   ) g"),
      ("let a = \"http://b\"; c", "let a =           ; c"),
    ])
  func blanks(source: String, code: String) {
    #expect(CodeScanner.blanked(source) == code)
  }

  @Test("finds the checkout")
  func findsCheckout() {
    #expect(SourceTree.checkout.paths.contains("Package.swift"))
    #expect(SourceTree.checkout.files(in: "Tests/TidyTests/", "swift").count > 2)
  }
}
