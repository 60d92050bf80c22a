import ModelFormats

/// The evaluated arguments of a call.
struct RuntimeArguments {
  var positional: [RuntimeValue] = []
  var named: [(name: String, value: RuntimeValue)] = []
}

/// What a function of Python's or a filter of Jinja2's takes.
struct TemplateParameters: Sendable {
  let names: [String]
  /// How many of them must be given.
  let required: Int
  /// Functions written in C take most of their arguments by position alone.
  let takesNames: Bool

  static let nothing = TemplateParameters([], takesNames: false)

  /// Parameters that can be given by name too; those that end with `?` may be missing.
  static func named(_ names: String...) -> TemplateParameters { .init(names, takesNames: true) }

  /// Parameters that are given by position alone; those that end with `?` may be missing.
  static func positional(_ names: String...) -> TemplateParameters {
    .init(names, takesNames: false)
  }

  private init(_ names: [String], takesNames: Bool) {
    self.names = names.map { $0.hasSuffix("?") ? String($0.dropLast()) : $0 }
    required = names.filter { !$0.hasSuffix("?") }.count
    self.takesNames = takesNames
  }

  /// Gives each argument its parameter.
  ///
  /// - Throws: `TemplateError` for arguments that the function does not take, and for missing ones.
  func bind(_ function: String, _ arguments: RuntimeArguments) throws -> BoundArguments {
    let given = arguments.positional.count
    guard given <= names.count else {
      throw TemplateOperators.fail(
        "\(function) expected at most \(names.count) argument\(names.count == 1 ? "" : "s"), "
          + "got \(given)")
    }
    var values: [RuntimeValue?] = arguments.positional
    for (name, value) in arguments.named {
      guard takesNames else {
        throw TemplateOperators.fail("\(function)() takes no keyword arguments")
      }
      guard let index = names.firstIndex(of: name) else {
        throw TemplateOperators.fail(
          "\(function)() got an unexpected keyword argument '\(excerpt(name))'")
      }
      while values.count <= index { values.append(nil) }
      guard values[index] == nil else {
        throw TemplateOperators.fail("\(function)() got multiple values for argument '\(name)'")
      }
      values[index] = value
    }
    while values.count < required { values.append(nil) }
    for index in 0..<required where values[index] == nil {
      throw TemplateOperators.fail(
        names.count == required && required == 1
          ? "\(function)() takes exactly one argument (0 given)"
          : "\(function) expected at least \(required) argument\(required == 1 ? "" : "s"), "
            + "got \(given)")
    }
    return BoundArguments(function: function, names: names, values: values)
  }
}

/// Arguments by the position of their parameter.
struct BoundArguments {
  let function: String
  fileprivate let names: [String]
  fileprivate let values: [RuntimeValue?]

  fileprivate init(function: String, names: [String], values: [RuntimeValue?]) {
    self.function = function
    self.names = names
    self.values = values
  }

  /// The argument; nil when it is not given.
  subscript(index: Int) -> RuntimeValue? { index < values.count ? values[index] : nil }

  /// The argument unless it is missing or none.
  func given(_ index: Int) -> RuntimeValue? {
    guard let value = self[index], !value.isNone else { return nil }
    return value
  }

  func isTrue(_ index: Int) -> Bool { self[index]?.isTrue ?? false }

  /// The text of a string argument. Throws: `TemplateError` for anything else.
  func text(_ index: Int) throws -> String {
    if case .string(let text)? = self[index] { return text }
    throw wrongType(index, "str")
  }

  /// An integer; those beyond 64 bits are far beyond every string and list.
  ///
  /// - Throws: `TemplateError` for anything else.
  func integer(_ index: Int, _ fallback: Int) throws -> Int {
    guard let value = self[index] else { return fallback }
    guard let integer = value.index else { throw wrongType(index, "int") }
    return integer
  }

  /// The bound of a part of a string or list; nil for none.
  func bound(_ index: Int) throws -> Int? {
    guard given(index) != nil else { return nil }
    return try integer(index, 0)
  }

  func wrongType(_ index: Int, _ expected: String) -> TemplateError {
    if case .undefined(let message)? = self[index] { return TemplateOperators.fail(message) }
    return TemplateOperators.fail(
      "\(function)() argument '\(names[index])' must be \(expected), not "
        + (self[index]?.typeName ?? "missing"))
  }
}

/// A method, filter or test: what it takes beside the value that it is applied to, and what it
/// does.
struct TemplateFunction<Receiver, Result>: Sendable {
  typealias Work = @Sendable (TemplateInterpreter, Receiver, BoundArguments) throws -> Result
  typealias OpenWork = @Sendable (TemplateInterpreter, Receiver, RuntimeArguments) throws -> Result

  private let work:
    @Sendable (TemplateInterpreter, Receiver, String, RuntimeArguments) throws -> Result

  init(_ parameters: TemplateParameters, _ work: @escaping Work) {
    self.work = { interpreter, receiver, name, arguments in
      try work(interpreter, receiver, try parameters.bind(name, arguments))
    }
  }

  /// A function that takes any arguments.
  init(anyArguments work: @escaping OpenWork) {
    self.work = { interpreter, receiver, _, arguments in
      try work(interpreter, receiver, arguments)
    }
  }

  /// Throws: `TemplateError` for arguments that the function does not take, and its own.
  func apply(
    _ name: String, _ receiver: Receiver, _ arguments: RuntimeArguments,
    _ interpreter: TemplateInterpreter
  ) throws -> Result { try work(interpreter, receiver, name, arguments) }
}
