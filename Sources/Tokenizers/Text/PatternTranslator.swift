/// Rewrites a split expression from Oniguruma's Ruby syntax, which tokenizer files use, to PCRE2's.
///
/// The differences that matter: character classes become explicit Unicode 16 ranges (see
/// `UnicodeClasses`), nested classes and `&&` are computed here, `\h` is a hexadecimal digit,
/// `(?m)` lets the dot match line feeds, `{,n}` starts at zero, and `{n,m}+` repeats instead of
/// being possessive.
struct PatternTranslator {
  let pattern: [Unicode.Scalar]
  var position = 0
  private var output: [Unicode.Scalar] = []
  /// Where the atom that a quantifier would repeat begins in `output`; nil where there is none.
  private var atomStart: Int?
  private var groupStarts: [Int] = []
  var classDepth = 0

  /// Throws: `TokenizerError` with the offset (in scalars) of what cannot be translated.
  static func translate(_ pattern: String) throws -> String {
    var translator = PatternTranslator(pattern: Array(pattern.unicodeScalars))
    while translator.position < translator.pattern.count { try translator.element() }
    return String(String.UnicodeScalarView(translator.output))
  }

  private init(pattern: [Unicode.Scalar]) { self.pattern = pattern }

  func error(_ reason: String) -> TokenizerError {
    TokenizerError(.expression, "expression, character \(position): \(reason)")
  }

  func peek(_ offset: Int = 0) -> Unicode.Scalar? {
    position + offset < pattern.count ? pattern[position + offset] : nil
  }

  private mutating func emit(_ text: String) { output.append(contentsOf: text.unicodeScalars) }

  private mutating func emitAtom(_ text: String) {
    atomStart = output.count
    emit(text)
  }

  private mutating func element() throws {
    guard let scalar = peek() else { return }
    switch scalar {
    case "\\": try escape()
    case "[":
      position += 1
      let (set, negated) = try characterClass()
      emitSet(set, negated: negated)
    case "(": try openGroup()
    case ")":
      position += 1
      atomStart = groupStarts.popLast()
      emit(")")
    case "?", "*", "+": quantifier(String(scalar), length: 1)
    case "{": interval()
    case "|", "^", "$":
      position += 1
      atomStart = nil
      emit(String(scalar))
    default:
      position += 1
      emitAtom(String(scalar))
    }
  }

  // MARK: repetition

  private mutating func quantifier(_ text: String, length: Int) {
    position += length
    emit(text)
    if let mark = peek(), mark == "?" || mark == "+" {
      position += 1
      emit(String(mark))
    }
  }

  private mutating func interval() {
    guard let close = pattern[position...].firstIndex(of: "}") else { return literalBrace() }
    let inside = String(String.UnicodeScalarView(pattern[position + 1..<close]))
    let parts = inside.split(separator: ",", omittingEmptySubsequences: false)
    let isNumber = { (part: Substring) in part.utf8.allSatisfy { (0x30...0x39).contains($0) } }
    guard (1...2).contains(parts.count), parts.allSatisfy(isNumber),
      parts.contains(where: { !$0.isEmpty })
    else { return literalBrace() }
    position = close + 1
    emit("{\(parts[0].isEmpty ? "0" : parts[0])\(parts.count == 2 ? ",\(parts[1])" : "")}")
    guard let mark = peek(), mark == "?" || mark == "+" else { return }
    position += 1
    if mark == "?", parts.count == 2 {
      emit("?")
    } else if let start = atomStart {
      // Ruby reads a{2}? as (?:a{2})? and a{1,3}+ as (?:a{1,3})+.
      output.insert(contentsOf: "(?:".unicodeScalars, at: start)
      emit(")\(mark)")
    }
  }

  private mutating func literalBrace() {
    position += 1
    emitAtom("\\{")
  }

  // MARK: groups

  private mutating func openGroup() throws {
    let start = output.count
    position += 1
    emit("(")
    defer { atomStart = nil }
    guard peek() == "?" else { return groupStarts.append(start) }
    position += 1
    if peek() == "#" {
      output.removeLast()
      guard let close = pattern[position...].firstIndex(of: ")") else {
        throw error("comment does not end")
      }
      position = close + 1
      return
    }
    emit("?")
    try groupOptions()
    if output.last == ")" { return }
    groupStarts.append(start)
  }

  /// Copies option letters, translated; other kinds of groups are spelled alike in both syntaxes.
  private mutating func groupOptions() throws {
    while let scalar = peek() {
      switch scalar {
      case "i", "x", "-": emit(String(scalar))
      case "m": emit("s")
      case "a", "d", "u": break
      case ":", ")", "=", "!", ">":
        position += 1
        return emit(String(scalar))
      default: return
      }
      position += 1
    }
    throw error("group does not end")
  }

  // MARK: escapes

