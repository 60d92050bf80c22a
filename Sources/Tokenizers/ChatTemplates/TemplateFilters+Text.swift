extension TemplateInterpreter {
  /// The filters on texts; nil for another filter.
  func textFilter(
    _ name: String, _ value: RuntimeValue, _ arguments: RuntimeArguments
  ) throws -> RuntimeValue? {
    let text = PythonText.string(value)
    if name == "truncate", value.text == nil, TemplateOperators.length(value) != nil {
      return value
    }
    if ["indent", "truncate", "wordwrap"].contains(name), value.text == nil {
      try TemplateOperators.requireDefined(value)
      throw TemplateOperators.fail("\(name) needs a string, not '\(value.typeName)'")
    }
    switch name {
    case "string", "safe": return .string(text)
    case "upper": return .string(PythonText.uppercased(text))
    case "lower": return .string(PythonText.lowercased(text))
    case "capitalize": return .string(PythonText.capitalized(text))
    case "title": return .string(Self.titleFilter(text))
    case "trim": return .string(PythonText.stripped(text, arguments.given(0, "chars")?.text))
    case "escape", "e", "forceescape": return .string(try Self.escaped(text, limits))
    case "replace":
      let old = PythonText.string(arguments.value(0, "old") ?? .string(""))
      let new = PythonText.string(arguments.value(1, "new") ?? .string(""))
      let count = arguments.given(2, "count")?.integer ?? -1
      return .string(try PythonStrings.replaced(text, old, new, count: count, limits))
    case "center":
      let width = arguments.value(0, "width")?.integer ?? 80
      return .string(try PythonStrings.padded(text, width, " ", "center", limits))
    case "format":
      if !arguments.named.isEmpty {
        var members = RuntimeDictionary()
        for (name, value) in arguments.named { members.set(.string(name), value) }
        return .string(try PythonFormat.format(text, .dictionary(members), limits))
      }
      return .string(try PythonFormat.format(text, .tuple(arguments.positional), limits))
    case "indent": return .string(try indented(text, arguments))
    case "truncate": return .string(try truncated(text, arguments))
    case "wordcount": return .int(Self.words(text).count)
    case "striptags": return .string(Self.withoutTags(text))
    case "urlencode": return .string(try urlEncoded(value))
    case "wordwrap": return .string(wrapped(text, arguments))
    default: return nil
    }
  }

  /// Jinja2's `title`: words start after blanks, hyphens and opening brackets.
  private static func titleFilter(_ text: String) -> String {
    var result = ""
    var startsWord = true
    for scalar in text.unicodeScalars {
      let isSeparator = isPythonSpace(scalar) || "-({[<".unicodeScalars.contains(scalar)
      if isSeparator {
        result.unicodeScalars.append(scalar)
      } else {
        result +=
          startsWord ? scalar.properties.uppercaseMapping : scalar.properties.lowercaseMapping
      }
      startsWord = isSeparator
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

  private func indented(_ text: String, _ arguments: RuntimeArguments) throws -> String {
    let width = arguments.value(0, "width") ?? .int(4)
    let first = arguments.value(1, "first")?.isTrue ?? false
    let blank = arguments.value(2, "blank")?.isTrue ?? false
    try TemplateOperators.checkSize(width.integer ?? 0, limits)
    let indentation = width.text ?? String(repeating: " ", count: max(0, width.integer ?? 4))
    // A line feed added by the filter lets a text that ends with one keep it.
    let lines = PythonStrings.lines(text + "\n", keepsEnds: false)
    let (size, overflow) = lines.count.multipliedReportingOverflow(by: indentation.utf8.count)
    try TemplateOperators.checkSize(overflow ? Int.max / 2 : size + text.utf8.count, limits)
    guard let head = lines.first else { return "" }
    let rest = lines.dropFirst().map { $0.isEmpty && !blank ? $0 : indentation + $0 }
    return (first ? indentation : "") + ([head] + rest).joined(separator: "\n")
  }

  private func truncated(_ text: String, _ arguments: RuntimeArguments) throws -> String {
    let length = arguments.value(0, "length")?.integer ?? 255
    let cutsWords = arguments.value(1, "killwords")?.isTrue ?? false
    let end = arguments.value(2, "end").map(PythonText.string) ?? "..."
    let leeway = arguments.given(3, "leeway")?.integer ?? 5
    let scalars = Array(text.unicodeScalars)
    let endCount = end.unicodeScalars.count
    guard length >= endCount, leeway >= 0, leeway < 1 << 30 else {
      throw TemplateOperators.fail("expected length >= \(endCount), got \(length)")
    }
    guard scalars.count > length, scalars.count - length > leeway else { return text }
    var kept = scalars[..<(length - endCount)]
    if !cutsWords, let blank = kept.lastIndex(of: " ") { kept = kept[..<blank] }
    return PythonText.string(kept) + end
  }

  /// Runs of word characters, as `\w+` finds them.
  private static func words(_ text: String) -> [[Unicode.Scalar]] {
    text.unicodeScalars.split { !isWordScalar($0) }.map(Array.init)
  }

  private static func isWordScalar(_ scalar: Unicode.Scalar) -> Bool {
    scalar == "_" || UnicodeClasses.letters.contains(scalar)
      || UnicodeClasses.numbers.contains(scalar)
  }

  /// Without tags and comments, runs of blanks made one.
  private static func withoutTags(_ text: String) -> String {
    var rest = text
    while let start = rest.range(of: "<!--"), let end = rest[start.upperBound...].range(of: "-->") {
      rest.removeSubrange(start.lowerBound..<end.upperBound)
    }
    while let start = rest.firstIndex(of: "<"), let end = rest[start...].firstIndex(of: ">") {
      rest.removeSubrange(start...end)
    }
    return rest.unicodeScalars.split(whereSeparator: isPythonSpace)
      .map { PythonText.string($0) }.joined(separator: " ")
  }

  private func urlEncoded(_ value: RuntimeValue) throws -> String {
    if case .dictionary(let dictionary) = value {
      return zip(dictionary.keys, dictionary.values).map {
        Self.quoted(PythonText.string($0), plus: true) + "="
          + Self.quoted(PythonText.string($1), plus: true)
      }.joined(separator: "&")
    }
    return Self.quoted(PythonText.string(value), plus: false)
  }

  private static func quoted(_ text: String, plus: Bool) -> String {
    var result = ""
    for byte in text.utf8 {
      let scalar = Unicode.Scalar(byte)
      let isPlain =
        scalar.isASCII
        && (scalar.properties.isAlphabetic || scalar.isASCIIDigit
          || "_.-~".unicodeScalars.contains(scalar) || (scalar == "/" && !plus))
      if isPlain {
        result.unicodeScalars.append(scalar)
      } else if plus, byte == 0x20 {
        result += "+"
      } else {
        let digits = String(byte, radix: 16, uppercase: true)
        result += "%" + (digits.count == 1 ? "0" : "") + digits
      }
    }
    return result
  }

  /// Lines of at most `width` characters, broken at blanks; long words are cut.
  private func wrapped(_ text: String, _ arguments: RuntimeArguments) -> String {
    let width = max(1, arguments.value(0, "width")?.integer ?? 79)
    let cutsWords = arguments.value(1, "break_long_words")?.isTrue ?? true
    let separator = arguments.given(2, "wrapstring")?.text ?? "\n"
    return PythonStrings.lines(text, keepsEnds: false).map { line in
      var lines: [[Unicode.Scalar]] = [[]]
      for word in line.unicodeScalars.split(separator: " ") {
        var rest = Array(word)
        let used = lines[lines.count - 1].count
        if used > 0, used + 1 + rest.count <= width {
          lines[lines.count - 1] += [" "] + rest
          continue
        }
        if used > 0 { lines.append([]) }
        while cutsWords, rest.count > width {
          lines[lines.count - 1] = Array(rest.prefix(width))
          lines.append([])
          rest.removeFirst(width)
        }
        lines[lines.count - 1] = rest
      }
      return lines.map { PythonText.string($0) }.joined(separator: separator)
    }.joined(separator: separator)
  }
}
