extension TemplateFilters {
  /// The filters that compare elements.
  static let ordered: [String: TemplateFilter] = [
    "dictsort": TemplateFilter(
      .named("case_sensitive?", "by?", "reverse?")
    ) { interpreter, value, arguments in
      guard case .dictionary(let dictionary) = value else {
        try TemplateOperators.requireDefined(value)
        throw TemplateOperators.fail("'\(value.typeName)' object has no attribute 'items'")
      }
      let by = arguments[1] == nil ? "key" : try arguments.text(1)
      guard by == "key" || by == "value" else {
        throw TemplateOperators.fail("You can only sort by either \"key\" or \"value\"")
      }
      let isFolding = !arguments.isTrue(0)
      return .list(
        try interpreter.sorted(dictionary.pairs, reverse: arguments.isTrue(2)) { pair in
          folded(pair.sequence?[by == "key" ? 0 : 1] ?? .none, isFolding)
        })
    },
    "sort": TemplateFilter(
      .named("reverse?", "case_sensitive?", "attribute?")
    ) { interpreter, value, arguments in
      let paths: [AttributePath]
      if case .string(let several)? = arguments[2] {
        let names = several.unicodeScalars.split(separator: ",", omittingEmptySubsequences: false)
        paths = try names.map { try AttributePath(.string(String($0))) }
      } else {
        paths = [try AttributePath(arguments.given(2))]
      }
      let isFolding = !arguments.isTrue(1)
      return .list(
        try interpreter.sorted(
          try interpreter.elements(value), reverse: arguments.isTrue(0)
        ) { element in
          .list(try paths.map { folded(try $0.value(of: element, interpreter), isFolding) })
        })
    },
    "unique": TemplateFilter(
      .named("case_sensitive?", "attribute?")
    ) { interpreter, value, arguments in
      let path = try AttributePath(arguments.given(1))
      var seen = RuntimeDictionary()
      return .generator(
        try interpreter.elements(value).filter { element in
          let key = folded(try path.value(of: element, interpreter), !arguments.isTrue(0))
          try TemplateOperators.requireHashable(key)
          defer { seen.set(key, .none) }
          return seen.value(key) == nil
        })
    },
    "min": TemplateFilter(
      .named("case_sensitive?", "attribute?")
    ) { interpreter, value, arguments in
      try extreme(value, arguments, interpreter) { try TemplateOperators.less($0, $1) }
    },
    "max": TemplateFilter(
      .named("case_sensitive?", "attribute?")
    ) { interpreter, value, arguments in
      try extreme(value, arguments, interpreter) { try TemplateOperators.less($1, $0, ">") }
    },
    "groupby": TemplateFilter(
      .named("attribute", "default?", "case_sensitive?")
    ) { interpreter, value, arguments in
      .list(try groups(try interpreter.elements(value), arguments, interpreter))
    },
  ]

  /// Sorting ignores case unless it is told not to.
  private static func folded(_ value: RuntimeValue, _ isFolding: Bool) -> RuntimeValue {
    guard isFolding, case .string(let text) = value else { return value }
    return .string(PythonText.lowercased(text))
  }

  private static func extreme(
    _ value: RuntimeValue, _ arguments: BoundArguments, _ interpreter: TemplateInterpreter,
    _ isBetter: (RuntimeValue, RuntimeValue) throws -> Bool
  ) throws -> RuntimeValue {
    let path = try AttributePath(arguments.given(1))
    var best: (key: RuntimeValue, element: RuntimeValue)?
    for element in try interpreter.elements(value) {
      let key = folded(try path.value(of: element, interpreter), !arguments.isTrue(0))
      if let current = best, try !isBetter(key, current.key) { continue }
      best = (key, element)
    }
    return best?.element ?? .undefined("No aggregated item, sequence was empty.")
  }

  private static func groups(
    _ elements: [RuntimeValue], _ arguments: BoundArguments, _ interpreter: TemplateInterpreter
  ) throws -> [RuntimeValue] {
    let path = try AttributePath(arguments.given(0))
    let fallback = arguments.given(1)
    let isFolding = !arguments.isTrue(2)
    func key(_ element: RuntimeValue) throws -> RuntimeValue {
      try path.value(of: element, interpreter, fallback: fallback)
    }
    let sorted = try interpreter.sorted(elements, reverse: false) {
      folded(try key($0), isFolding)
    }
    var result: [(folded: RuntimeValue, elements: [RuntimeValue])] = []
    for element in sorted {
      let same = folded(try key(element), isFolding)
      if let last = result.last, TemplateOperators.equal(last.folded, same) {
        result[result.count - 1].elements.append(element)
      } else {
        result.append((same, [element]))
      }
    }
    // The key is that of the first element, as it is written there.
    return try result.map { .group([try key($0.elements[0]), .list($0.elements)]) }
  }
}

extension TemplateInterpreter {
  /// A stable sort by keys. Throws: `TemplateError` for keys without an order.
  fileprivate func sorted(
    _ elements: [RuntimeValue], reverse: Bool, _ key: (RuntimeValue) throws -> RuntimeValue
  ) throws -> [RuntimeValue] {
    let keyed = try elements.enumerated().map {
      (key: try key($0.element), order: $0.offset, element: $0.element)
    }
    try spend(elements.count)
    // Comparing throws for values without an order; asking once for each pair of neighbours does
    // not find all of those, so the error is kept until the sort is done.
    var failure: (any Error)?
    func precedes(_ a: RuntimeValue, _ b: RuntimeValue) -> Bool {
      do { return try TemplateOperators.less(a, b) } catch { failure = failure ?? error }
      return false
    }
    let result = keyed.sorted { a, b in
      let (first, second) = reverse ? (b, a) : (a, b)
      if precedes(first.key, second.key) { return true }
      return !precedes(second.key, first.key) && a.order < b.order
    }
    if let failure { throw failure }
    return result.map(\.element)
  }
}
