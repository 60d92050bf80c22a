/// The longer methods of Python's `str`.
enum PythonStrings {
  // MARK: searching

  /// Where `sub` is in the part of a text that a method's arguments 1 and 2 bound, in characters.
  static func find(_ text: String, _ arguments: BoundArguments, last: Bool = false) throws -> Int? {
    let sub = try arguments.text(0)
    guard let region = PythonText.region(text, try arguments.bound(1), try arguments.bound(2))
    else { return nil }
    if sub.isEmpty {
      let inside = last ? PythonText.length(PythonText.slice(text, region.bytes)) : 0
      return region.first + inside
    }
    let search = PythonSearch(sub)
    let found =
      last ? search.last(in: text, region.bytes) : search.first(in: text, region.bytes)
    return found.map { PythonText.characters(of: text, before: $0) }
  }

  static func count(_ text: String, _ arguments: BoundArguments) throws -> Int {
    let sub = try arguments.text(0)
    guard let region = PythonText.region(text, try arguments.bound(1), try arguments.bound(2))
    else { return 0 }
    if sub.isEmpty { return PythonText.length(PythonText.slice(text, region.bytes)) + 1 }
    return PythonSearch(sub).all(in: text, region.bytes).count
  }

  /// `str.startswith` and `str.endswith`: of a string or of one in a tuple.
  static func hasAffix(_ text: String, _ arguments: BoundArguments, atEnd: Bool) throws -> Bool {
    let options: [RuntimeValue]
    if case .tuple(let several)? = arguments[0] {
      options = several
    } else {
      options = [arguments[0] ?? .none]
    }
    let affixes = try options.map { option in
      guard case .string(let affix) = option else {
        try TemplateOperators.requireDefined(option)
        throw TemplateOperators.fail(
          "\(arguments.function) first arg must be str or a tuple of str, not \(option.typeName)")
      }
      return affix
    }
    guard let region = PythonText.region(text, try arguments.bound(1), try arguments.bound(2))
    else { return false }
    let bytes = text.utf8
    let start = bytes.index(bytes.startIndex, offsetBy: region.bytes.lowerBound)
    let part = bytes[start..<bytes.index(start, offsetBy: region.bytes.count)]
    return affixes.contains { affix in
      atEnd
        ? part.suffix(affix.utf8.count).elementsEqual(affix.utf8)
        : part.starts(with: affix.utf8)
    }
  }

  // MARK: splitting

  /// `str.split` and `str.rsplit`.
  static func split(
    _ text: String, _ arguments: BoundArguments, _ limits: TemplateLimits, fromRight: Bool = false
  ) throws -> [String] {
    let given = try arguments.integer(1, -1)
    let most = given < 0 ? Int.max : given
    guard arguments.given(0) != nil else { return words(text, most, fromRight: fromRight) }
    let separator = try arguments.text(0)
    guard !separator.isEmpty else { throw TemplateOperators.fail("empty separator") }
    let search = PythonSearch(separator)
    let whole = 0..<text.utf8.count
    let found =
      fromRight
      ? search.allFromRight(in: text, whole, limit: most)
      : search.all(in: text, whole, limit: most)
    try TemplateOperators.checkCount(found.count, limits)
    var parts: [String] = []
    var start = 0
    for position in found {
      parts.append(PythonText.slice(text, start..<position))
      start = position + separator.utf8.count
    }
    return parts + [PythonText.slice(text, start..<whole.upperBound)]
  }

  /// Splitting at runs of white space; the part that is not split keeps its outer blanks.
  private static func words(_ text: String, _ most: Int, fromRight: Bool) -> [String] {
    let scalars = text.unicodeScalars
    var runs: [Range<String.Index>] = []
    var start: String.Index?
    for index in scalars.indices {
      if isPythonSpace(scalars[index]) {
        if let first = start { runs.append(first..<index) }
        start = nil
      } else if start == nil {
        start = index
      }
    }
    if let first = start { runs.append(first..<scalars.endIndex) }
    guard runs.count > most else { return runs.map { String(text[$0]) } }
    if fromRight {
      let end = runs[runs.count - most - 1].upperBound
      return [String(text[..<end])] + runs.suffix(most).map { String(text[$0]) }
    }
    return runs.prefix(most).map { String(text[$0]) } + [String(text[runs[most].lowerBound...])]
  }

  static func lines(_ text: String, keepsEnds: Bool) -> [String] {
    var result: [String] = []
    var line = String.UnicodeScalarView()
    var scalars = text.unicodeScalars.makeIterator()
    var pending = scalars.next()
    while let scalar = pending {
      pending = scalars.next()
      guard [0x0A, 0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E, 0x85, 0x2028, 0x2029].contains(scalar.value)
      else {
        line.append(scalar)
        continue
      }
      if keepsEnds { line.append(scalar) }
      if scalar == "\r", pending == "\n" {
        if keepsEnds { line.append("\n") }
        pending = scalars.next()
      }
      result.append(String(line))
      line = String.UnicodeScalarView()
    }
    if !line.isEmpty { result.append(String(line)) }
    return result
  }

