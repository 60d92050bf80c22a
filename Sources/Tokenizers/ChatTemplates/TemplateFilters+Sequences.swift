extension TemplateFilters {
  /// The filters on sequences.
  static let sequences: [String: TemplateFilter] = [
    "list": TemplateFilter(.nothing) { interpreter, value, _ in
      try interpreter.spend(on: value)
      return .list(try TemplateOperators.elements(value))
    },
    "first": TemplateFilter(.nothing) { _, value, _ in
      try first(value) ?? .undefined("No first item, sequence was empty.")
    },
    "last": TemplateFilter(.nothing) { _, value, _ in
      try last(value) ?? .undefined("No last item, sequence was empty.")
    },
    "items": TemplateFilter(.nothing) { _, value, _ in
      if value.isUndefined { return .generator([]) }
      guard case .dictionary(let dictionary) = value else {
        throw TemplateOperators.fail("Can only get item pairs from a mapping.")
      }
      return .generator(dictionary.pairs)
    },
    "reverse": TemplateFilter(.nothing) { interpreter, value, _ in
      try interpreter.spend(on: value)
      if case .string(let text) = value {
        return .string(PythonText.string(text.unicodeScalars.reversed()))
      }
      guard let elements = try? TemplateOperators.elements(value) else {
        throw TemplateOperators.fail("argument must be iterable")
      }
      // What Python cannot iterate backwards becomes a list.
      if case .generator = value { return .list(elements.reversed()) }
      return .generator(elements.reversed())
    },
    "join": TemplateFilter(.named("d?", "attribute?")) { interpreter, value, arguments in
      let path = try AttributePath(arguments.given(1))
      let parts = try interpreter.elements(value).map {
        PythonText.string(try path.value(of: $0, interpreter))
      }
      let separator = PythonText.string(arguments[0] ?? .string(""))
      return .string(try TemplateOperators.joined(parts, separator, interpreter.limits))
    },
    "sum": TemplateFilter(.named("attribute?", "start?")) { interpreter, value, arguments in
      let path = try AttributePath(arguments.given(0))
      let start = arguments[1] ?? .int(0)
      if case .string = start {
        throw TemplateOperators.fail("sum() can't sum strings [use ''.join(seq) instead]")
      }
      return try interpreter.elements(value).reduce(start) { sum, element in
        let addend = try path.value(of: element, interpreter)
        try interpreter.spend(1 + (TemplateOperators.size(sum) ?? 0) / 64)
        return try TemplateOperators.binary("+", sum, addend, interpreter.limits)
      }
    },
    "batch": TemplateFilter(.named("linecount", "fill_with?")) { interpreter, value, arguments in
      .generator(try batches(try interpreter.elements(value), arguments, interpreter))
    },
    "slice": TemplateFilter(.named("slices", "fill_with?")) { interpreter, value, arguments in
      .generator(try slices(try interpreter.elements(value), arguments, interpreter))
    },
  ]
  .merging(ordered) { $1 }

  private static func first(_ value: RuntimeValue) throws -> RuntimeValue? {
    switch value {
    case .string(let text): text.unicodeScalars.first.map { .string(String($0)) }
    case .dictionary(let dictionary): dictionary.keys.first
    case .view(let view): view.dictionary.count == 0 ? nil : element(view, 0)
    case .range(let range): range.count == 0 ? nil : range[0]
    case .generator(let generator): generator.next()
    default: try TemplateOperators.elements(value).first
    }
  }

  private static func last(_ value: RuntimeValue) throws -> RuntimeValue? {
    switch value {
    case .string(let text): text.unicodeScalars.last.map { .string(String($0)) }
    case .dictionary(let dictionary): dictionary.keys.last
    case .view(let view):
      view.dictionary.count == 0 ? nil : element(view, view.dictionary.count - 1)
    case .range(let range): range.count == 0 ? nil : range[range.count - 1]
    case .generator: throw TemplateOperators.fail("'generator' object is not reversible")
    default: try TemplateOperators.elements(value).last
    }
  }

  private static func element(_ view: RuntimeView, _ index: Int) -> RuntimeValue {
    let (key, value) = (view.dictionary.keys[index], view.dictionary.values[index])
    switch view.kind {
    case .keys: return key
    case .values: return value
    case .items: return .tuple([key, value])
    }
  }

  private static func batches(
    _ elements: [RuntimeValue], _ arguments: BoundArguments, _ interpreter: TemplateInterpreter
  ) throws -> [RuntimeValue] {
    let size = try arguments.integer(0, 0)
    var result: [RuntimeValue] = []
    var batch: [RuntimeValue] = []
    for element in elements {
      if batch.count == size {
        result.append(.list(batch))
        batch = []
      }
      batch.append(element)
    }
    guard !batch.isEmpty else { return result }
    if let fill = arguments.given(1), batch.count < size {
      try TemplateOperators.checkCount(size, interpreter.limits)
      batch += Array(repeating: fill, count: size - batch.count)
    }
    return result + [.list(batch)]
  }

  private static func slices(
    _ elements: [RuntimeValue], _ arguments: BoundArguments, _ interpreter: TemplateInterpreter
  ) throws -> [RuntimeValue] {
    let count = try arguments.integer(0, 0)
    guard count != 0 else { throw TemplateOperators.fail("integer division or modulo by zero") }
    guard count > 0 else { return [] }
    try TemplateOperators.checkCount(count, interpreter.limits)
    try interpreter.spend(count / 16)
    let fill = arguments.given(1)
    let (length, longer) = (elements.count / count, elements.count % count)
    var position = 0
    return (0..<count).map { index in
      let size = length + (index < longer ? 1 : 0)
      var slice = Array(elements[position..<position + size])
      position += size
      if let fill, index >= longer { slice.append(fill) }
      return .list(slice)
    }
  }
}

extension TemplateInterpreter {
  /// A filter's operand as elements, which are counted as work.
  func elements(_ value: RuntimeValue) throws -> [RuntimeValue] {
    let elements = try TemplateOperators.elements(value)
    try spend(elements.count / 16)
    return elements
  }
}

/// The attribute that a filter's `attribute` names: a position, or names and positions with dots.
struct AttributePath {
  private let parts: [RuntimeValue]

  /// - Parameter path: nil for the element itself.
  init(_ path: RuntimeValue?) throws {
    switch path {
    case nil: parts = []
    case .string(let text)?:
      // By code points: a name may begin with a mark that combines with the dot.
      let names = text.unicodeScalars.split(separator: ".", omittingEmptySubsequences: false)
      parts = names.map { name in
        let part = String(name)
        let isNumber = name.allSatisfy(\.isASCIIDigit)
        return (isNumber ? Int(part) : nil).map { .int($0) } ?? .string(part)
      }
    case let path?: parts = [path]
    }
  }

  /// - Parameter fallback: for a missing attribute.
  func value(
    of element: RuntimeValue, _ interpreter: TemplateInterpreter, fallback: RuntimeValue? = nil
  ) throws -> RuntimeValue {
    try parts.reduce(element) { value, part in
      let found = try interpreter.item(value, part)
      return found.isUndefined ? fallback ?? found : found
    }
  }
}
