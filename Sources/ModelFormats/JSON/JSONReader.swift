/// A pull parser for JSON (RFC 8259) with limits; every error names its byte.
///
/// A tokenizer file holds up to half a million strings; pulling them straight into the tables that
/// need them costs a fraction of building a tree. The bytes are checked to be UTF-8 once, at the
/// start.
package struct JSONReader: Sendable {
  /// What a document may do, and what it may demand of the reader.
  package struct Rules: Sendable {
    /// Nesting of arrays and objects.
    package var depth: Int
    /// Values of any kind; bounds the memory that a small file can demand.
    package var values: Int
    /// Whether a key may come twice in an object: the last value counts, as in Python.
    package var allowsRepeatedKeys: Bool
    /// Whether an escaped surrogate without its partner becomes U+FFFD instead of an error.
    package var replacesLoneSurrogates: Bool
    /// Whether a number beyond those of a `Double` becomes infinity, as in Python, instead of an
    /// error.
    package var takesHugeNumbers = false

    /// Refuses whatever two readers could understand differently.
    package static let strict = Rules(
      depth: 64, values: 8_000_000, allowsRepeatedKeys: false, replacesLoneSurrogates: false)
    /// Takes what Python's `json` takes, for files that it is known to read.
    package static let lenient = Rules(
      depth: 200, values: 64_000_000, allowsRepeatedKeys: true, replacesLoneSurrogates: true)

    /// The same rules for whoever checks the range of each number that counts, so that the error
    /// can name it. No other value that was read is infinite.
    package func takingHugeNumbers() -> Rules {
      var rules = self
      rules.takesHugeNumbers = true
      return rules
    }

    /// The same rules with other limits.
    package func limited(depth: Int? = nil, values: Int? = nil) -> Rules {
      var rules = self
      rules.depth = depth ?? rules.depth
      rules.values = values ?? rules.values
      return rules
    }
  }

  private let bytes: [UInt8]
  private let file: String
  /// Where `bytes` begin in the file.
  private let baseOffset: Int
  private let rules: Rules
  private var depth = 0
  private var valuesLeft: Int
  private var position = 0
  /// Where the string or number that was read last begins in `bytes`.
  package private(set) var tokenStart = 0

  /// - Parameters:
  ///   - file: the name that errors carry.
  ///   - baseOffset: where `bytes` begin in that file, in bytes.
  /// - Throws: `FormatError` when the bytes are not UTF-8.
  package init(
    _ bytes: [UInt8], file: String = "", baseOffset: Int = 0, rules: Rules
  ) throws {
    self.bytes = bytes
    self.file = file
    self.baseOffset = baseOffset
    self.rules = rules
    valuesLeft = rules.values
    if String(validating: bytes, as: UTF8.self) == nil {
      throw error("not UTF-8", at: Self.firstInvalidByte(bytes))
    }
    // Windows editors put a byte order mark before the document.
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
  }

  private static func firstInvalidByte(_ bytes: [UInt8]) -> Int {
    var parser = Unicode.UTF8.ForwardParser()
    var iterator = bytes.makeIterator()
    var offset = 0
    while case .valid(let scalar) = parser.parseScalar(from: &iterator) { offset += scalar.count }
    return min(offset, bytes.count)
  }

  /// Reads a whole document.
  ///
  /// - Throws: `FormatError`.
  package static func parse(
    _ bytes: [UInt8], file: String, baseOffset: Int = 0, rules: Rules
  ) throws -> JSONValue {
    var reader = try JSONReader(bytes, file: file, baseOffset: baseOffset, rules: rules)
    let value = try reader.readValue()
    try reader.finish()
    return value
  }

  /// An error at a byte of what was given, by default the current one.
  package func error(
    _ reason: String, _ code: FormatError.Code = .malformed, at position: Int? = nil
  ) -> FormatError {
    FormatError(
      code, file: file, offset: UInt64(baseOffset + (position ?? self.position)),
      reason: "JSON: \(reason)")
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
    guard depth <= rules.depth else {
      throw error("nested more than \(rules.depth) deep", .limitExceeded)
    }
  }

  /// The first byte of the next value, white space skipped.
  package mutating func peek() -> UInt8? {
    skipSpace()
    return current
  }

  // MARK: values

  /// Reads the next value, whatever it is.
  package mutating func readValue() throws -> JSONValue {
    try countValue()
    switch peek() {
    case UInt8(ascii: "{"): return .object(try readMembers { reader, _ in try reader.readValue() })
    case UInt8(ascii: "["):
      var elements: [JSONValue] = []
      try readArray { reader in elements.append(try reader.readValue()) }
      return .array(elements)
    case UInt8(ascii: "\""): return .string(try readString())
    case UInt8(ascii: "t"): return try literal("true", .bool(true))
    case UInt8(ascii: "f"): return try literal("false", .bool(false))
    case UInt8(ascii: "n"): return try literal("null", .null)
    case .some: return try readNumber()
    case nil: throw error("ends where a value is expected", .truncated)
    }
  }

  /// Reads an object into its members.
  ///
  /// - Parameter value: reads the value of the key that it is given.
  package mutating func readMembers(
    _ value: (inout JSONReader, String) throws -> JSONValue
  ) throws -> JSONMembers {
    var members = JSONMembers()
    let allowsRepeatedKeys = rules.allowsRepeatedKeys
    try readObject { reader, key in
      let start = reader.tokenStart
      let value = try value(&reader, key)
      guard allowsRepeatedKeys || members[key] == nil else {
        throw reader.error("key \(quoted(key)) appears twice", .duplicate, at: start)
      }
      members[key] = value
    }
    return members
  }

  private mutating func countValue() throws {
    guard valuesLeft > 0 else { throw error("more than \(rules.values) values", .limitExceeded) }
    valuesLeft -= 1
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

  private mutating func literal(_ text: StaticString, _ value: JSONValue) throws -> JSONValue {
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
  package mutating func readNumber() throws -> JSONValue {
    skipSpace()
    let start = position
    tokenStart = start
    _ = take(UInt8(ascii: "-"))
    if !take(UInt8(ascii: "0")), skipDigits() == 0 {
      throw error("expected a value", at: start)
    }
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
    if isInteger {
      if let value = Int(text) { return .int(value) }
      guard let value = BigInteger(text) else {
        throw error("integer of more than \(BigInteger.bitLimit) bits", .limitExceeded, at: start)
      }
      return .bigInt(value)
    }
    guard let value = Double(text), value.isFinite || rules.takesHugeNumbers else {
      throw error("number out of range", .limitExceeded, at: start)
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

  /// Appends the bytes of a string.
  package mutating func readString(into buffer: inout [UInt8]) throws {
    guard peek() == UInt8(ascii: "\"") else { throw error("expected a string") }
    tokenStart = position
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
    throw error("string does not end", .truncated, at: tokenStart)
  }

  private mutating func readEscape(into buffer: inout [UInt8]) throws {
    guard let byte = current else { throw error("escape does not end", .truncated) }
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): buffer.append(byte)
    case UInt8(ascii: "b"): buffer.append(0x08)
    case UInt8(ascii: "f"): buffer.append(0x0C)
    case UInt8(ascii: "n"): buffer.append(0x0A)
    case UInt8(ascii: "r"): buffer.append(0x0D)
    case UInt8(ascii: "t"): buffer.append(0x09)
    case UInt8(ascii: "u"): buffer.append(contentsOf: String(try readUnicodeEscape()).utf8)
    default: throw error("unknown escape", at: position - 1)
    }
  }

  private mutating func readUnicodeEscape() throws -> Unicode.Scalar {
    let first = try hexadecimal()
    guard first & 0xFC00 == 0xD800 else { return try Unicode.Scalar(first) ?? loneSurrogate() }
    let afterFirst = position
    if take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) {
      let second = try hexadecimal()
      if second & 0xFC00 == 0xDC00 {
        let code = 0x10000 + ((first & 0x3FF) << 10 | (second & 0x3FF))
        return try Unicode.Scalar(code) ?? loneSurrogate()
      }
    }
    position = afterFirst
    return try loneSurrogate()
  }

  private func loneSurrogate() throws -> Unicode.Scalar {
    guard rules.replacesLoneSurrogates else { throw error("lone surrogate") }
    return "\u{FFFD}"
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