  static func partition(
    _ text: String, _ arguments: BoundArguments, last: Bool
  ) throws -> RuntimeValue {
    let separator = try arguments.text(0)
    guard !separator.isEmpty else { throw TemplateOperators.fail("empty separator") }
    let whole = 0..<text.utf8.count
    let search = PythonSearch(separator)
    guard let position = last ? search.last(in: text, whole) : search.first(in: text, whole) else {
      let whole = RuntimeValue.string(text)
      return .tuple(last ? [.string(""), .string(""), whole] : [whole, .string(""), .string("")])
    }
    let end = position + separator.utf8.count
    return .tuple([
      .string(PythonText.slice(text, 0..<position)), .string(separator),
      .string(PythonText.slice(text, end..<whole.upperBound)),
    ])
  }

  // MARK: other texts

  /// `str.replace`; a negative count replaces all.
  static func replaced(
    _ text: String, _ old: String, _ new: String, count: Int, _ limits: TemplateLimits
  ) throws -> String {
    let limit = count < 0 ? Int.max : count
    var found: [Int]
    if old.isEmpty {
      // Before each character and at the end.
      let bytes = Array(text.utf8)
      found = Array(
        (bytes.indices.filter { bytes[$0] & 0xC0 != 0x80 } + [bytes.count]).prefix(limit))
    } else {
      found = PythonSearch(old).all(in: text, 0..<text.utf8.count, limit: limit)
    }
    guard !found.isEmpty else { return text }
    let (added, overflow) = found.count.multipliedReportingOverflow(by: new.utf8.count)
    try TemplateOperators.checkSize(overflow ? Int.max / 2 : added, limits)
    var result = ""
    var start = 0
    for position in found {
      result += PythonText.slice(text, start..<position)
      result += new
      start = position + old.utf8.count
    }
    result += PythonText.slice(text, start..<text.utf8.count)
    try TemplateOperators.checkSize(result.utf8.count, limits)
    return result
  }

  static func padded(
    _ text: String, _ width: Int, _ fill: String, _ side: String, _ limits: TemplateLimits
  ) throws -> String {
    guard fill.unicodeScalars.count == 1 else {
      throw TemplateOperators.fail("The fill character must be exactly one character long")
    }
    let missing = width - PythonText.length(text)
    guard missing > 0 else { return text }
    let (added, overflow) = missing.multipliedReportingOverflow(by: fill.utf8.count)
    try TemplateOperators.checkSize(overflow ? Int.max / 2 : added, limits)
    func blanks(_ count: Int) -> String { String(repeating: fill, count: count) }
    switch side {
    case "ljust": return text + blanks(missing)
    case "rjust": return blanks(missing) + text
    default:
      // CPython's centring puts the odd blank left when the width is odd too.
      let left = missing / 2 + (missing & width & 1)
      return blanks(left) + text + blanks(missing - left)
    }
  }

  static func zeroFilled(_ text: String, _ width: Int, _ limits: TemplateLimits) throws -> String {
    let missing = width - PythonText.length(text)
    guard missing > 0 else { return text }
    try TemplateOperators.checkSize(missing, limits)
    let zeros = String(repeating: "0", count: missing)
    guard let first = text.unicodeScalars.first, first == "-" || first == "+" else {
      return zeros + text
    }
    return String(first) + zeros + text.dropUTF8(1)
  }

  static func tabsExpanded(
    _ text: String, _ size: Int, _ limits: TemplateLimits
  ) throws -> String {
    var result = ""
    var column = 0
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\t":
        guard size > 0 else { continue }
        let blanks = size - column % size
        try TemplateOperators.checkSize(result.utf8.count + blanks, limits)
        result += String(repeating: " ", count: blanks)
        column += blanks
      default:
        result.unicodeScalars.append(scalar)
        column = scalar == "\n" || scalar == "\r" ? 0 : column + 1
      }
    }
    return result
  }

  /// `str.translate` with a dictionary from code points to code points, texts or none.
  static func translated(
    _ text: String, _ table: RuntimeDictionary, _ limits: TemplateLimits
  ) throws -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch table.value(.int(Int(scalar.value))) {
      case nil: result.unicodeScalars.append(scalar)
      case RuntimeValue.none?: continue
      case .string(let replacement)?: result += replacement
      case .some(let value):
        guard let scalar = value.integer.flatMap({ UInt32(exactly: $0) }).flatMap(
          Unicode.Scalar.init)
        else {
          throw TemplateOperators.fail(
            "character mapping must return integer, None or str")
        }
        result.unicodeScalars.append(scalar)
      }
      try TemplateOperators.checkSize(result.utf8.count, limits)
    }
    return result
  }
}

extension String {
  /// Without some bytes of its beginning, which are whole characters.
  func dropUTF8(_ count: Int) -> String {
    PythonText.slice(self, count..<utf8.count)
  }
}
