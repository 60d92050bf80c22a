/// The methods of Python's strings, lists, tuples and dictionaries.
enum TemplateMethods {
  private typealias StringMethod =
    @Sendable (String, RuntimeArguments, TemplateLimits) throws -> RuntimeValue

  /// What the immutable sandbox keeps from templates.
  private static let mutating: Set<String> = [
    "append", "clear", "extend", "insert", "pop", "popitem", "remove", "reverse", "setdefault",
    "sort", "update",
  ]

  /// The method `name` of a value; nil when it has none.
  static func method(_ value: RuntimeValue, _ name: String) -> RuntimeValue? {
    switch value {
    case .string(let text):
      guard let method = strings[name] else { return nil }
      return .function(
        RuntimeFunction(name) { interpreter, arguments in
          try interpreter.spend(text.utf8.count / 64)
          return try method(text, arguments, interpreter.limits)
        })
    case .list(let elements), .tuple(let elements):
      let isOwn = mutating.contains(name) && !["popitem", "setdefault", "update"].contains(name)
      if case .list = value, isOwn || name == "copy" {
        return name == "copy" ? constant(name, value) : unsafe(name, "list")
      }
      return sequenceMethod(elements, name)
    case .dictionary(let dictionary):
      if mutating.contains(name),
        !["append", "insert", "extend", "remove", "reverse", "sort"]
          .contains(name)
      {
        return unsafe(name, "dict")
      }
      return dictionaryMethod(dictionary, name)
    default: return nil
    }
  }

  private static func unsafe(_ name: String, _ type: String) -> RuntimeValue {
    .undefined("access to attribute '\(name)' of '\(type)' object is unsafe.")
  }

  private static func constant(_ name: String, _ value: RuntimeValue) -> RuntimeValue {
    .function(RuntimeFunction(name) { _, _ in value })
  }

  private static func dictionaryMethod(
    _ dictionary: RuntimeDictionary, _ name: String
  ) -> RuntimeValue? {
    switch name {
    case "items": constant(name, .iterator(dictionary.pairs, hasLength: true))
    case "keys": constant(name, .iterator(dictionary.keys, hasLength: true))
    case "values": constant(name, .iterator(dictionary.values, hasLength: true))
    case "copy": constant(name, .dictionary(dictionary))
    case "get":
      .function(
        RuntimeFunction(name) { _, arguments in
          guard let key = arguments.positional.first else {
            throw TemplateOperators.fail("get expected at least 1 argument, got 0")
          }
          let fallback = arguments.positional.count > 1 ? arguments.positional[1] : .none
          return dictionary.value(key) ?? fallback
        })
    default: nil
    }
  }

  private static func sequenceMethod(_ elements: [RuntimeValue], _ name: String) -> RuntimeValue? {
    guard name == "index" || name == "count" else { return nil }
    return .function(
      RuntimeFunction(name) { _, arguments in
        guard let wanted = arguments.positional.first else {
          throw TemplateOperators.fail("\(name) expected at least 1 argument, got 0")
        }
        let found = elements.indices.filter { TemplateOperators.equal(elements[$0], wanted) }
        if name == "count" { return .int(found.count) }
        guard let first = found.first else {
          throw TemplateOperators.fail("\(PythonText.representation(wanted)) is not in list")
        }
        return .int(first)
      })
  }

  // MARK: strings

