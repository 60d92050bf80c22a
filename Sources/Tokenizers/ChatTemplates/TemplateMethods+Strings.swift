import ModelFormats

extension TemplateMethods {
  /// The methods of Python's `str`.
  static let strings: [String: Method<String>] = [
    "strip": stripping(left: true, right: true),
    "lstrip": stripping(left: true, right: false),
    "rstrip": stripping(left: false, right: true),
    "upper": mapping(PythonText.uppercased), "lower": mapping(PythonText.lowercased),
    "casefold": mapping(PythonText.casefolded), "title": mapping(PythonText.titled),
    "capitalize": mapping(PythonText.capitalized), "swapcase": mapping(PythonText.caseSwapped),
    "startswith": Method(.positional("prefix", "start?", "end?")) { _, text, arguments in
      .bool(try PythonStrings.hasAffix(text, arguments, atEnd: false))
    },
    "endswith": Method(.positional("suffix", "start?", "end?")) { _, text, arguments in
      .bool(try PythonStrings.hasAffix(text, arguments, atEnd: true))
    },
    "removeprefix": Method(.positional("prefix")) { _, text, arguments in
      let prefix = try arguments.text(0)
      let isThere = text.utf8.starts(with: prefix.utf8)
      return .string(isThere ? text.dropUTF8(prefix.utf8.count) : text)
    },
    "removesuffix": Method(.positional("suffix")) { _, text, arguments in
      let suffix = try arguments.text(0)
      let isThere = text.utf8.suffix(suffix.utf8.count).elementsEqual(suffix.utf8)
      return .string(
        isThere ? PythonText.slice(text, 0..<text.utf8.count - suffix.utf8.count) : text)
    },
    "split": Method(.named("sep?", "maxsplit?")) { interpreter, text, arguments in
      list(try PythonStrings.split(text, arguments, interpreter.limits))
    },
    "rsplit": Method(.named("sep?", "maxsplit?")) { interpreter, text, arguments in
      list(try PythonStrings.split(text, arguments, interpreter.limits, fromRight: true))
    },
    "splitlines": Method(.named("keepends?")) { _, text, arguments in
      list(PythonStrings.lines(text, keepsEnds: arguments.isTrue(0)))
    },
    "partition": Method(.positional("sep")) { _, text, arguments in
      try PythonStrings.partition(text, arguments, last: false)
    },
    "rpartition": Method(.positional("sep")) { _, text, arguments in
      try PythonStrings.partition(text, arguments, last: true)
    },
    "replace": Method(.positional("old", "new", "count?")) { interpreter, text, arguments in
      .string(
        try PythonStrings.replaced(
          text, try arguments.text(0), try arguments.text(1),
          count: try arguments.integer(2, -1), interpreter.limits))
    },
    "translate": Method(.positional("table")) { interpreter, text, arguments in
      guard case .dictionary(let table)? = arguments[0] else {
        throw arguments.wrongType(0, "dict")
      }
      return .string(try PythonStrings.translated(text, table, interpreter.limits))
    },
    "join": Method(.positional("iterable")) { interpreter, text, arguments in
      let parts = try TemplateOperators.elements(arguments[0] ?? .none).enumerated().map {
        index, element in
        guard case .string(let part) = element else {
          throw TemplateOperators.fail(
            "sequence item \(index): expected str instance, \(element.typeName) found")
        }
        return part
      }
      return .string(try TemplateOperators.joined(parts, text, interpreter.limits))
    },
    "find": finding { $0 }, "index": finding(throwing),
    "rfind": finding(last: true) { $0 }, "rindex": finding(last: true, throwing),
    "count": Method(.positional("sub", "start?", "end?")) { _, text, arguments in
      .int(try PythonStrings.count(text, arguments))
    },
    "center": padding("center"), "ljust": padding("ljust"), "rjust": padding("rjust"),
    "zfill": Method(.positional("width")) { interpreter, text, arguments in
      .string(
        try PythonStrings.zeroFilled(text, try arguments.integer(0, 0), interpreter.limits))
    },
    "expandtabs": Method(.named("tabsize?")) { interpreter, text, arguments in
      .string(
        try PythonStrings.tabsExpanded(text, try arguments.integer(0, 8), interpreter.limits))
    },
    "format": Method(anyArguments: { interpreter, text, arguments in
      var fields = PythonFormatFields(interpreter, positional: arguments.positional) { name in
        guard let value = arguments.named.first(where: { sameBytes($0.name, name) })?.value else {
          throw TemplateOperators.fail("'\(excerpt(name))'")
        }
        return value
      }
      return .string(try fields.format(text))
    }),
    "format_map": Method(.positional("mapping")) { interpreter, text, arguments in
      guard case .dictionary(let mapping)? = arguments[0] else {
        throw arguments.wrongType(0, "dict")
      }
      var fields = PythonFormatFields(interpreter, positional: []) { name in
        guard let value = mapping.value(named: name) else {
          throw TemplateOperators.fail("'\(excerpt(name))'")
        }
        return value
      }
      return .string(try fields.format(text))
    },
    "isdigit": testing { $0.numericType == .decimal || $0.numericType == .digit },
    "isdecimal": testing { $0.numericType == .decimal },
    "isnumeric": testing { $0.numericType != nil },
    "isalpha": testing(isLetter), "isalnum": testing { isLetter($0) || $0.numericType != nil },
    "isspace": Method(.nothing) { _, text, _ in
      .bool(!text.isEmpty && text.unicodeScalars.allSatisfy(isPythonSpace))
    },
    "isascii": Method(.nothing) { _, text, _ in .bool(text.utf8.allSatisfy { $0 < 0x80 }) },
    "isupper": Method(.nothing) { _, text, _ in
      .bool(hasCase(text, \.isUppercase, not: \.isLowercase))
    },
    "islower": Method(.nothing) { _, text, _ in
      .bool(hasCase(text, \.isLowercase, not: \.isUppercase))
    },
    "istitle": Method(.nothing) { _, text, _ in .bool(isTitle(text)) },
    "isidentifier": Method(.nothing) { _, text, _ in
      guard let first = text.unicodeScalars.first else { return .bool(false) }
      return .bool(
        (first == "_" || first.properties.isXIDStart)
          && text.unicodeScalars.dropFirst().allSatisfy(\.properties.isXIDContinue))
    },
    "isprintable": Method(.nothing) { _, text, _ in
      .bool(text.unicodeScalars.allSatisfy(PythonText.isPrintable))
    },
  ]

