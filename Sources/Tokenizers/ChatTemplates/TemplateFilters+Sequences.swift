extension TemplateInterpreter {
  /// The filters on sequences; nil for another filter.
  func sequenceFilter(
    _ name: String, _ value: RuntimeValue, _ arguments: RuntimeArguments
  ) throws -> RuntimeValue? {
    switch name {
    case "list": return .list(try TemplateOperators.elements(value))
    case "first":
      return try TemplateOperators.elements(value).first
        ?? .undefined("No first item, sequence was empty.")
    case "last":
      return try TemplateOperators.elements(value).last
        ?? .undefined("No last item, sequence was empty.")
    case "items": return try items(value)
    case "reverse":
      if case .string(let text) = value {
        return .string(PythonText.string(text.unicodeScalars.reversed()))
      }
      guard let elements = try? TemplateOperators.elements(value) else {
        throw TemplateOperators.fail("argument must be iterable")
      }
      return .iterator(elements.reversed(), hasLength: false)
    case "join": return .string(try joined(value, arguments))
    case "dictsort": return .list(try sortedItems(value, arguments))
    case "sort":
      let path = arguments.given(2, "attribute")
      let isFolding = !(arguments.value(1, "case_sensitive")?.isTrue ?? false)
      return .list(
        try sorted(
          try TemplateOperators.elements(value), reverse: arguments.value(0, "reverse")?.isTrue
        ) { .list(try self.sortKey($0, path, isFolding)) })
    case "unique": return .iterator(try unique(value, arguments), hasLength: false)
    case "min", "max": return try extreme(name, value, arguments)
    case "sum":
      let start = arguments.value(1, "start") ?? .int(0)
      let path = arguments.given(0, "attribute")
      return try TemplateOperators.elements(value).reduce(start) { sum, element in
        try TemplateOperators.binary("+", sum, try attribute(path, of: element), limits)
      }
    case "batch": return .iterator(try batches(value, arguments), hasLength: false)
    case "slice": return .iterator(try slices(value, arguments), hasLength: false)
    case "groupby": return .list(try groups(value, arguments))
    default: return nil
    }
  }

  private func items(_ value: RuntimeValue) throws -> RuntimeValue {
    if value.isUndefined { return .iterator([], hasLength: false) }
    guard case .dictionary(let dictionary) = value else {
      throw TemplateOperators.fail("Can only get item pairs from a mapping.")
    }
    return .iterator(dictionary.pairs, hasLength: false)
  }

  private func joined(_ value: RuntimeValue, _ arguments: RuntimeArguments) throws -> String {
    let separator = PythonText.string(arguments.value(0, "d") ?? .string(""))
    let path = arguments.given(1, "attribute")
    let parts = try TemplateOperators.elements(value).map {
      PythonText.string(try attribute(path, of: $0))
    }
    let size = parts.reduce(0) { $0 + $1.utf8.count } + parts.count * separator.utf8.count
    try TemplateOperators.checkSize(size, limits)
    return parts.joined(separator: separator)
  }

  /// The attribute that a dotted path names, as `map(attribute=..)` and others read it; the element
  /// itself without a path.
  func attribute(
    _ path: RuntimeValue?, of element: RuntimeValue, fallback: RuntimeValue? = nil
  ) throws -> RuntimeValue {
    guard let path else { return element }
    if path.integer != nil { return try item(element, path) }
    return try PythonText.string(path).split(separator: ".", omittingEmptySubsequences: false)
      .reduce(element) { value, part in
        let key: RuntimeValue = Int(part).map { .int($0) } ?? .string(String(part))
        let found = try item(value, key)
        return found.isUndefined ? fallback ?? found : found
      }
  }

  // MARK: order

  private func folded(_ value: RuntimeValue, _ isFolding: Bool) -> RuntimeValue {
    guard isFolding, case .string(let text) = value else { return value }
    return .string(PythonText.lowercased(text))
  }

  private func sortKey(
    _ element: RuntimeValue, _ path: RuntimeValue?, _ isFolding: Bool
  ) throws -> [RuntimeValue] {
    guard case .string(let paths)? = path else {
      return [folded(try attribute(path, of: element), isFolding)]
    }
    return try paths.split(separator: ",").map {
      folded(try attribute(.string(String($0)), of: element), isFolding)
    }
  }

  /// A stable sort by keys.
  private func sorted(
    _ elements: [RuntimeValue], reverse: Bool?, _ key: (RuntimeValue) throws -> RuntimeValue
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
    let isReverse = reverse ?? false
    let result = keyed.sorted { a, b in
      let (first, second) = isReverse ? (b, a) : (a, b)
      if precedes(first.key, second.key) { return true }
      return !precedes(second.key, first.key) && a.order < b.order
    }
    if let failure { throw failure }
    return result.map(\.element)
  }

  private func sortedItems(
    _ value: RuntimeValue, _ arguments: RuntimeArguments
  ) throws -> [RuntimeValue] {
    guard case .dictionary(let dictionary) = value else {
      try TemplateOperators.requireDefined(value)
      throw TemplateOperators.fail("'\(value.typeName)' object has no attribute 'items'")
    }
    let isFolding = !(arguments.value(0, "case_sensitive")?.isTrue ?? false)
    let by = arguments.value(1, "by")?.text ?? "key"
    guard by == "key" || by == "value" else {
      throw TemplateOperators.fail("You can only sort by either \"key\" or \"value\"")
    }
    return try sorted(dictionary.pairs, reverse: arguments.value(2, "reverse")?.isTrue) { pair in
      guard case .tuple(let parts) = pair else { return pair }
      return self.folded(parts[by == "key" ? 0 : 1], isFolding)
    }
  }

  private func unique(
    _ value: RuntimeValue, _ arguments: RuntimeArguments
  ) throws -> [RuntimeValue] {
    let isFolding = !(arguments.value(0, "case_sensitive")?.isTrue ?? false)
    let path = arguments.given(1, "attribute")
    var seen = RuntimeDictionary()
    return try TemplateOperators.elements(value).filter { element in
      let key = folded(try attribute(path, of: element), isFolding)
      guard RuntimeDictionary.canHold(key) else {
        throw TemplateOperators.fail("unhashable type: '\(key.typeName)'")
      }
      defer { seen.set(key, .none) }
      return seen.value(key) == nil
    }
  }

  private func extreme(
    _ name: String, _ value: RuntimeValue, _ arguments: RuntimeArguments
  ) throws -> RuntimeValue {
    let isFolding = !(arguments.value(0, "case_sensitive")?.isTrue ?? false)
    let path = arguments.given(1, "attribute")
    var best: (key: RuntimeValue, element: RuntimeValue)?
    for element in try TemplateOperators.elements(value) {
      let key = folded(try attribute(path, of: element), isFolding)
      guard let current = best else {
        best = (key, element)
        continue
      }
      let isBetter =
        name == "min"
        ? try TemplateOperators.less(key, current.key)
        : try TemplateOperators.less(current.key, key, ">")
      if isBetter { best = (key, element) }
    }
    return best?.element ?? .undefined("No aggregated item, sequence was empty.")
  }

  // MARK: groups

  private func batches(
    _ value: RuntimeValue, _ arguments: RuntimeArguments
  ) throws -> [RuntimeValue] {
    let elements = try TemplateOperators.elements(value)
    let size = max(1, arguments.value(0, "linecount")?.integer ?? 1)
    try TemplateOperators.checkCount(size, limits)
    let fill = arguments.given(1, "fill_with")
    return stride(from: 0, to: elements.count, by: size).map { start in
      var batch = Array(elements[start..<min(start + size, elements.count)])
      if let fill { batch += Array(repeating: fill, count: size - batch.count) }
      return .list(batch)
    }
  }

  private func slices(
    _ value: RuntimeValue, _ arguments: RuntimeArguments
  ) throws -> [RuntimeValue] {
    let elements = try TemplateOperators.elements(value)
    let count = max(1, arguments.value(0, "slices")?.integer ?? 1)
    try TemplateOperators.checkCount(count, limits)
    let fill = arguments.given(1, "fill_with")
    let (length, longer) = (elements.count / count, elements.count % count)
    var position = 0
    return (0..<count).map { index in
      let size = length + (index < longer ? 1 : 0)
      var slice = Array(elements[position..<position + size])
      position += size
      if let fill, index >= longer, longer > 0 { slice.append(fill) }
      return .list(slice)
    }
  }

  private func groups(
    _ value: RuntimeValue, _ arguments: RuntimeArguments
  ) throws -> [RuntimeValue] {
    guard let path = arguments.given(0, "attribute") else {
      throw TemplateOperators.fail("groupby needs an attribute")
    }
    let fallback = arguments.value(1, "default")
    let isFolding = !(arguments.value(2, "case_sensitive")?.isTrue ?? false)
    let elements = try sorted(try TemplateOperators.elements(value), reverse: false) {
      self.folded(try self.attribute(path, of: $0, fallback: fallback), isFolding)
    }
    var result: [(key: RuntimeValue, folded: RuntimeValue, elements: [RuntimeValue])] = []
    for element in elements {
      let key = try attribute(path, of: element, fallback: fallback)
      let same = folded(key, isFolding)
      if let last = result.last, TemplateOperators.equal(last.folded, same) {
        result[result.count - 1].elements.append(element)
      } else {
        result.append((key, same, [element]))
      }
    }
    return result.map { .tuple([$0.key, .list($0.elements)]) }
  }

  // MARK: map, select and reject

  /// `map`, `select`, `reject`, `selectattr` and `rejectattr`; nil for another filter.
  func selectionFilter(
    _ name: String, _ value: RuntimeValue, _ arguments: RuntimeArguments
  ) throws -> RuntimeValue? {
    let isSelection = ["map", "select", "reject", "selectattr", "rejectattr"].contains(name)
    // These take anything that is false for an empty sequence.
    if isSelection, !value.isTrue { return .iterator([], hasLength: false) }
    switch name {
    case "map": return .iterator(try mapped(value, arguments), hasLength: false)
    case "select", "reject", "selectattr", "rejectattr":
      var rest = arguments
      var path: RuntimeValue?
      if name.hasSuffix("attr") {
        guard !rest.positional.isEmpty else {
          throw TemplateOperators.fail("Missing parameter for attribute name")
        }
        path = rest.positional.removeFirst()
      }
      let test = rest.positional.isEmpty ? nil : PythonText.string(rest.positional.removeFirst())
      let wanted = name.hasPrefix("select")
      let kept = try TemplateOperators.elements(value).filter { element in
        try spend()
        let subject = try attribute(path, of: element)
        return try test.map { try self.test($0, subject, rest) } ?? subject.isTrue == wanted
      }
      return .iterator(kept, hasLength: false)
    default: return nil
    }
  }

  private func mapped(
    _ value: RuntimeValue, _ arguments: RuntimeArguments
  ) throws -> [RuntimeValue] {
    let elements = try TemplateOperators.elements(value)
    if let path = arguments.named.first(where: { $0.name == "attribute" })?.value {
      let fallback = arguments.named.first { $0.name == "default" }?.value
      return try elements.map { try attribute(path, of: $0, fallback: fallback) }
    }
    guard case .string(let name)? = arguments.positional.first else {
      throw TemplateOperators.fail("map requires a filter argument")
    }
    var rest = arguments
    rest.positional.removeFirst()
    return try elements.map { element in
      try spend()
      return try apply(name, element, rest)
    }
  }
}