  private static let strings: [String: StringMethod] = [
    "strip": { text, arguments, _ in
      .string(PythonText.stripped(text, try characters(arguments)))
    },
    "lstrip": { text, arguments, _ in
      .string(PythonText.stripped(text, try characters(arguments), right: false))
    },
    "rstrip": { text, arguments, _ in
      .string(PythonText.stripped(text, try characters(arguments), left: false))
    },
    "upper": { text, _, _ in .string(PythonText.uppercased(text)) },
    "lower": { text, _, _ in .string(PythonText.lowercased(text)) },
    "casefold": { text, _, _ in .string(PythonText.lowercased(text)) },
    "title": { text, _, _ in .string(PythonText.titled(text)) },
    "capitalize": { text, _, _ in .string(PythonText.capitalized(text)) },
    "swapcase": { text, _, _ in
      .string(
        text.unicodeScalars.map {
          $0.properties.isUppercase
            ? $0.properties.lowercaseMapping
            : $0.properties.isLowercase ? $0.properties.uppercaseMapping : String($0)
        }.joined())
    },
    "startswith": { text, arguments, _ in
      try affix(text, arguments, "startswith") { $0.starts(with: $1) }
    },
    "endswith": { text, arguments, _ in
      try affix(text, arguments, "endswith") { $0.reversed().starts(with: $1.reversed()) }
    },
    "removeprefix": { text, arguments, _ in
      let prefix = try required(arguments, 0, "removeprefix").unicodeScalars
      let scalars = text.unicodeScalars
      return .string(
        scalars.starts(with: prefix)
          ? PythonText.string(scalars.dropFirst(prefix.count)) : text)
    },
    "removesuffix": { text, arguments, _ in
      let suffix = try required(arguments, 0, "removesuffix").unicodeScalars
      let scalars = text.unicodeScalars
      return .string(
        scalars.reversed().starts(with: suffix.reversed())
          ? PythonText.string(scalars.dropLast(suffix.count)) : text)
    },
    "split": { text, arguments, limits in
      .list(try PythonStrings.split(text, arguments, limits).map { .string($0) })
    },
    "rsplit": { text, arguments, limits in
      .list(try PythonStrings.split(text, arguments, limits, fromRight: true).map { .string($0) })
    },
    "splitlines": { text, arguments, _ in
      let keeps = arguments.value(0, "keepends")?.isTrue ?? false
      return .list(PythonStrings.lines(text, keepsEnds: keeps).map { .string($0) })
    },
    "partition": { text, arguments, _ in try PythonStrings.partition(text, arguments, last: false)
    },
    "rpartition": { text, arguments, _ in try PythonStrings.partition(text, arguments, last: true)
    },
    "replace": { text, arguments, limits in
      let count = arguments.value(2, "count")?.integer ?? -1
      return .string(
        try PythonStrings.replaced(
          text, try required(arguments, 0, "replace"), try required(arguments, 1, "replace"),
          count: count, limits))
    },
    "join": { text, arguments, limits in
      guard let list = arguments.positional.first else {
        throw TemplateOperators.fail("str.join() takes exactly one argument (0 given)")
      }
      let parts = try TemplateOperators.elements(list).enumerated().map { index, element in
        guard case .string(let part) = element else {
          throw TemplateOperators.fail(
            "sequence item \(index): expected str instance, \(element.typeName) found")
        }
        return part
      }
      let size = parts.reduce(0) { $0 + $1.utf8.count } + parts.count * text.utf8.count
      try TemplateOperators.checkSize(size, limits)
      return .string(parts.joined(separator: text))
    },
    "find": { text, arguments, _ in .int(try PythonStrings.find(text, arguments, "find") ?? -1) },
    "rfind": { text, arguments, _ in
      .int(try PythonStrings.find(text, arguments, "rfind", last: true) ?? -1)
    },
    "index": { text, arguments, _ in
      guard let found = try PythonStrings.find(text, arguments, "index") else {
        throw TemplateOperators.fail("substring not found")
      }
      return .int(found)
    },
    "rindex": { text, arguments, _ in
      guard let found = try PythonStrings.find(text, arguments, "rindex", last: true) else {
        throw TemplateOperators.fail("substring not found")
      }
      return .int(found)
    },
    "count": { text, arguments, _ in
      let needle = Array(try required(arguments, 0, "count").unicodeScalars)
      return .int(PythonText.occurrences(needle, in: Array(text.unicodeScalars)).count)
    },
    "center": { text, arguments, limits in try pad(text, arguments, limits, "center") },
    "ljust": { text, arguments, limits in try pad(text, arguments, limits, "ljust") },
    "rjust": { text, arguments, limits in try pad(text, arguments, limits, "rjust") },
    "zfill": { text, arguments, limits in
      let width = arguments.positional.first?.integer ?? 0
      try TemplateOperators.checkSize(width, limits)
      let isSigned = text.hasPrefix("-") || text.hasPrefix("+")
      let zeros = String(repeating: "0", count: max(0, width - text.unicodeScalars.count))
      return .string(
        isSigned ? String(text.prefix(1)) + zeros + text.dropFirst() : zeros + text)
    },
    "format": { text, arguments, limits in
      .string(try PythonStrings.formatted(text, arguments, limits))
    },
    "isdigit": { text, _, _ in
      .bool(
        all(text) { $0.properties.numericType == .decimal || $0.properties.numericType == .digit })
    },
    "isdecimal": { text, _, _ in .bool(all(text) { $0.properties.numericType == .decimal }) },
    "isnumeric": { text, _, _ in .bool(all(text) { $0.properties.numericType != nil }) },
    "isalpha": { text, _, _ in .bool(all(text) { UnicodeClasses.letters.contains($0) }) },
    "isalnum": { text, _, _ in
      .bool(
        all(text) { UnicodeClasses.letters.contains($0) || $0.properties.numericType != nil })
    },
    "isspace": { text, _, _ in .bool(all(text, isPythonSpace)) },
    "isascii": { text, _, _ in .bool(text.utf8.allSatisfy { $0 < 0x80 }) },
    "isupper": { text, _, _ in .bool(isCased(text) { $0.properties.isUppercase }) },
    "islower": { text, _, _ in .bool(isCased(text) { $0.properties.isLowercase }) },
  ]

