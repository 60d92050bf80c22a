import Foundation
import Synchronization

/// The checkout as the tests see it: every file that is not a tool's own (hidden folders are,
/// except `.ci`).
final class SourceTree: Sendable {
  let root: URL
  /// Paths relative to the root, sorted.
  let paths: [String]

  /// `code` by path: several tests read each file.
  private let blanked = Mutex<[String: [Substring]]>([:])

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
    if let known = blanked.withLock({ $0[path] }) { return known }
    let lines = CodeScanner.blanked(try text(path)).split(
      omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    blanked.withLock { $0[path] = lines }
    return lines
  }
}

extension StringProtocol {
  /// Whether the bytes of `word` are there: a fraction of what a search by characters takes.
  func mentions(_ word: String) -> Bool {
    Array(utf8).withUnsafeBytes { text in
      Array(word.utf8).withUnsafeBytes { word in
        guard let base = text.baseAddress, let sought = word.baseAddress else { return false }
        var place = 0
        while place + word.count <= text.count,
          let start = memchr(base + place, Int32(word[0]), text.count - place)
        {
          place = UnsafeRawPointer(start) - base
          guard place + word.count <= text.count else { return false }
          if memcmp(start, sought, word.count) == 0 { return true }
          place += 1
        }
        return false
      }
    }
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
        switch bytes[position] {
        case UInt8(ascii: "/") where starts("//"):
          while position < bytes.count, bytes[position] != UInt8(ascii: "\n") { blankOne() }
        case UInt8(ascii: "/") where starts("/*"): blankBlockComment()
        case UInt8(ascii: "\""): blankString()
        default: position += 1
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
