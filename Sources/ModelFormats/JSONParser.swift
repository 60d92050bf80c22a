/// A strict JSON parser with limits: duplicate keys, invalid UTF-8, lone surrogates and trailing
/// bytes are errors, and every error names its byte.
package struct JSONParser {
  /// What a document may demand of the parser.
  package struct Limits: Sendable {
    /// Nesting of arrays and objects.
    package var depth = 64
    /// Values of any kind in the document; bounds the memory that a small file can demand.
    package var values = 8_000_000

    /// See the properties.
    package init(depth: Int = 64, values: Int = 8_000_000) {
      self.depth = depth
      self.values = values
    }
  }

  private let bytes: UnsafeRawBufferPointer
  private let file: String
  private let baseOffset: Int
  private let limits: Limits
  private var position = 0
  /// Where each key stands in the file, by its path from the top, joined with points; nil when
  /// nobody asks.
  private var keyOffsets: [String: Int]?
  private var path: [String] = []
  private var valuesLeft: Int

  /// Parses one document.
  ///
  /// - Parameters:
  ///   - file: the name that errors carry.
  ///   - baseOffset: where `bytes` begin in that file, in bytes.
  /// - Throws: `FormatError`.
  package static func parse(
    _ bytes: UnsafeRawBufferPointer, file: String, baseOffset: Int = 0, limits: Limits = Limits()
  ) throws -> JSONValue {
    var parser = JSONParser(
      bytes: bytes, file: file, baseOffset: baseOffset, limits: limits, valuesLeft: limits.values)
    return try parser.document()
  }

  /// Parses one document and also tells where its keys stand in the file, by their paths from the
  /// top (`rope_parameters.factor`); of keys in several elements of an array the last counts.
  ///
  /// - Throws: `FormatError`.
  package static func parseWithKeyOffsets(
    _ bytes: UnsafeRawBufferPointer, file: String, limits: Limits = Limits()
  ) throws -> (value: JSONValue, keyOffsets: [String: Int]) {
    var parser = JSONParser(
      bytes: bytes, file: file, baseOffset: 0, limits: limits, valuesLeft: limits.values)
    parser.keyOffsets = [:]
    let value = try parser.document()
    return (value, parser.keyOffsets ?? [:])
  }

  /// Parses one document from an array.
  package static func parse(
    _ bytes: [UInt8], file: String, limits: Limits = Limits()
  ) throws -> JSONValue {
    try bytes.withUnsafeBytes { try parse($0, file: file, limits: limits) }
  }

  private init(
    bytes: UnsafeRawBufferPointer, file: String, baseOffset: Int, limits: Limits, valuesLeft: Int
  ) {
    self.bytes = bytes
    self.file = file
    self.baseOffset = baseOffset
    self.limits = limits
    self.valuesLeft = valuesLeft
  }

  private func error(
    _ reason: String, _ code: FormatError.Code = .malformed, at position: Int? = nil
  ) -> FormatError {
    FormatError(
      code, file: file, offset: UInt64(baseOffset + (position ?? self.position)),
      reason: "JSON: \(reason)")
  }

  private mutating func document() throws -> JSONValue {
    let value = try value(depth: 0)
    skipSpace()
    guard position == bytes.count else { throw error("unexpected bytes after the document") }
    return value
  }

  private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func skipSpace() {
    while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
      position += 1
    }
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard current == byte else { return false }
    position += 1
    return true
  }

  private mutating func value(depth: Int) throws -> JSONValue {
    guard depth <= limits.depth else {
      throw error("nested more than \(limits.depth) deep", .limitExceeded)
    }
    guard valuesLeft > 0 else {
      throw error("more than \(limits.values) values", .limitExceeded)
    }
    valuesLeft -= 1
    skipSpace()
    switch current {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try literal("true", .bool(true))
    case UInt8(ascii: "f"): return try literal("false", .bool(false))
    case UInt8(ascii: "n"): return try literal("null", .null)
    case .some: return try number()
    case nil: throw error("ends where a value is expected", .truncated)
    }
  }

  private mutating func literal(_ text: StaticString, _ value: JSONValue) throws -> JSONValue {
    let matches = text.withUTF8Buffer { expected in
      bytes.count - position >= expected.count
        && bytes[position..<position + expected.count].elementsEqual(expected)
    }
    guard matches else { throw error("expected a value") }
    position += text.utf8CodeUnitCount
    return value
  }

  private mutating func object(depth: Int) throws -> JSONValue {
    position += 1
    var members: [String: JSONValue] = [:]
    skipSpace()
    if take(UInt8(ascii: "}")) { return .object(members) }
    while true {
      skipSpace()
      let start = position
      guard current == UInt8(ascii: "\"") else { throw error("expected a key in quotes") }
      let key = try string()
      skipSpace()
      guard take(UInt8(ascii: ":")) else { throw error("expected \":\" after a key") }
      let value = try member(key, at: start, depth: depth)
      guard members.updateValue(value, forKey: key) == nil else {
        throw error("key \(quoted(key)) appears twice", .duplicate, at: start)
      }
      skipSpace()
      if take(UInt8(ascii: "}")) { return .object(members) }
      guard take(UInt8(ascii: ",")) else { throw error("expected \",\" or \"}\"") }
    }
  }

  private mutating func member(_ key: String, at start: Int, depth: Int) throws -> JSONValue {
    guard keyOffsets != nil else { return try value(depth: depth + 1) }
    path.append(key)
    defer { path.removeLast() }
    keyOffsets?[path.joined(separator: ".")] = baseOffset + start
    return try value(depth: depth + 1)
  }

  private mutating func array(depth: Int) throws -> JSONValue {
    position += 1
    var elements: [JSONValue] = []
    skipSpace()
    if take(UInt8(ascii: "]")) { return .array(elements) }
    while true {
      elements.append(try value(depth: depth + 1))
      skipSpace()
      if take(UInt8(ascii: "]")) { return .array(elements) }
      guard take(UInt8(ascii: ",")) else { throw error("expected \",\" or \"]\"") }
    }
  }

  /// RFC 8259, section 6: `[-] int [frac] [exp]`.
  private mutating func number() throws -> JSONValue {
    let start = position
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
    if isInteger, let value = Int(text) { return .integer(value) }
    guard let value = Double(text), value.isFinite else {
      throw error("number out of range", .limitExceeded, at: start)
    }
    return .double(value)
  }

  private mutating func skipDigits() -> Int {
    let start = position
    while let byte = current, byte >= 0x30, byte <= 0x39 { position += 1 }
    return position - start
  }

  private mutating func string() throws -> String {
    let start = position
    position += 1
    var runStart = position
    var unescaped: [UInt8] = []
    while let byte = current {
      switch byte {
      case UInt8(ascii: "\""):
        let run = bytes[runStart..<position]
        position += 1
        let text =
          unescaped.isEmpty
          ? String(validating: run, as: UTF8.self)
          : String(validating: unescaped + run, as: UTF8.self)
        guard let text else { throw error("string is not UTF-8", at: start) }
        return text
      case UInt8(ascii: "\\"):
        unescaped.append(contentsOf: bytes[runStart..<position])
        position += 1
        unescaped.append(contentsOf: try escape())
        runStart = position
      case 0..<0x20:
        throw error("control character in a string")
      default:
        position += 1
      }
    }
    throw error("string does not end", .truncated, at: start)
  }

  private mutating func escape() throws -> [UInt8] {
    guard let byte = current else { throw error("escape does not end", .truncated) }
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
    case UInt8(ascii: "b"): return [0x08]
    case UInt8(ascii: "f"): return [0x0C]
    case UInt8(ascii: "n"): return [0x0A]
    case UInt8(ascii: "r"): return [0x0D]
    case UInt8(ascii: "t"): return [0x09]
    case UInt8(ascii: "u"):
      let first = try hexadecimal()
      guard first & 0xFC00 == 0xD800 else { return try utf8(UInt32(first)) }
      guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else {
        throw error("lone surrogate")
      }
      let second = try hexadecimal()
      guard second & 0xFC00 == 0xDC00 else { throw error("lone surrogate") }
      return try utf8(0x10000 + (UInt32(first & 0x3FF) << 10 | UInt32(second & 0x3FF)))
    default:
      throw error("unknown escape", at: position - 1)
    }
  }

  private func utf8(_ code: UInt32) throws -> [UInt8] {
    guard let scalar = Unicode.Scalar(code) else { throw error("lone surrogate") }
    return Array(String(scalar).utf8)
  }

  private mutating func hexadecimal() throws -> UInt16 {
    var value: UInt16 = 0
    for _ in 0..<4 {
      guard let byte = current, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw error("expected four hexadecimal digits")
      }
      value = value << 4 | UInt16(digit)
      position += 1
    }
    return value
  }
}