  private mutating func escape() throws {
    guard let scalar = peek(1) else { throw error("ends with a backslash") }
    switch scalar {
    case "A", "Z", "z", "b", "B", "G", "K":
      position += 2
      atomStart = nil
      emit("\\\(scalar)")
    case "R", "X", "N", "1"..."9":
      position += 2
      emitAtom("\\\(scalar)")
    case "k", "g":
      position += 2
      emitAtom("\\\(scalar)")
    default:
      if let (set, negated) = try classEscape() {
        emitSet(set, negated: negated)
      } else if let name = scriptName() {
        emitAtom("\\\(scalar){\(name)}")
      } else {
        emitLiteral(try scalarEscape())
      }
    }
  }

  private mutating func emitLiteral(_ scalar: Unicode.Scalar) {
    emitAtom("\\x{\(String(scalar.value, radix: 16))}")
  }

  private mutating func emitSet(_ set: ScalarSet, negated: Bool) {
    let inside = set.expression
    if inside.isEmpty {
      emitAtom(negated ? "[\\x{0}-\\x{10ffff}]" : "(?!)")
    } else {
      emitAtom("[\(negated ? "^" : "")\(inside)]")
    }
  }

  /// `\p{..}`, `\s`, `\d`, `\w`, `\h` and their opposites; nil, nothing consumed, for anything
  /// else.
  mutating func classEscape() throws -> (ScalarSet, negated: Bool)? {
    let simple: (ScalarSet, Bool)? =
      switch peek(1) {
      case "s": (UnicodeClasses.whiteSpace, false)
      case "S": (UnicodeClasses.whiteSpace, true)
      case "d": (UnicodeClasses.decimalDigits, false)
      case "D": (UnicodeClasses.decimalDigits, true)
      case "w": (classDepth == 0 ? UnicodeClasses.word : UnicodeClasses.wordCore, false)
      case "W": (classDepth == 0 ? UnicodeClasses.word : UnicodeClasses.wordCore, true)
      case "h": (ScalarSet([0x30...0x39, 0x41...0x46, 0x61...0x66]), false)
      case "H": (ScalarSet([0x30...0x39, 0x41...0x46, 0x61...0x66]), true)
      default: nil
      }
    if let simple {
      position += 2
      return simple
    }
    guard peek(1) == "p" || peek(1) == "P" else { return nil }
    let upper = peek(1) == "P"
    guard peek(2) == "{" else {
      // \pL, as PCRE and Rust spell it.
      guard let name = peek(2), let set = UnicodeClasses.property(String(name)) else {
        throw error("unknown property")
      }
      position += 3
      return (set, upper)
    }
    guard let close = pattern[position...].firstIndex(of: "}") else {
      throw error("property does not end")
    }
    let caret = peek(3) == "^"
    let name = String(String.UnicodeScalarView(pattern[position + (caret ? 4 : 3)..<close]))
    guard let set = UnicodeClasses.property(name) else { return nil }
    position = close + 1
    return (set, upper != caret)
  }

  /// The name inside a `\p{..}` that `UnicodeClasses` does not know, for PCRE2 to judge.
  private mutating func scriptName() -> String? {
    guard peek(1) == "p" || peek(1) == "P", peek(2) == "{",
      let close = pattern[position...].firstIndex(of: "}")
    else { return nil }
    let name = pattern[position + 3..<close]
    guard name.allSatisfy({ $0.isASCII && ($0.properties.isAlphabetic || $0 == "_") }) else {
      return nil
    }
    position = close + 1
    return String(String.UnicodeScalarView(name))
  }

  /// An escape that stands for one scalar; consumes it.
  mutating func scalarEscape() throws -> Unicode.Scalar {
    guard let scalar = peek(1) else { throw error("ends with a backslash") }
    position += 2
    switch scalar {
    case "n": return "\n"
    case "t": return "\t"
    case "r": return "\r"
    case "f": return "\u{0C}"
    case "v": return "\u{0B}"
    case "a": return "\u{07}"
    case "e": return "\u{1B}"
    case "0": return try number(radix: 8, limit: 2, default: 0)
    case "u": return try number(radix: 16, limit: 4)
    case "x":
      guard peek() == "{" else { return try number(radix: 16, limit: 2) }
      position += 1
      let value = try number(radix: 16, limit: 8)
      guard peek() == "}" else { throw error("expected \"}\"") }
      position += 1
      return value
    default:
      guard !scalar.isASCII || !scalar.properties.isAlphabetic else {
        throw error("unknown escape \\\(scalar)")
      }
      return scalar
    }
  }

  private mutating func number(
    radix: Int, limit: Int, default fallback: UInt32? = nil
  ) throws -> Unicode.Scalar {
    var digits = ""
    while digits.count < limit, let next = peek(), next.isASCII,
      let digit = Character(next).hexDigitValue, digit < radix
    {
      digits.unicodeScalars.append(next)
      position += 1
    }
    guard let value = UInt32(digits, radix: radix) ?? fallback, let scalar = Unicode.Scalar(value)
    else { throw error("not a code point") }
    return scalar
  }
}
