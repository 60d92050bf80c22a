extension TemplateFilters {
  /// `map`, `select`, `reject`, `selectattr` and `rejectattr`. They take anything that is false for
  /// an empty sequence.
  static let selections: [String: TemplateFilter] = [
    "map": TemplateFilter(anyArguments: { interpreter, value, arguments in
      guard value.isTrue else { return .generator([]) }
      return .generator(try mapped(try interpreter.elements(value), arguments, interpreter))
    }),
    "select": selection(keeps: true, byAttribute: false),
    "reject": selection(keeps: false, byAttribute: false),
    "selectattr": selection(keeps: true, byAttribute: true),
    "rejectattr": selection(keeps: false, byAttribute: true),
  ]

  private static func selection(keeps wanted: Bool, byAttribute: Bool) -> TemplateFilter {
    TemplateFilter(anyArguments: { interpreter, value, arguments in
      guard value.isTrue else { return .generator([]) }
      var rest = arguments
      var path: RuntimeValue?
      if byAttribute {
        guard !rest.positional.isEmpty else {
          throw TemplateOperators.fail("Missing parameter for attribute name")
        }
        path = rest.positional.removeFirst()
      }
      let attribute = try AttributePath(path)
      let test = rest.positional.isEmpty ? nil : PythonText.string(rest.positional.removeFirst())
      return .generator(
        try interpreter.elements(value).filter { element in
          try interpreter.spend()
          let subject = try attribute.value(of: element, interpreter)
          return try test.map { try interpreter.test($0, subject, rest) } ?? subject.isTrue
            == wanted
        })
    })
  }

  private static func mapped(
    _ elements: [RuntimeValue], _ arguments: RuntimeArguments, _ interpreter: TemplateInterpreter
  ) throws -> [RuntimeValue] {
    if arguments.positional.isEmpty, arguments.named.contains(where: { $0.name == "attribute" }) {
      let given = try TemplateParameters.named("attribute", "default?").bind("map", arguments)
      let path = try AttributePath(given[0])
      return try elements.map {
        try interpreter.spend()
        return try path.value(of: $0, interpreter, fallback: given.given(1))
      }
    }
    guard let name = arguments.positional.first else {
      throw TemplateOperators.fail("map requires a filter argument")
    }
    var rest = arguments
    rest.positional.removeFirst()
    return try elements.map { element in
      try interpreter.spend()
      return try interpreter.apply(PythonText.string(name), element, rest)
    }
  }
}
