/// The longer methods of Python's `str`.
enum PythonStrings {
  /// `str.split` and `str.rsplit`.
  static func split(
    _ text: String, _ arguments: RuntimeArguments, _ limits: TemplateLimits,
    fromRight: Bool = false
  ) throws -> [String] {
    let scalars = Array(text.unicodeScalars)
    let most = arguments.value(1, "maxsplit")?.integer ?? -1
    guard let separator = arguments.given(0, "sep") else {
      return words(scalars, most < 0 ? Int.max : most, fromRight: fromRight)
    }
    guard case .string(let needle) = separator else {
      try TemplateOperators.requireDefined(separator)
      throw TemplateOperators.fail("must be str or None, not \(separator.typeName)")
    }
    guard !needle.isEmpty else { throw TemplateOperators.fail("empty separator") }
    let unit = Array(needle.unicodeScalars)
    var found: [Int]
    if fromRight {
      let reversed = PythonText.occurrences(unit.reversed(), in: scalars.reversed())
      found = reversed.prefix(most < 0 ? reversed.count : most)
        .map { scalars.count - $0 - unit.count }.reversed()
    } else {
      found = PythonText.occurrences(unit, in: scalars)
      if most >= 0 { found = Array(found.prefix(most)) }
    }
    try TemplateOperators.checkCount(found.count, limits)
    var parts: [String] = []
    var start = 0
    for position in found {
      parts.append(PythonText.string(scalars[start..<position]))
      start = position + unit.count
    }
    return parts + [PythonText.string(scalars[start...])]
  }

  /// Splitting at runs of white space; the part that is not split keeps its outer blanks.
  private static func words(
    _ scalars: [Unicode.Scalar], _ most: Int, fromRight: Bool
  ) -> [String] {
    var runs: [Range<Int>] = []
    var start: Int?
    for (index, scalar) in scalars.enumerated() {
      if isPythonSpace(scalar) {
        if let first = start { runs.append(first..<index) }
        start = nil
      } else if start == nil {
        start = index
      }
    }
    if let first = start { runs.append(first..<scalars.count) }
    guard runs.count > most else { return runs.map { PythonText.string(scalars[$0]) } }
    if fromRight {
      let kept = runs.suffix(most)
      let end = runs[runs.count - most - 1].upperBound
      return [PythonText.string(scalars[..<end])] + kept.map { PythonText.string(scalars[$0]) }
    }
    let rest = runs[most].lowerBound
    return runs.prefix(most).map { PythonText.string(scalars[$0]) }
      + [PythonText.string(scalars[rest...])]
  }

  static func lines(_ text: String, keepsEnds: Bool) -> [String] {
    var result: [String] = []
    var line = String.UnicodeScalarView()
    let scalars = Array(text.unicodeScalars)
    var index = 0
    while index < scalars.count {
      let scalar = scalars[index]
      index += 1
      guard [0x0A, 0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E, 0x85, 0x2028, 0x2029].contains(scalar.value)
      else {
        line.append(scalar)
        continue
      }
      if keepsEnds { line.append(scalar) }
      if scalar == "\r", index < scalars.count, scalars[index] == "\n" {
        if keepsEnds { line.append("\n") }
        index += 1
      }
      result.append(String(line))
      line = String.UnicodeScalarView()
    }
    if !line.isEmpty { result.append(String(line)) }
    return result
  }

  static func partition(
    _ text: String, _ arguments: RuntimeArguments, last: Bool
  ) throws -> RuntimeValue {
    let name = last ? "rpartition" : "partition"
    let separator = try TemplateMethods.required(arguments, 0, name)
    guard !separator.isEmpty else { throw TemplateOperators.fail("empty separator") }
    let scalars = Array(text.unicodeScalars)
    let unit = Array(separator.unicodeScalars)
    guard let position = position(unit, scalars, last: last) else {
      let whole = RuntimeValue.string(text)
      return .tuple(last ? [.string(""), .string(""), whole] : [whole, .string(""), .string("")])
    }
    return .tuple([
      .string(PythonText.string(scalars[..<position])), .string(separator),
      .string(PythonText.string(scalars[(position + unit.count)...])),
    ])
  }

  private static func position(
    _ unit: [Unicode.Scalar], _ scalars: [Unicode.Scalar], last: Bool
  ) -> Int? {
    guard last else { return PythonText.occurrences(unit, in: scalars).first }
    let reversed = PythonText.occurrences(unit.reversed(), in: scalars.reversed())
    return reversed.first.map { scalars.count - $0 - unit.count }
  }

