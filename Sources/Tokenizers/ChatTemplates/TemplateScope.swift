import ModelFormats

/// The variables of one level of nesting. Reading looks outwards; writing stays inside.
final class TemplateScope {
  private var variables: [ExactString: RuntimeValue] = [:]
  private let parent: TemplateScope?

  init(parent: TemplateScope?) { self.parent = parent }

  func value(_ name: ExactString) -> RuntimeValue? {
    var scope: TemplateScope? = self
    while let current = scope {
      if let value = current.variables[name] { return value }
      scope = current.parent
    }
    return nil
  }

  func set(_ name: String, _ value: RuntimeValue) { variables[ExactString(name)] = value }

  /// Drops everything, which breaks the cycle between a macro and the scope it was defined in.
  func clear() { variables = [:] }
}

/// `namespace()`: the one kind of value whose attributes a template can set.
final class TemplateNamespace: RuntimeObject {
  private var attributes: [ExactString: RuntimeValue] = [:]
  let typeName = "Namespace"

  func set(_ name: String, _ value: RuntimeValue) { attributes[ExactString(name)] = value }
  func attribute(_ name: String) -> RuntimeValue? { attributes[ExactString(name)] }
  /// Drops everything, which breaks cycles and long chains of namespaces.
  func clear() { attributes = [:] }
  func call(_: TemplateInterpreter, _: RuntimeArguments) -> RuntimeValue? { nil }
}

/// The `loop` of a for statement.
final class TemplateLoopState: RuntimeObject {
  private let elements: [RuntimeValue]
  private let depth: Int
  /// Renders the loop's body over other elements, for recursive loops.
  private let recurse: ((RuntimeValue) throws -> RuntimeValue)?
  private var lastChanged: [RuntimeValue]?
  var index = 0
  let typeName = "LoopContext"

  init(
    _ elements: [RuntimeValue], depth: Int, recurse: ((RuntimeValue) throws -> RuntimeValue)?
  ) {
    self.elements = elements
    self.depth = depth
    self.recurse = recurse
  }

  func attribute(_ name: String) -> RuntimeValue? {
    switch name {
    case "index": .int(index + 1)
    case "index0": .int(index)
    case "revindex": .int(elements.count - index)
    case "revindex0": .int(elements.count - index - 1)
    case "first": .bool(index == 0)
    case "last": .bool(index == elements.count - 1)
    case "length": .int(elements.count)
    case "depth": .int(depth)
    case "depth0": .int(depth - 1)
    case "previtem":
      index > 0 ? elements[index - 1] : .undefined("there is no previous item")
    case "nextitem":
      index + 1 < elements.count ? elements[index + 1] : .undefined("there is no next item")
    case "cycle":
      .function(
        RuntimeFunction("cycle") { [self] _, arguments in
          guard !arguments.positional.isEmpty else {
            throw TemplateOperators.fail("no items for cycling given")
          }
          return arguments.positional[index % arguments.positional.count]
        })
    case "changed":
      .function(
        RuntimeFunction("changed") { [self] _, arguments in
          let values = arguments.positional
          let isSame = lastChanged.map {
            $0.count == values.count && zip($0, values).allSatisfy(TemplateOperators.equal)
          }
          lastChanged = values
          return .bool(!(isSame ?? false))
        })
    default: nil
    }
  }

  func call(_: TemplateInterpreter, _ arguments: RuntimeArguments) throws -> RuntimeValue? {
    guard let recurse else {
      throw TemplateOperators.fail(
        "The loop must have the 'recursive' marker to be called recursively.")
    }
    guard let elements = arguments.positional.first else {
      throw TemplateOperators.fail("loop() needs an argument")
    }
    return try recurse(elements)
  }
}

/// `cycler(..)` and `joiner(..)`.
final class TemplateCycler: RuntimeObject {
  private let items: [RuntimeValue]
  private var position = 0
  let typeName = "Cycler"

  init(_ items: [RuntimeValue]) { self.items = items }

  func attribute(_ name: String) -> RuntimeValue? {
    switch name {
    case "current": items[position]
    case "next":
      .function(
        RuntimeFunction("next") { [self] _, _ in
          defer { position = (position + 1) % items.count }
          return items[position]
        })
    case "reset":
      .function(
        RuntimeFunction("reset") { [self] _, _ in
          position = 0
          return .none
        })
    default: nil
    }
  }

  func call(_: TemplateInterpreter, _: RuntimeArguments) -> RuntimeValue? { nil }
}

final class TemplateJoiner: RuntimeObject {
  private let separator: RuntimeValue
  private var isUsed = false
  let typeName = "Joiner"

  init(_ separator: RuntimeValue) { self.separator = separator }

  func attribute(_: String) -> RuntimeValue? { nil }

  func call(_: TemplateInterpreter, _: RuntimeArguments) -> RuntimeValue? {
    defer { isUsed = true }
    return isUsed ? separator : .string("")
  }
}
