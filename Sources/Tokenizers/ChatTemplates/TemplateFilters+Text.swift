extension TemplateFilters {
  /// The filters on texts.
  static let text: [String: TemplateFilter] = {
    let asString = onText { $0 }
    let escape = TemplateFilter(.nothing) { interpreter, value, _ in
      try interpreter.spend(on: value)
      return .string(try escaped(PythonText.string(value), interpreter.limits))
    }
    return [
      "string": asString, "safe": asString, "escape": escape, "e": escape, "forceescape": escape,
      "upper": onText(PythonText.uppercased), "lower": onText(PythonText.lowercased),
      "capitalize": onText(PythonText.capitalized), "title": onText(titled),
      "trim": TemplateFilter(.named("chars?")) { interpreter, value, arguments in
        try interpreter.spend(on: value)
        let characters = arguments.given(0) == nil ? nil : try arguments.text(0)
        return .string(PythonText.stripped(PythonText.string(value), characters))
      },
      "replace": TemplateFilter(.named("old", "new", "count?")) { interpreter, value, arguments in
        try interpreter.spend(on: value)
        let (old, new) = (arguments[0] ?? .none, arguments[1] ?? .none)
        return .string(
          try PythonStrings.replaced(
            PythonText.string(value), PythonText.string(old), PythonText.string(new),
            count: try arguments.bound(2) ?? -1, interpreter.limits))
      },
      "center": TemplateFilter(.named("width?")) { interpreter, value, arguments in
        .string(
          try PythonStrings.padded(
            PythonText.string(value), try arguments.integer(0, 80), " ", "center",
            interpreter.limits))
      },
      "format": TemplateFilter(anyArguments: { interpreter, value, arguments in
        try formatted(value, arguments, interpreter.limits)
      }),
      "indent": TemplateFilter(
        .named("width?", "first?", "blank?")
      ) { interpreter, value, arguments in
        .string(try indented(try operand(value, arguments, interpreter), arguments, interpreter))
      },
      "truncate": TemplateFilter(
        .named("length?", "killwords?", "end?", "leeway?")
      ) { interpreter, value, arguments in try truncated(value, arguments, interpreter) },
      "wordcount": TemplateFilter(.nothing) { interpreter, value, _ in
        try interpreter.spend(on: value)
        return .int(words(PythonText.string(value)))
      },
      "wordwrap": TemplateFilter(
        .named("width?", "break_long_words?", "wrapstring?", "break_on_hyphens?")
      ) { interpreter, value, arguments in
        let text = try operand(value, arguments, interpreter)
        return .string(try wrapped(text, arguments, interpreter.limits))
      },
      "striptags": TemplateFilter(.nothing) { interpreter, value, _ in
        try interpreter.spend(on: value)
        return .string(try withoutTags(PythonText.string(value)))
      },
      "urlencode": TemplateFilter(.nothing) { interpreter, value, _ in
        try interpreter.spend(on: value)
        return .string(try urlEncoded(value))
      },
      "xmlattr": TemplateFilter(.named("autospace?")) { interpreter, value, arguments in
        .string(try attributes(value, arguments, interpreter.limits))
      },
    ]
  }()

  private static func onText(_ transform: @escaping @Sendable (String) -> String) -> TemplateFilter
  {
    TemplateFilter(.nothing) { interpreter, value, _ in
      try interpreter.spend(on: value)
      return .string(transform(PythonText.string(value)))
    }
  }

  /// An operand that must be a string.
  private static func operand(
    _ value: RuntimeValue, _ arguments: BoundArguments, _ interpreter: TemplateInterpreter
  ) throws -> String {
    guard case .string(let text) = value else {
      try TemplateOperators.requireDefined(value)
      throw TemplateOperators.fail("\(arguments.function) needs a string, not '\(value.typeName)'")
    }
    try interpreter.spend(on: value)
    return text
  }

  /// Jinja2's `title`: words start after blanks, hyphens and opening brackets.
  @Sendable private static func titled(_ text: String) -> String {
    func isSeparator(_ scalar: Unicode.Scalar) -> Bool {
      isPythonSpace(scalar) || "-({[<".unicodeScalars.contains(scalar)
    }
    var result = ""
    var rest = text.unicodeScalars[...]
    while let first = rest.first {
      let word = rest.prefix { isSeparator($0) == isSeparator(first) }
      result += first.properties.uppercaseMapping
      result += PythonText.lowercased(String(word.dropFirst()))
      rest = rest[word.endIndex...]
    }
    return result
  }

  private static func escaped(_ text: String, _ limits: TemplateLimits) throws -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "'": result += "&#39;"
      case "\"": result += "&#34;"
      default: result.unicodeScalars.append(scalar)
      }
    }
    try TemplateOperators.checkSize(result.utf8.count, limits)
    return result
  }

  private static func formatted(
    _ value: RuntimeValue, _ arguments: RuntimeArguments, _ limits: TemplateLimits
  ) throws -> RuntimeValue {
    let text = PythonText.string(value)
    guard !arguments.named.isEmpty else {
      return .string(try PythonFormat.format(text, .tuple(arguments.positional), limits))
    }
    guard arguments.positional.isEmpty else {
      throw TemplateOperators.fail(
        "can't handle positional and keyword arguments at the same time")
    }
    var members = RuntimeDictionary()
    for (name, value) in arguments.named { members.set(.string(name), value) }
    return .string(try PythonFormat.format(text, .dictionary(members), limits))
  }

  private static func indented(
    _ text: String, _ arguments: BoundArguments, _ interpreter: TemplateInterpreter
  ) throws -> String {
    let isText = arguments[0]?.text != nil
    let width = isText ? 0 : max(0, try arguments.integer(0, 4))
    try TemplateOperators.checkSize(width, interpreter.limits)
    let indentation = isText ? try arguments.text(0) : String(repeating: " ", count: width)
    // A line feed added by the filter lets a text that ends with one keep it.
    let lines = PythonStrings.lines(text + "\n", keepsEnds: false)
    let (size, overflow) = lines.count.multipliedReportingOverflow(by: indentation.utf8.count)
    try TemplateOperators.checkSize(
      overflow ? Int.max / 2 : size + text.utf8.count, interpreter.limits)
    guard let head = lines.first else { return "" }
    let isIndented = { (line: String) in arguments.isTrue(2) || !line.isEmpty }
    let rest = lines.dropFirst().map { isIndented($0) ? indentation + $0 : $0 }
    return (arguments.isTrue(1) ? indentation : "") + ([head] + rest).joined(separator: "\n")
  }

  private static func truncated(
    _ value: RuntimeValue, _ arguments: BoundArguments, _ interpreter: TemplateInterpreter
  ) throws -> RuntimeValue {
    let length = try arguments.integer(0, 255)
    let end = arguments[2].map(PythonText.string) ?? "..."
    let leeway = try arguments.bound(3) ?? 5
    let endCount = PythonText.length(end)
    guard length >= endCount else {
      throw TemplateOperators.fail("expected length >= \(endCount), got \(length)")
    }
    guard leeway >= 0 else {
      throw TemplateOperators.fail("expected leeway >= 0, got \(leeway)")
    }
    // Whatever has a length that is short enough stays as it is.
    guard let count = TemplateOperators.length(value) else {
      throw TemplateOperators.fail("object of type '\(value.typeName)' has no len()")
    }
    guard count > length, count - length > leeway else { return value }
    let text = try operand(value, arguments, interpreter)
    var kept = text.unicodeScalars.prefix(length - endCount)
    if !arguments.isTrue(1), let blank = kept.lastIndex(of: " ") { kept = kept[..<blank] }
    return .string(String(kept) + end)
  }

  /// How many runs of word characters `\w+` finds.
  private static func words(_ text: String) -> Int {
    var count = 0
    var inWord = false
    for scalar in text.unicodeScalars {
      let isWord = isWordScalar(scalar)
      if isWord, !inWord { count += 1 }
      inWord = isWord
    }
    return count
  }

  static func isWordScalar(_ scalar: Unicode.Scalar) -> Bool {
    scalar == "_" || isLetter(scalar) || scalar.properties.numericType != nil
  }

  static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
    UnicodeClasses.letters.contains(scalar)
  }

  private static func attributes(
    _ value: RuntimeValue, _ arguments: BoundArguments, _ limits: TemplateLimits
  ) throws -> String {
    guard case .dictionary(let dictionary) = value else {
      try TemplateOperators.requireDefined(value)
      throw TemplateOperators.fail("'\(value.typeName)' object has no attribute 'items'")
    }
    var parts: [String] = []
    for (key, value) in zip(dictionary.keys, dictionary.values)
    where !value.isNone && !value.isUndefined {
      let name = try TemplateFilters.attributeName(key)
      parts.append(
        "\(try escaped(name, limits))=\"\(try escaped(PythonText.string(value), limits))\"")
    }
    let text = try TemplateOperators.joined(parts, " ", limits)
    let isSpaced = arguments[0] == nil || arguments.isTrue(0)
    return isSpaced && !text.isEmpty ? " " + text : text
  }

  private static func attributeName(_ key: RuntimeValue) throws -> String {
    guard case .string(let name) = key else {
      throw TemplateOperators.fail("expected string or bytes-like object, got '\(key.typeName)'")
    }
    let isBad = name.unicodeScalars.contains {
      isPythonSpace($0) || "/>=".unicodeScalars.contains($0)
    }
    guard !isBad else {
      throw TemplateOperators.fail(
        "Invalid character in attribute name: \(PythonText.representation(key))")
    }
    return name
  }

  // MARK: markup

  /// Without tags and comments, runs of blanks made one, character references resolved.
  private static func withoutTags(_ text: String) throws -> String {
    var plain = text
    for (open, close) in [("<!--", "-->"), ("<", ">")] {
      let (opening, closing) = (PythonSearch(open), PythonSearch(close))
      var result = ""
      var start = 0
      let end = plain.utf8.count
      while let tag = opening.first(in: plain, start..<end),
        let finish = closing.first(in: plain, (tag + open.utf8.count)..<end)
      {
        result += PythonText.slice(plain, start..<tag)
        start = finish + close.utf8.count
      }
      plain = result + PythonText.slice(plain, start..<end)
    }
    let words = plain.unicodeScalars.split(whereSeparator: isPythonSpace).map { String($0) }
    return try withoutReferences(words.joined(separator: " "))
  }

  private static let references = [
    "amp": "&", "lt": "<", "gt": ">", "quot": "\"", "apos": "'", "nbsp": "\u{A0}",
    "copy": "\u{A9}", "reg": "\u{AE}", "hellip": "\u{2026}", "ndash": "\u{2013}",
    "mdash": "\u{2014}", "lsquo": "\u{2018}", "rsquo": "\u{2019}", "ldquo": "\u{201C}",
    "rdquo": "\u{201D}", "euro": "\u{20AC}",
  ]

  /// Character references as their characters. Throws: `TemplateError` for names that are not in
  /// the table above.
  private static func withoutReferences(_ text: String) throws -> String {
    var result = ""
    var rest = text.unicodeScalars[...]
    while let start = rest.firstIndex(of: "&") {
      result.unicodeScalars.append(contentsOf: rest[..<start])
      rest = rest[start...].dropFirst()
      let name = rest.prefix(32).prefix {
        $0 == "#" || $0.isASCII && ($0.properties.isAlphabetic || $0.isASCIIDigit)
      }
      guard rest[name.endIndex...].first == ";", !name.isEmpty else {
        result += "&"
        continue
      }
      guard let character = character(String(name)) else {
        throw TemplateOperators.fail("striptags: the reference &\(String(name)); is not supported")
      }
      result += character
      rest = rest[name.endIndex...].dropFirst()
    }
    result.unicodeScalars.append(contentsOf: rest)
    return result
  }

  private static func character(_ name: String) -> String? {
    guard name.hasPrefix("#") else { return references[name] }
    let isHexadecimal = name.hasPrefix("#x") || name.hasPrefix("#X")
    let digits = name.dropFirst(isHexadecimal ? 2 : 1)
    return UInt32(digits, radix: isHexadecimal ? 16 : 10).flatMap(Unicode.Scalar.init)
      .map { String($0) }
  }

  // MARK: addresses

  private static func urlEncoded(_ value: RuntimeValue) throws -> String {
    let pairs: [RuntimeValue]
    switch value {
    case .dictionary(let dictionary): pairs = dictionary.pairs
    case .list, .tuple, .group, .view, .generator, .range:
      pairs = try TemplateOperators.elements(value)
    default: return quoted(PythonText.string(value), isQuery: false)
    }
    return try pairs.map { pair in
      let parts = try TemplateOperators.elements(pair)
      guard parts.count == 2 else { throw TemplateOperators.fail("urlencode needs pairs") }
      return parts.map { quoted(PythonText.string($0), isQuery: true) }.joined(separator: "=")
    }.joined(separator: "&")
  }

  private static func quoted(_ text: String, isQuery: Bool) -> String {
    var result = ""
    for byte in text.utf8 {
      let scalar = Unicode.Scalar(byte)
      let isPlain =
        scalar.isASCII
        && (scalar.properties.isAlphabetic || scalar.isASCIIDigit
          || "_.-~".unicodeScalars.contains(scalar) || (scalar == "/" && !isQuery))
      if isPlain {
        result.unicodeScalars.append(scalar)
      } else if isQuery, byte == 0x20 {
        result += "+"
      } else {
        let digits = String(byte, radix: 16, uppercase: true)
        result += "%" + (digits.count == 1 ? "0" : "") + digits
      }
    }
    return result
  }
}