  static func find(
    _ text: String, _ arguments: RuntimeArguments, _ name: String, last: Bool = false
  ) throws -> Int? {
    if let wanted = arguments.positional.first, wanted.text == nil {
      try TemplateOperators.requireDefined(wanted)
      throw TemplateOperators.fail("must be str, not \(wanted.typeName)")
    }
    let unit = Array(try TemplateMethods.required(arguments, 0, name).unicodeScalars)
    let scalars = Array(text.unicodeScalars)
    let start = arguments.positional.count > 1 ? arguments.positional[1].integer : nil
    let end = arguments.positional.count > 2 ? arguments.positional[2].integer : nil
    let range = TemplateInterpreter.indices(start, end, nil, scalars.count)
    guard let first = range.first, let final = range.last else {
      return unit.isEmpty && (start ?? 0) <= scalars.count ? max(0, start ?? 0) : nil
    }
    return position(unit, Array(scalars[first...final]), last: last).map { $0 + first }
  }

  /// `str.replace`; a negative count replaces all.
  static func replaced(
    _ text: String, _ old: String, _ new: String, count: Int, _ limits: TemplateLimits
  ) throws -> String {
    let scalars = Array(text.unicodeScalars)
    let unit = Array(old.unicodeScalars)
    var found = PythonText.occurrences(unit, in: scalars)
    if count >= 0 { found = Array(found.prefix(count)) }
    guard !found.isEmpty else { return text }
    let (added, overflow) = found.count.multipliedReportingOverflow(by: new.utf8.count)
    try TemplateOperators.checkSize(overflow ? Int.max / 2 : added, limits)
    var result = String.UnicodeScalarView()
    var start = 0
    for position in found {
      result.append(contentsOf: scalars[start..<position])
      result.append(contentsOf: new.unicodeScalars)
      start = position + unit.count
    }
    result.append(contentsOf: scalars[start...])
    let replaced = String(result)
    try TemplateOperators.checkSize(replaced.utf8.count, limits)
    return replaced
  }

  static func padded(
    _ text: String, _ width: Int, _ fill: String, _ side: String, _ limits: TemplateLimits
  ) throws -> String {
    guard fill.unicodeScalars.count == 1 else {
      throw TemplateOperators.fail("The fill character must be exactly one character long")
    }
    let missing = width - text.unicodeScalars.count
    guard missing > 0 else { return text }
    try TemplateOperators.checkSize(missing, limits)
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

  /// `str.format` with `{}`, `{0}`, `{name}` and attributes or items of those; format
  /// specifications beyond a width are refused.
  static func formatted(
    _ format: String, _ arguments: RuntimeArguments, _ limits: TemplateLimits
  ) throws -> String {
    var result = ""
    var automatic = 0
    let scalars = Array(format.unicodeScalars)
    var index = 0
    while index < scalars.count {
      let scalar = scalars[index]
      index += 1
      if scalar == "{" || scalar == "}", index < scalars.count, scalars[index] == scalar {
        result.unicodeScalars.append(scalar)
        index += 1
      } else if scalar == "{" {
        guard let close = scalars[index...].firstIndex(of: "}") else {
          throw TemplateOperators.fail("expected '}' before end of string")
        }
        result += try field(
          PythonText.string(scalars[index..<close]), arguments, &automatic)
        index = close + 1
      } else if scalar == "}" {
        throw TemplateOperators.fail("Single '}' encountered in format string")
      } else {
        result.unicodeScalars.append(scalar)
      }
      try TemplateOperators.checkSize(result.utf8.count, limits)
    }
    return result
  }

  private static func field(
    _ text: String, _ arguments: RuntimeArguments, _ automatic: inout Int
  ) throws -> String {
    guard !text.contains(":"), !text.contains("."), !text.contains("[") else {
      throw TemplateOperators.fail("unsupported format specification")
    }
    let parts = text.split(separator: "!", omittingEmptySubsequences: false)
    let name = String(parts[0])
    var value: RuntimeValue?
    if name.isEmpty {
      value = automatic < arguments.positional.count ? arguments.positional[automatic] : nil
      automatic += 1
    } else if let position = Int(name) {
      value = arguments.positional.indices.contains(position) ? arguments.positional[position] : nil
    } else {
      value = arguments.named.first { $0.name == name }?.value
    }
    guard let value else {
      throw TemplateOperators.fail("Replacement index out of range for positional args tuple")
    }
    return parts.count > 1 && parts[1] == "r"
      ? PythonText.representation(value) : PythonText.string(value)
  }
}
