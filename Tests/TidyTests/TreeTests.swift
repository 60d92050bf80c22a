import Foundation
import Testing

/// What a reader sees first: folders, documents, sizes.
@Suite("Tree")
struct TreeTests {
  let tree = SourceTree.checkout

  @Test("the top level holds these folders and no other")
  func topLevel() {
    let folders = Set(
      tree.paths.compactMap { path -> Substring? in
        let parts = path.split(separator: "/", maxSplits: 1)
        return parts.count == 2 ? parts[0] : nil
      })
    #expect(
      folders.subtracting([
        "Sources", "Tests", "Coordinator", "Worker", "Protocol", "Deploy", ".ci",
      ]).isEmpty)
    for file in ["Package.swift", "README.md", "LICENSE", "CONTRIBUTING.md", ".ci/run"] {
      #expect(tree.paths.contains(file), "\(file) is missing")
    }
  }

  @Test("no file is larger than a megabyte")
  func sizes() throws {
    for path in tree.paths {
      let size = try tree.root.appending(path: path).resourceValues(forKeys: [.fileSizeKey])
        .fileSize
      #expect((size ?? 0) <= 1_000_000, "\(path) has \(size ?? 0) bytes")
    }
  }

  @Test("no file names a path of somebody's machine")
  func machinePaths() throws {
    // In two parts, so that this file does not find itself.
    let places = ["/wo" + "rk/", "/ho" + "me/", "/Us" + "ers/", "/tmp/" + "plan", "/tmp/" + "wt/"]
    let before = Set(" \t\"'`(=:,[")
    for path in tree.paths {
      guard let text = try? tree.text(path) else { continue }
      for place in places {
        var rest = text[...]
        while let range = rest.range(of: place) {
          let first = range.lowerBound == text.startIndex
          if first || before.contains(text[text.index(before: range.lowerBound)])
            || text[text.index(before: range.lowerBound)].isNewline
          {
            Issue.record("\(path): names \(place)")
          }
          rest = rest[range.upperBound...]
        }
      }
    }
  }

  @Test("declarations that other modules see say what they are")
  func documented() throws {
    // Types, functions and constants at the top level of a file, and functions anywhere. Members
    // whose name and type say it all, initialisers and what a protocol asks for, which is
    // documented there, are left to judgement.
    let declaration =
      /^(\s*)(?:@\w+(?:\([^)]*\))?\s+)*(?:package|public)\s+(?:(?:static|final|mutating|indirect|nonisolated|isolated|consuming|borrowing|convenience|override)\s+)*(struct|enum|class|actor|protocol|typealias|func|var|let)\s+([\w=<>+\-*\/]+)/
    let wellKnown: Set<Substring> = [
      "encode", "hash", "==", "<", "next", "makeIterator", "index", "run", "validate", "handle",
      "response",
    ]
    let attribute = /^\s*(@|#if|#else)/
    let comment = /^\s*(\/\/\/|\*\/|\*)/
    let requirements = try protocolRequirements()
    for path in tree.files(in: "", "swift") where !path.hasPrefix("Tests/") {
      let lines = try tree.text(path).split(
        omittingEmptySubsequences: false, whereSeparator: \.isNewline)
      let code = try tree.code(path)
      for (number, line) in code.enumerated() {
        guard line.mentions("package ") || line.mentions("public "),
          let match = line.firstMatch(of: declaration)
        else { continue }
        let isFunction = match.2 == "func"
        guard match.1.isEmpty || isFunction, !wellKnown.contains(match.3),
          !(isFunction && requirements.contains(String(match.3)))
        else { continue }
        var above = number - 1
        while above >= 0, lines[above].firstMatch(of: attribute) != nil { above -= 1 }
        let documented = above >= 0 && lines[above].firstMatch(of: comment) != nil
        #expect(documented, "\(path):\(number + 1): \(match.2) \(match.3) has no documentation")
      }
    }
  }

  /// Names of the functions that our own protocols ask for.
  private func protocolRequirements() throws -> Set<String> {
    let start = #/^(package |public )?protocol /#
    let function = #/^  (?:mutating |static )?func (\w+)/#
    var names: Set<String> = []
    for path in tree.files(in: "", "swift") where !path.hasPrefix("Tests/") {
      var isInside = false
      for line in try tree.code(path) {
        if line.mentions("protocol "), line.contains(start) {
          isInside = true
        }
        if line.hasPrefix("}") { isInside = false }
        guard isInside, let match = line.firstMatch(of: function)
        else {
          continue
        }
        names.insert(String(match.1))
      }
    }
    return names
  }
}
