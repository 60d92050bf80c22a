/// A pull parser for JSON (RFC 8259) with limits.
///
/// A tokenizer file holds up to half a million strings; pulling them straight into the tables that
/// need them costs a fraction of building a tree. The bytes are checked to be UTF-8 once, at the
/// start.
package struct JSONReader: Sendable {
  private let bytes: [UInt8]
  private let file: String
  /// Nesting of arrays and objects.
  private let depthLimit: Int
  private var depth = 0
  package private(set) var position = 0

  /// Throws: `TokenizerError` when the bytes are not UTF-8.
  package init(_ bytes: [UInt8], file: String = "", depthLimit: Int = 200) throws {
    guard String(validating: bytes, as: UTF8.self) != nil else {
      throw TokenizerError(.malformed, file: file, "not UTF-8")
    }
    self.bytes = bytes
    self.file = file
    self.depthLimit = depthLimit
    // Windows editors put a byte order mark before the document.
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
  }

  /// Parses a whole document.
  package static func parse(
    _ bytes: [UInt8], file: String = "", depthLimit: Int = 200
  ) throws -> OrderedJSON {
    var reader = try JSONReader(bytes, file: file, depthLimit: depthLimit)
    let value = try reader.readValue()
    try reader.finish()
    return value
  }

  /// Parses a whole document.
  package static func parse(_ text: String, file: String = "") throws -> OrderedJSON {
    try parse(Array(text.utf8), file: file)
  }

  /// An error at the current byte.
  package func error(_ reason: String, _ code: TokenizerError.Code = .malformed) -> TokenizerError {
    TokenizerError(code, file: file, place: "byte \(position)", reason)
  }

  /// Checks that nothing but white space is left.
  package mutating func finish() throws {
    skipSpace()
    guard position == bytes.count else { throw error("unexpected bytes after the document") }
  }

  private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func skipSpace() {
    while position < bytes.count {
      let byte = bytes[position]
      guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
      position += 1
    }
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard current == byte else { return false }
    position += 1
    return true
  }

  private mutating func enter() throws {
    depth += 1
    guard depth <= depthLimit else {
      throw error("nested more than \(depthLimit) deep", .limitExceeded)
    }
  }

  /// The first byte of the next value, white space skipped.
  package mutating func peek() -> UInt8? {
    skipSpace()
    return current
  }

  // MARK: values

  /// Reads the next value, whatever it is.
  package mutating func readValue() throws -> OrderedJSON {
    switch peek() {
    case UInt8(ascii: "{"):
      var members = OrderedMembers()
      try readObject { reader, key in members[key] = try reader.readValue() }
      return .object(members)
    case UInt8(ascii: "["):
      var elements: [OrderedJSON] = []
      try readArray { reader in elements.append(try reader.readValue()) }
      return .array(elements)
    case UInt8(ascii: "\""): return .string(try readString())
    case UInt8(ascii: "t"): return try literal("true", .bool(true))
    case UInt8(ascii: "f"): return try literal("false", .bool(false))
    case UInt8(ascii: "n"): return try literal("null", .null)
    case .some: return try readNumber()
    case nil: throw error("ends where a value is expected")
    }
  }

  /// Calls `member` with each key, the reader standing before the value, which `member` must read.
  package mutating func readObject(
    _ member: (inout JSONReader, String) throws -> Void
  ) throws {
    try readObjectBytes { reader, key in
      try member(&reader, String(decoding: key, as: UTF8.self))
    }
  }

  /// `readObject` with the key's bytes.
  package mutating func readObjectBytes(
    _ member: (inout JSONReader, [UInt8]) throws -> Void
  ) throws {
    guard peek() == UInt8(ascii: "{") else { throw error("expected an object") }
    position += 1
    try enter()
    defer { depth -= 1 }
    if peek() == UInt8(ascii: "}") {
      position += 1
      return
    }
    var key: [UInt8] = []
    while true {
      key.removeAll(keepingCapacity: true)
      try readString(into: &key)
      guard peek() == UInt8(ascii: ":") else { throw error("expected \":\" after a key") }
      position += 1
      try member(&self, key)
      skipSpace()
      if take(UInt8(ascii: "}")) { return }
      guard take(UInt8(ascii: ",")) else { throw error("expected \",\" or \"}\"") }
    }
  }

  /// Calls `element` before each element, which it must read.
  package mutating func readArray(_ element: (inout JSONReader) throws -> Void) throws {
    guard peek() == UInt8(ascii: "[") else { throw error("expected an array") }
    position += 1
    try enter()
    defer { depth -= 1 }
    if peek() == UInt8(ascii: "]") {
      position += 1
      return
    }
    while true {
      try element(&self)
      skipSpace()
      if take(UInt8(ascii: "]")) { return }
      guard take(UInt8(ascii: ",")) else { throw error("expected \",\" or \"]\"") }
    }
  }

  /// Reads a value without keeping it.
  package mutating func skipValue() throws {
    switch peek() {
    case UInt8(ascii: "{"): try readObjectBytes { reader, _ in try reader.skipValue() }
    case UInt8(ascii: "["): try readArray { reader in try reader.skipValue() }
    case UInt8(ascii: "\""):
      var scratch: [UInt8] = []
      try readString(into: &scratch)
    default: _ = try readValue()
    }
  }

  private mutating func literal(_ text: StaticString, _ value: OrderedJSON) throws -> OrderedJSON {
    let count = text.utf8CodeUnitCount
    let matches = text.withUTF8Buffer { expected in
      bytes.count - position >= count
        && bytes[position..<position + count].elementsEqual(expected)
    }
    guard matches else { throw error("expected a value") }
    position += count
    return value
  }

  // MARK: numbers and strings

  /// RFC 8259, section 6: `[-] int [frac] [exp]`.
  package mutating func readNumber() throws -> OrderedJSON {
    skipSpace()
    let start = position
    _ = take(UInt8(ascii: "-"))
    if !take(UInt8(ascii: "0")), skipDigits() == 0 { throw error("expected a value") }
    var isInteger = true
    if take(UInt8(ascii: ".")) {
      isInteger = false
      guard skipDigits() > 0 else { throw error("expected a digit after the point") }
    }
    if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
      isInteger = false
      position += 1
      if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
      guard skipDigits() > 0 else { throw error("expected a digit in the exponent") }
    }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    if isInteger, let value = Int(text) { return .int(value) }
    guard let value = Double(text), value.isFinite else {
      throw error("number out of range", .limitExceeded)
    }
    return .double(value)
  }

  private mutating func skipDigits() -> Int {
    let start = position
    while let byte = current, byte >= 0x30, byte <= 0x39 { position += 1 }
    return position - start
  }

  /// Reads a string; see `readString(into:)`.
  package mutating func readString() throws -> String {
    var buffer: [UInt8] = []
    try readString(into: &buffer)
    return String(decoding: buffer, as: UTF8.self)
  }

  /// Appends the bytes of a string. A lone surrogate becomes U+FFFD: no Unicode text can hold it.
  package mutating func readString(into buffer: inout [UInt8]) throws {
    guard peek() == UInt8(ascii: "\"") else { throw error("expected a string") }
    position += 1
    var runStart = position
    while position < bytes.count {
      let byte = bytes[position]
      if byte == UInt8(ascii: "\"") {
        buffer.append(contentsOf: bytes[runStart..<position])
        position += 1
        return
      } else if byte == UInt8(ascii: "\\") {
        buffer.append(contentsOf: bytes[runStart..<position])
        position += 1
        try readEscape(into: &buffer)
        runStart = position
      } else if byte < 0x20 {
        throw error("control character in a string")
      } else {
        position += 1
      }
    }
    throw error("string does not end")
  }

  private mutating func readEscape(into buffer: inout [UInt8]) throws {
    guard let byte = current else { throw error("escape does not end") }
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): buffer.append(byte)
    case UInt8(ascii: "b"): buffer.append(0x08)
    case UInt8(ascii: "f"): buffer.append(0x0C)
    case UInt8(ascii: "n"): buffer.append(0x0A)
    case UInt8(ascii: "r"): buffer.append(0x0D)
    case UInt8(ascii: "t"): buffer.append(0x09)
    case UInt8(ascii: "u"): appendScalar(try readUnicodeEscape(), to: &buffer)
    default: throw error("unknown escape")
    }
  }

  private mutating func readUnicodeEscape() throws -> Unicode.Scalar {
    let first = try hexadecimal()
    guard first & 0xFC00 == 0xD800 else { return Unicode.Scalar(first) ?? "\u{FFFD}" }
    let afterFirst = position
    guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else {
      position = afterFirst
      return "\u{FFFD}"
    }
    let second = try hexadecimal()
    guard second & 0xFC00 == 0xDC00 else {
      position = afterFirst
      return "\u{FFFD}"
    }
    return Unicode.Scalar(0x10000 + ((first & 0x3FF) << 10 | (second & 0x3FF))) ?? "\u{FFFD}"
  }

  private mutating func hexadecimal() throws -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = current, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw error("expected four hexadecimal digits")
      }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    return value
  }
}