  private static func list(_ texts: [String]) -> RuntimeValue {
    .list(texts.map { .string($0) })
  }

  private static func mapping(_ transform: @escaping @Sendable (String) -> String) -> Method<String>
  {
    Method(.nothing) { _, text, _ in .string(transform(text)) }
  }

  private static func stripping(left: Bool, right: Bool) -> Method<String> {
    Method(.positional("chars?")) { _, text, arguments in
      let characters = arguments.given(0) == nil ? nil : try arguments.text(0)
      return .string(PythonText.stripped(text, characters, left: left, right: right))
    }
  }

  private static func finding(
    last: Bool = false, _ result: @escaping @Sendable (Int) throws -> Int
  ) -> Method<String> {
    Method(.positional("sub", "start?", "end?")) { _, text, arguments in
      .int(try result(try PythonStrings.find(text, arguments, last: last) ?? -1))
    }
  }

  @Sendable private static func throwing(_ position: Int) throws -> Int {
    guard position >= 0 else { throw TemplateOperators.fail("substring not found") }
    return position
  }

  private static func padding(_ side: String) -> Method<String> {
    Method(.positional("width", "fillchar?")) { interpreter, text, arguments in
      let fill = arguments[1] == nil ? " " : try arguments.text(1)
      return .string(
        try PythonStrings.padded(
          text, try arguments.integer(0, 0), fill, side, interpreter.limits))
    }
  }

  // MARK: classes of characters

  private static func testing(
    _ holds: @escaping @Sendable (Unicode.Scalar.Properties) -> Bool
  ) -> Method<String> {
    Method(.nothing) { _, text, _ in
      .bool(!text.isEmpty && text.unicodeScalars.allSatisfy { holds($0.properties) })
    }
  }

  @Sendable private static func isLetter(_ properties: Unicode.Scalar.Properties) -> Bool {
    switch properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
    default: false
    }
  }

  /// Whether some character has the case, and none another one.
  static func hasCase(
    _ text: String, _ wanted: KeyPath<Unicode.Scalar.Properties, Bool>,
    not other: KeyPath<Unicode.Scalar.Properties, Bool>
  ) -> Bool {
    var isFound = false
    for scalar in text.unicodeScalars {
      let properties = scalar.properties
      if properties[keyPath: other] || properties.generalCategory == .titlecaseLetter {
        return false
      }
      isFound = isFound || properties[keyPath: wanted]
    }
    return isFound
  }

  /// Whether capitals stand at the beginnings of words alone, and there everywhere.
  private static func isTitle(_ text: String) -> Bool {
    var isFound = false
    var afterCased = false
    for scalar in text.unicodeScalars {
      let properties = scalar.properties
      let isCapital =
        properties.isUppercase || properties.generalCategory == .titlecaseLetter
      if isCapital ? afterCased : properties.isLowercase && !afterCased { return false }
      afterCased = isCapital || properties.isLowercase
      isFound = isFound || afterCased
    }
    return isFound
  }
}
