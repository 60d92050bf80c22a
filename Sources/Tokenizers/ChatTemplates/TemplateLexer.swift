import ModelFormats

/// A piece of a template's source.
struct TemplateToken: Sendable {
  enum Kind: Sendable, Equatable {
    /// Text outside of tags.
    case text(String)
    case variableBegin, variableEnd, blockBegin, blockEnd
    case name(String)
    case string(String)
    case integer(Int)
    case bigInteger(BigInteger)
    case double(Double)
    case symbol(String)
    case end
  }

  var kind: Kind
  var line: Int
}

/// Cuts a template into tokens as Jinja2 does with `trim_blocks` and `lstrip_blocks`: the first
/// line feed after a block is dropped, as are blanks between the start of a line and a block; `-`
/// strips all white space on its side, `+` keeps it.
struct TemplateLexer {
  private let source: [Unicode.Scalar]
  private var position = 0
  private var line = 1
  private var tokens: [TemplateToken] = []
  /// Whether what was read last ended a line.
  private var isLineStart = true

  static func tokens(of source: String) throws -> [TemplateToken] {
    var lexer = TemplateLexer(source)
    try lexer.run()
    return lexer.tokens
  }

  private init(_ text: String) {
    var scalars: [Unicode.Scalar] = []
    scalars.reserveCapacity(text.utf8.count)
    for scalar in text.unicodeScalars {
      if scalar == "\n", scalars.last == "\r" { scalars.removeLast() }
      scalars.append(scalar)
    }
    for index in scalars.indices where scalars[index] == "\r" { scalars[index] = "\n" }
    // Without keep_trailing_newline one final line feed is no part of the template.
    if scalars.last == "\n" { scalars.removeLast() }
    source = scalars
  }

  private func error(_ message: String) -> TemplateError {
    TemplateError(.syntax, message, line: line)
  }

  private func peek(_ offset: Int = 0) -> Unicode.Scalar? {
    position + offset < source.count ? source[position + offset] : nil
  }

  private func starts(_ text: String, at offset: Int = 0) -> Bool {
    var index = position + offset
    for scalar in text.unicodeScalars {
      guard index < source.count, source[index] == scalar else { return false }
      index += 1
    }
    return true
  }

  private mutating func advance(_ count: Int) {
    for _ in 0..<count where position < source.count {
      if source[position] == "\n" { line += 1 }
      position += 1
    }
  }

  private mutating func emit(_ kind: TemplateToken.Kind) {
    tokens.append(TemplateToken(kind: kind, line: line))
  }

  private mutating func run() throws {
    while position < source.count {
      let start = position
      while position < source.count, !(peek() == "{" && opensTag(peek(1))) { advance(1) }
      guard position < source.count else {
        emitText(start..<position)
        break
      }
      let sign = peek(2)
      emitText(strippedEnd(start..<position, isVariable: peek(1) == "{", sign: sign))
      switch peek(1) {
      case "#": try comment()
      case "{": try tag(close: "}}", sign: sign)
      default: if try !raw() { try tag(close: "%}", sign: sign) }
      }
    }
    emit(.end)
  }

  private func opensTag(_ scalar: Unicode.Scalar?) -> Bool {
    scalar == "{" || scalar == "%" || scalar == "#"
  }

  private mutating func emitText(_ range: Range<Int>) {
    guard !range.isEmpty else { return }
    emit(.text(String(String.UnicodeScalarView(source[range]))))
  }

  /// The text before a tag without what the tag strips.
  private func strippedEnd(
    _ text: Range<Int>, isVariable: Bool, sign: Unicode.Scalar?
  ) -> Range<Int> {
    var end = text.upperBound
    if sign == "-" {
      while end > text.lowerBound, isPythonSpace(source[end - 1]) { end -= 1 }
      return text.lowerBound..<end
    }
    guard sign != "+", !isVariable else { return text }
    while end > text.lowerBound, source[end - 1] != "\n" {
      guard isPythonSpace(source[end - 1]) else { return text }
      end -= 1
    }
    return end > text.lowerBound || isLineStart ? text.lowerBound..<end : text
  }

