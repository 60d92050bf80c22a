import WireProtocol

/// Writes XML as BOINC's `db_dump` does: an element a line, indented by four spaces for each level.
struct XMLWriter {
  private(set) var text = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
  private var depth = 0

  /// An element that holds others.
  mutating func element(_ name: String, _ body: (inout XMLWriter) -> Void) {
    line("<\(name)>")
    depth += 1
    body(&self)
    depth -= 1
    line("</\(name)>")
  }

  mutating func element(_ name: String, _ value: String) {
    line("<\(name)>\(Self.escaped(value))</\(name)>")
  }

  mutating func element(_ name: String, _ value: Int) { line("<\(name)>\(value)</\(name)>") }

  /// As C's `%f` prints it: six digits after the point.
  mutating func element(_ name: String, _ value: Double) {
    line("<\(name)>\(Self.spelled(value))</\(name)>")
  }

  private mutating func line(_ line: String) {
    text += String(repeating: "    ", count: depth) + line + "\n"
  }

  /// XML 1.0 allows few control characters; none of them, nor what turns the direction, is in a
  /// name.
  private static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in ForeignText.plain(text).unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  private static func spelled(_ value: Double) -> String {
    guard value.isFinite else { return "0.000000" }
    // Above 2^53 a millionth is nothing.
    guard abs(value) < 9e9 else { return "\(Int64(max(-9e18, min(9e18, value)))).000000" }
    let micro = Int64((value * 1e6).rounded(.toNearestOrEven))
    let (whole, rest) = micro.magnitude.quotientAndRemainder(dividingBy: 1_000_000)
    let digits = String(rest)
    return (micro < 0 ? "-" : "") + "\(whole)."
      + String(repeating: "0", count: 6 - digits.count) + digits
  }
}
