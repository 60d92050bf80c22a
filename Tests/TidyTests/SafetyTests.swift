import Testing

/// Our files and messages come from strangers: nothing but our own bug may end the program.
@Suite("Safety")
struct SafetyTests {
  let tree = SourceTree.checkout

  @Test("no crash on demand outside tests")
  func noTraps() throws {
    let traps = [
      ("fatalError", /\bfatalError\b/), ("try!", /\btry!/), ("as!", /\bas!/),
      ("assert", /\bassert\(/), ("assertionFailure", /\bassertionFailure\(/),
    ]
    for path in tree.files(in: "", "swift") where isProduct(path) {
      for (number, line) in try tree.code(path).enumerated() {
        // A word is found in a fraction of an expression's time.
        for (word, trap) in traps where line.mentions(word) {
          if let match = line.firstMatch(of: trap) {
            Issue.record("\(path):\(number + 1): \(match.output)")
          }
        }
      }
    }
  }

  @Test("what the compiler cannot check gives its reason in the comment above")
  func uncheckedSendable() throws {
    for path in tree.files(in: "", "swift") {
      let code = try tree.code(path)
      let lines = try tree.text(path).split(
        omittingEmptySubsequences: false, whereSeparator: \.isNewline)
      for (number, line) in code.enumerated()
      where line.mentions("@unchecked Sendable") || line.mentions("nonisolated(unsafe)") {
        var above = number - 1
        // A declaration may take several lines, and attributes may stand between.
        while above >= 0, !lines[above].contains("//"), number - above < 4,
          !lines[above].allSatisfy(\.isWhitespace)
        {
          above -= 1
        }
        let reason = above >= 0 && lines[above].contains("//")
        #expect(reason, "\(path):\(number + 1): unchecked by the compiler without a reason above")
      }
    }
  }

  @Test("the compiler may not fuse or split an operation in a kernel")
  func contraction() throws {
    let pragma = /^\s*#\s*pragma\s+STDC\s+FP_CONTRACT\s+OFF/
    let headers = Set(
      try tree.files(in: "Sources/CKernels/", "h", "inc").filter { path in
        try tree.code(path).contains { $0.contains(pragma) }
      }.compactMap { $0.split(separator: "/").last })
    for path in tree.files(in: "Sources/CKernels/", "c") {
      let text = try tree.text(path)
      // Bookkeeping has no arithmetic to protect.
      guard text.contains(/\b(float|double|__m(128|256|512))\b/) else { continue }
      let covered =
        text.split(whereSeparator: \.isNewline).contains { $0.contains(pragma) }
        || headers.contains { text.contains("/\($0)\"") || text.contains("\"\($0)\"") }
      #expect(covered, "\(path): #pragma STDC FP_CONTRACT OFF is missing")
    }
  }

  private func isProduct(_ path: String) -> Bool {
    !path.hasPrefix("Tests/") && !path.hasPrefix("Sources/TestSupport/")
  }
}