  /// Consumes the end of a tag at the current position: `-` strips what follows, a block also takes
  /// one line feed.
  private mutating func closeTag(_ close: String) -> Bool {
    let isStripping = peek() == "-"
    let hasSign = isStripping || (peek() == "+" && close != "}}")
    guard starts(close, at: hasSign ? 1 : 0) else { return false }
    advance(hasSign ? 3 : 2)
    isLineStart = false
    if isStripping {
      while let scalar = peek(), isPythonSpace(scalar) {
        isLineStart = scalar == "\n"
        advance(1)
      }
    } else if !hasSign, close != "}}", peek() == "\n" {
      advance(1)
      isLineStart = true
    }
    return true
  }

  private mutating func comment() throws {
    advance(2)
    while position < source.count {
      if closeTag("#}") { return }
      advance(1)
    }
    throw error("Missing end of comment tag")
  }

  /// `{% raw %}` to `{% endraw %}`; false, nothing consumed, for another block.
  private mutating func raw() throws -> Bool {
    let saved = (position, line, isLineStart)
    advance(peek(2) == "-" || peek(2) == "+" ? 3 : 2)
    guard takeWord("raw"), closeRawBegin() else {
      (position, line, isLineStart) = saved
      return false
    }
    let start = position
    while position < source.count {
      guard starts("{%") else {
        advance(1)
        continue
      }
      let end = position
      let sign = peek(2)
      advance(sign == "-" || sign == "+" ? 3 : 2)
      if takeWord("endraw"), closeTag("%}") {
        let kept = isLineStart
        isLineStart = false
        emitText(strippedEnd(start..<end, isVariable: false, sign: sign))
        isLineStart = kept
        return true
      }
      position = end
      advance(1)
    }
    throw error("Missing end of raw directive")
  }

  private mutating func closeRawBegin() -> Bool {
    let isStripping = peek() == "-"
    guard starts("%}", at: isStripping ? 1 : 0) else { return false }
    advance(isStripping ? 3 : 2)
    while isStripping, let scalar = peek(), isPythonSpace(scalar) { advance(1) }
    return true
  }

  private mutating func takeWord(_ word: String) -> Bool {
    while let scalar = peek(), isPythonSpace(scalar) { advance(1) }
    guard starts(word) else { return false }
    advance(word.unicodeScalars.count)
    while let scalar = peek(), isPythonSpace(scalar) { advance(1) }
    return true
  }

  // MARK: inside of tags

  private mutating func tag(close: String, sign: Unicode.Scalar?) throws {
    let isVariable = close == "}}"
    emit(isVariable ? .variableBegin : .blockBegin)
    advance(sign == "-" || (sign == "+" && !isVariable) ? 3 : 2)
    /// Brackets that are open: while there are some, `}}` is no end of the tag.
    var open: [Unicode.Scalar] = []
    while position < source.count {
      let endLine = line
      if open.isEmpty, closeTag(close) {
        tokens.append(TemplateToken(kind: isVariable ? .variableEnd : .blockEnd, line: endLine))
        return
      }
      try expressionToken(&open)
    }
    throw error("unexpected end of template, expected '\(close)'.")
  }

  private mutating func expressionToken(_ open: inout [Unicode.Scalar]) throws {
    guard let scalar = peek() else { return }
    if isPythonSpace(scalar) { return advance(1) }
    if scalar == "'" || scalar == "\"" { return try string(scalar) }
    if scalar.isASCIIDigit { return try number() }
    if isNameStart(scalar) { return name() }
    for symbol in ["//", "**", "==", "!=", ">=", "<="] where starts(symbol) {
      emit(.symbol(symbol))
      return advance(2)
    }
    guard "+-*/%~[](){}<>=.:|,;".unicodeScalars.contains(scalar) else {
      throw error("unexpected char '\(excerpt(String(scalar)))'")
    }
    try balance(scalar, &open)
    emit(.symbol(String(scalar)))
    advance(1)
  }

  private func balance(_ scalar: Unicode.Scalar, _ open: inout [Unicode.Scalar]) throws {
    switch scalar {
    case "(": open.append(")")
    case "[": open.append("]")
    case "{": open.append("}")
    case ")", "]", "}":
      guard let expected = open.popLast() else { throw error("unexpected '\(scalar)'") }
      guard expected == scalar else {
        throw error("unexpected '\(scalar)', expected '\(expected)'")
      }
    default: break
    }
  }

  private func isNameStart(_ scalar: Unicode.Scalar) -> Bool {
    scalar == "_" || scalar.properties.isXIDStart
  }

  private mutating func name() {
    let start = position
    while let scalar = peek(), scalar == "_" || scalar.properties.isXIDContinue { advance(1) }
    emit(.name(String(String.UnicodeScalarView(source[start..<position]))))
  }