  private static func characters(_ arguments: RuntimeArguments) throws -> String? {
    guard let value = arguments.given(0, "chars") else { return nil }
    guard case .string(let characters) = value else {
      throw TemplateOperators.fail("strip arg must be None or str")
    }
    return characters
  }

  /// A string argument. Throws: `TemplateError` when it is missing or no string.
  static func required(
    _ arguments: RuntimeArguments, _ index: Int, _ method: String
  ) throws -> String {
    guard index < arguments.positional.count else {
      throw TemplateOperators.fail("\(method) expected at least \(index + 1) argument(s)")
    }
    guard case .string(let text) = arguments.positional[index] else {
      try TemplateOperators.requireDefined(arguments.positional[index])
      throw TemplateOperators.fail(
        "\(method)() argument \(index + 1) must be str, not "
          + arguments.positional[index].typeName)
    }
    return text
  }

  private static func affix(
    _ text: String, _ arguments: RuntimeArguments, _ name: String,
    _ matches: ([Unicode.Scalar], [Unicode.Scalar]) -> Bool
  ) throws -> RuntimeValue {
    let scalars = Array(text.unicodeScalars)
    if case .tuple(let options)? = arguments.positional.first {
      return .bool(
        options.contains { option in
          option.text.map { matches(scalars, Array($0.unicodeScalars)) } ?? false
        })
    }
    return .bool(matches(scalars, Array(try required(arguments, 0, name).unicodeScalars)))
  }

  private static func pad(
    _ text: String, _ arguments: RuntimeArguments, _ limits: TemplateLimits, _ side: String
  ) throws -> RuntimeValue {
    guard let width = arguments.positional.first?.integer else {
      throw TemplateOperators.fail("\(side) needs a width")
    }
    let fill = arguments.positional.count > 1 ? try required(arguments, 1, side) : " "
    return .string(try PythonStrings.padded(text, width, fill, side, limits))
  }

  private static func all(_ text: String, _ holds: (Unicode.Scalar) -> Bool) -> Bool {
    !text.isEmpty && text.unicodeScalars.allSatisfy(holds)
  }

  private static func isCased(_ text: String, _ holds: (Unicode.Scalar) -> Bool) -> Bool {
    let cased = text.unicodeScalars.filter {
      $0.properties.isUppercase || $0.properties.isLowercase
    }
    return !cased.isEmpty && cased.allSatisfy(holds)
  }
}
