/// Tells a file that holds JSON, but not a request on each line, by its first two lines: a list, or
/// objects that take several lines.
package struct JSONLinesForm {
  /// What is wrong with such a file, and what to do.
  package static let message =
    "This is JSON, not JSONL: each request stands on one line of its own, without a list around "
    + "them. `jq -c '.[]' FILE` makes JSONL of a list, `jq -c . FILE` of objects that take several "
    + "lines."

  private var lines = 0
  private var isOpen = false

  package init() {}

  /// Whether the lines so far are of such a file.
  ///
  /// - Parameter line: the next that is not blank.
  package mutating func isBroken(by line: [UInt8]) -> Bool {
    lines += 1
    guard lines <= 2 else { return false }
    let start = line.first { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") }
    if lines == 2 { return isOpen && start != UInt8(ascii: "{") }
    isOpen = start == UInt8(ascii: "{") && Self.endsInside(line)
    return start == UInt8(ascii: "[")
  }

  /// Whether more brackets are opened than closed.
  private static func endsInside(_ line: [UInt8]) -> Bool {
    var depth = 0
    var isString = false
    var isEscaped = false
    for byte in line {
      if isString {
        if !isEscaped, byte == UInt8(ascii: "\"") { isString = false }
        isEscaped = !isEscaped && byte == UInt8(ascii: "\\")
        continue
      }
      switch byte {
      case UInt8(ascii: "\""): isString = true
      case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
      default: break
      }
    }
    return depth > 0
  }
}