  private mutating func digits(_ radix: Int) -> String {
    var text = ""
    while let scalar = peek() {
      if let digit = Character(scalar).hexDigitValue, scalar.isASCII, digit < radix {
        text.unicodeScalars.append(scalar)
      } else if scalar != "_" || text.isEmpty {
        break
      }
      advance(1)
    }
    return text
  }

  private mutating func number() throws {
    for (prefix, radix) in [("0x", 16), ("0X", 16), ("0b", 2), ("0B", 2), ("0o", 8), ("0O", 8)]
    where starts(prefix) {
      advance(2)
      let text = digits(radix)
      guard !text.isEmpty else { throw error("bad number") }
      return try integer(text, radix: radix)
    }
    var text = digits(10)
    var isDouble = false
    if peek() == ".", let next = peek(1), next.isASCIIDigit {
      isDouble = true
      advance(1)
      text += "." + digits(10)
    }
    if peek() == "e" || peek() == "E" {
      let signed = peek(1) == "+" || peek(1) == "-"
      if let digit = peek(signed ? 2 : 1), digit.isASCIIDigit {
        isDouble = true
        text += "e" + (signed ? String(peek(1) ?? "+") : "")
        advance(signed ? 2 : 1)
        text += digits(10)
      }
    }
    if !isDouble { return try integer(text, radix: 10) }
    guard let value = Double(text) else { throw error("bad number") }
    emit(.double(value))
  }

  private mutating func integer(_ text: String, radix: Int) throws {
    if let value = Int(text, radix: radix) { return emit(.integer(value)) }
    let digits = text.compactMap { $0.hexDigitValue.map { UInt8($0) } }
    guard let value = BigInteger(digits: digits, radix: UInt32(radix)) else {
      throw error("number out of range")
    }
    emit(.bigInteger(value))
  }

  private mutating func string(_ quote: Unicode.Scalar) throws {
    advance(1)
    var text = String.UnicodeScalarView()
    while let scalar = peek() {
      if scalar == quote {
        emit(.string(String(text)))
        return advance(1)
      }
      advance(1)
      if scalar == "\\" { try stringEscape(into: &text) } else { text.append(scalar) }
    }
    throw error("string does not end")
  }

  /// Python's string escapes; an unknown one keeps its backslash.
  private mutating func stringEscape(into text: inout String.UnicodeScalarView) throws {
    guard let scalar = peek() else { throw error("string does not end") }
    advance(1)
    switch scalar {
    case "n": text.append("\n")
    case "t": text.append("\t")
    case "r": text.append("\r")
    case "a": text.append("\u{07}")
    case "b": text.append("\u{08}")
    case "f": text.append("\u{0C}")
    case "v": text.append("\u{0B}")
    case "\\", "'", "\"": text.append(scalar)
    case "\n": break
    case "x": text.append(try codePoint(2))
    case "u": text.append(try codePoint(4))
    case "U": text.append(try codePoint(8))
    case "0"..."7":
      var value = scalar.value - 0x30
      for _ in 0..<2 {
        guard let digit = peek(), ("0"..."7").contains(digit) else { break }
        value = value * 8 + digit.value - 0x30
        advance(1)
      }
      text.append(Unicode.Scalar(value) ?? "\u{FFFD}")
    default:
      text.append("\\")
      text.append(scalar)
    }
  }

  private mutating func codePoint(_ count: Int) throws -> Unicode.Scalar {
    var value: UInt32 = 0
    for _ in 0..<count {
      guard let scalar = peek(), scalar.isASCII, let digit = Character(scalar).hexDigitValue else {
        throw error("truncated escape")
      }
      value = value << 4 | UInt32(digit)
      advance(1)
    }
    return Unicode.Scalar(value) ?? "\u{FFFD}"
  }
}

extension Unicode.Scalar {
  var isASCIIDigit: Bool { ("0"..."9").contains(self) }
}

/// What Python's `str.isspace` and `\s` take for white space: Unicode's and the four separators
/// U+001C to U+001F.
func isPythonSpace(_ scalar: Unicode.Scalar) -> Bool {
  if scalar.isASCII {
    return scalar == " " || (0x09...0x0D).contains(scalar.value)
      || (0x1C...0x1F).contains(scalar.value)
  }
  return scalar.properties.isWhitespace
}
