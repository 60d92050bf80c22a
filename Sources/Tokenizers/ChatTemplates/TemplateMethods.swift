/// The methods of Python's strings, lists, tuples, dictionaries and numbers.
enum TemplateMethods {
  typealias Method<Receiver> = TemplateFunction<Receiver, RuntimeValue>

  /// What the immutable sandbox keeps from templates.
  private static let mutatingList: Set<String> = [
    "append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort",
  ]
  private static let mutatingDictionary: Set<String> = [
    "clear", "pop", "popitem", "setdefault", "update",
  ]
  /// Methods of Python's that are not written here.
  private static let missing: Set<String> = [
    "as_integer_ratio", "conjugate", "encode", "from_bytes", "fromhex", "fromkeys", "hex",
    "maketrans", "to_bytes",
  ]

  /// Names that are methods of some type, those that always fail included.
  static func isMethod(_ name: String) -> Bool {
    strings[name] != nil || lists[name] != nil || dictionaries[name] != nil || numbers[name] != nil
      || mutatingList.contains(name) || mutatingDictionary.contains(name)
  }

  /// Whether Python has a method of this name that is missing here.
  static func isMissing(_ name: String) -> Bool { missing.contains(name) }

  /// Calls the method `name` of a value; nil when it has none.
  static func call(
    _ value: RuntimeValue, _ name: String, _ arguments: RuntimeArguments,
    _ interpreter: TemplateInterpreter
  ) throws -> RuntimeValue? {
    switch value {
    case .string(let text):
      guard let method = strings[name] else { break }
      try interpreter.spend(text.utf8.count / 64)
      return try method.apply(name, text, arguments, interpreter)
    case .list(let elements), .tuple(let elements), .group(let elements):
      guard let method = lists[name] else { break }
      if name == "copy" {
        guard case .list = value else { break }
      }
      try interpreter.spend(elements.count / 64)
      return try method.apply(name, elements, arguments, interpreter)
    case .range(let range):
      guard name == "index" || name == "count", let method = lists[name] else { break }
      try interpreter.spend(range.count / 16)
      return try method.apply(name, range.elements, arguments, interpreter)
    case .dictionary(let dictionary):
      guard let method = dictionaries[name] else { break }
      return try method.apply(name, dictionary, arguments, interpreter)
    case .int, .bool, .bigInt, .double:
      guard let method = numbers[name] else { break }
      if case .double = value, name == "bit_length" || name == "bit_count" { break }
      return try method.apply(name, value, arguments, interpreter)
    default: break
    }
    guard isMissing(name), has(value, name) else { return nil }
    throw TemplateOperators.fail(
      "the method '\(name)' of '\(value.typeName)' is not supported in chat templates")
  }

  /// Whether Python's type has one of the missing methods.
  private static func has(_ value: RuntimeValue, _ name: String) -> Bool {
    switch value {
    case .string: ["encode", "maketrans"].contains(name)
    case .dictionary: name == "fromkeys"
    case .int, .bigInt, .bool:
      ["as_integer_ratio", "conjugate", "from_bytes", "to_bytes"].contains(name)
    case .double: ["as_integer_ratio", "conjugate", "fromhex", "hex"].contains(name)
    default: false
    }
  }

  /// The method `name` of a value as a value; nil when it has none.
  static func method(_ value: RuntimeValue, _ name: String) -> RuntimeValue? {
    let isFound: Bool
    switch value {
    case .string: isFound = strings[name] != nil
    case .list:
      if mutatingList.contains(name) { return unsafe(name, "list") }
      isFound = lists[name] != nil
    case .tuple, .group, .range: isFound = name == "index" || name == "count"
    case .dictionary:
      if mutatingDictionary.contains(name) { return unsafe(name, "dict") }
      isFound = dictionaries[name] != nil
    case .int, .bool, .bigInt: isFound = numbers[name] != nil
    case .double: isFound = name == "is_integer"
    default: isFound = false
    }
    guard isFound || has(value, name) else { return nil }
    return .function(
      RuntimeFunction(name, of: value) { interpreter, arguments in
        try call(value, name, arguments, interpreter) ?? .none
      })
  }

  private static func unsafe(_ name: String, _ type: String) -> RuntimeValue {
    .undefined("access to attribute '\(name)' of '\(type)' object is unsafe.")
  }

  // MARK: dictionaries, lists and numbers

  private static let dictionaries: [String: Method<RuntimeDictionary>] = [
    "items": Method(.nothing) { _, dictionary, _ in
      .view(RuntimeView(kind: .items, dictionary: dictionary))
    },
    "keys": Method(.nothing) { _, dictionary, _ in
      .view(RuntimeView(kind: .keys, dictionary: dictionary))
    },
    "values": Method(.nothing) { _, dictionary, _ in
      .view(RuntimeView(kind: .values, dictionary: dictionary))
    },
    "copy": Method(.nothing) { _, dictionary, _ in .dictionary(dictionary) },
    "get": Method(.positional("key", "default?")) { _, dictionary, arguments in
      let key = arguments[0] ?? .none
      if let found = dictionary.value(key) { return found }
      try TemplateOperators.requireHashable(key)
      return arguments[1] ?? .none
    },
  ]

  private static let lists: [String: Method<[RuntimeValue]>] = [
    "copy": Method(.nothing) { _, elements, _ in .list(elements) },
    "count": Method(.positional("value")) { _, elements, arguments in
      let wanted = arguments[0] ?? .none
      return .int(elements.reduce(0) { $0 + (TemplateOperators.equal($1, wanted) ? 1 : 0) })
    },
    "index": Method(.positional("value", "start?", "stop?")) { _, elements, arguments in
      let wanted = arguments[0] ?? .none
      func clamped(_ index: Int) -> Int {
        min(max(0, index < 0 ? index + elements.count : index), elements.count)
      }
      let start = clamped(try arguments.integer(1, 0))
      let stop = clamped(try arguments.integer(2, elements.count))
      let found = elements[min(start, stop)..<stop].firstIndex {
        TemplateOperators.equal($0, wanted)
      }
      guard let found else {
        throw TemplateOperators.fail("\(PythonText.representation(wanted)) is not in list")
      }
      return .int(found)
    },
  ]

  private static let numbers: [String: Method<RuntimeValue>] = [
    "bit_length": Method(.nothing) { _, value, _ in .int(value.bigInteger?.bitWidth ?? 0) },
    "bit_count": Method(.nothing) { _, value, _ in
      .int(value.bigInteger?.magnitude.reduce(0) { $0 + $1.nonzeroBitCount } ?? 0)
    },
    "is_integer": Method(.nothing) { _, value, _ in
      .bool(value.number.map { $0.isFinite && $0 == $0.rounded() } ?? false)
    },
  ]
}
