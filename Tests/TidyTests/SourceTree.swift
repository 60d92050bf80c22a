import Foundation

/// The checkout as the tests see it: every file that is not a tool's own (hidden folders are,
/// except `.ci`).
struct SourceTree {
  let root: URL
  /// Paths relative to the root, sorted.
  let paths: [String]

  /// The checkout that holds this file.
  static let checkout = SourceTree(
    root: URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent())

  private init(root: URL) {
    self.root = root.standardizedFileURL
    var found: [String] = []
    Self.collect(root, prefix: "", into: &found)
    self.paths = found.sorted()
  }

  private static func collect(_ folder: URL, prefix: String, into found: inout [String]) {
    let keys: [URLResourceKey] = [.isDirectoryKey, .isSymbolicLinkKey]
    let entries =
      (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: keys))
      ?? []
    for entry in entries {
      let name = entry.lastPathComponent
      let values = try? entry.resourceValues(forKeys: Set(keys))
      if values?.isSymbolicLink == true { continue }
      if values?.isDirectory == true {
        if name == ".ci" || !(name.hasPrefix(".") || name == "__pycache__") {
          collect(entry, prefix: prefix + name + "/", into: &found)
        }
      } else if name != ".git" {
        found.append(prefix + name)
      }
    }
  }

  /// Paths below `folder` that end in one of `extensions`.
  func files(in folder: String = "", _ extensions: String...) -> [String] {
    paths.filter { path in
      path.hasPrefix(folder) && extensions.contains { path.hasSuffix("." + $0) }
    }
  }

  func text(_ path: String) throws -> String {
    try String(contentsOf: root.appending(path: path), encoding: .utf8)
  }

  /// Lines of a Swift or C file with comments and string literals blanked, so that words are code.
  func code(_ path: String) throws -> [Substring] {
    CodeScanner.blanked(try text(path)).split(
      omittingEmptySubsequences: false, whereSeparator: \.isNewline)
  }
}

/// Blanks what is not code. Line ends stay, so that line numbers do.
enum CodeScanner {
  static func blanked(_ text: String) -> String {
    var scanner = Scanner(bytes: Array(text.utf8))
    scanner.run()
    return String(decoding: scanner.bytes, as: UTF8.self)
  }

  private struct Scanner {
    var bytes: [UInt8]
    var position = 0

    mutating func run() {
      while position < bytes.count {
        if starts("//") {
          blank { $0.bytes[$0.position] == UInt8(ascii: "\n") }
        } else if starts("/*") {
          blankBlockComment()
        } else if bytes[position] == UInt8(ascii: "\"") {
          blankString()
        } else {
          position += 1
        }
      }
    }

    func starts(_ word: String, at offset: Int = 0) -> Bool {
      bytes[min(position + offset, bytes.count)...].starts(with: word.utf8)
    }

    mutating func blankOne() {
      guard position < bytes.count else { return }
      if bytes[position] != UInt8(ascii: "\n") { bytes[position] = UInt8(ascii: " ") }
      position += 1
    }

    mutating func blank(until isEnd: (Scanner) -> Bool) {
      while position < bytes.count, !isEnd(self) { blankOne() }
    }

    mutating func blankBlockComment() {
      var depth = 0
      repeat {
        if starts("/*") {
          depth += 1
          blankOne()
        } else if starts("*/") {
          depth -= 1
          blankOne()
        }
        blankOne()
      } while depth > 0 && position < bytes.count
    }

    /// A literal with as many number signs before it as must follow it.
    mutating func blankString() {
      var signs = 0
      while position - signs > 0, bytes[position - signs - 1] == UInt8(ascii: "#") { signs += 1 }
      let quote = starts("\"\"\"") ? "\"\"\"" : "\""
      let end = quote + String(repeating: "#", count: signs)
      let escape = "\\" + String(repeating: "#", count: signs)
      for _ in quote.utf8 { blankOne() }
      while position < bytes.count, !starts(end) {
        if quote == "\"", bytes[position] == UInt8(ascii: "\n") { return }
        if starts(escape) { for _ in escape.utf8 { blankOne() } }
        blankOne()
      }
      for _ in end.utf8 { blankOne() }
    }
  }
}
