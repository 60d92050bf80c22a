/// The variables of one level of nesting. Reading looks outwards; writing stays inside.
final class TemplateScope {
  private var variables = NamedValues()
  private let parent: TemplateScope?

  init(parent: TemplateScope?) { self.parent = parent }

  func value(_ name: String) -> RuntimeValue? {
    var scope: TemplateScope? = self
    while let current = scope {
      if let value = current.variables[name] { return value }
      scope = current.parent
    }
    return nil
  }

  func set(_ name: String, _ value: RuntimeValue) { variables.set(name, value) }

  /// Drops everything, which breaks the cycle between a macro and the scope it was defined in.
  func clear() { variables.removeAll() }
}

/// `namespace()`: the one kind of value whose attributes a template can set.
final class TemplateNamespace: RuntimeObject {
  private var attributes = NamedValues()
  let typeName = "Namespace"
  /// Namespaces are emptied when rendering ends.
  var parts: [RuntimeValue] { [] }

  func set(_ name: String, _ value: RuntimeValue) { attributes.set(name, value) }
  func attribute(_ name: String) -> RuntimeValue? { attributes[name] }
  /// Drops everything, which breaks cycles and long chains of namespaces.
  func clear() { attributes.removeAll() }
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
  var parts: [RuntimeValue] { elements + (lastChanged ?? []) }

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
          guard arguments.named.isEmpty else {
            throw TemplateOperators.fail("cycle() takes no keyword arguments")
          }
          guard !arguments.positional.isEmpty else {
            throw TemplateOperators.fail("no items for cycling given")
          }
          return arguments.positional[index % arguments.positional.count]
        })
    case "changed":
      .function(
        RuntimeFunction("changed") { [self] interpreter, arguments in
          guard arguments.named.isEmpty else {
            throw TemplateOperators.fail("changed() takes no keyword arguments")
          }
          let values = arguments.positional
          for value in values { try interpreter.checkDepth(of: value) }
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
    let given = try TemplateParameters.named("iterable").bind("loop", arguments)
    return try recurse(given[0] ?? .none)
  }
}

/// `cycler(..)` and `joiner(..)`.
final class TemplateCycler: RuntimeObject {
  private let items: [RuntimeValue]
  private var position = 0
  let typeName = "Cycler"
  var parts: [RuntimeValue] { items }

  init(_ items: [RuntimeValue]) { self.items = items }

  func attribute(_ name: String) -> RuntimeValue? {
    switch name {
    case "current": items[position]
    case "next":
      .function(
        RuntimeFunction("next") { [self] _, arguments in
          _ = try TemplateParameters.named().bind("next", arguments)
          defer { position = (position + 1) % items.count }
          return items[position]
        })
    case "reset":
      .function(
        RuntimeFunction("reset") { [self] _, arguments in
          _ = try TemplateParameters.named().bind("reset", arguments)
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
  var parts: [RuntimeValue] { [separator] }

  init(_ separator: RuntimeValue) { self.separator = separator }

  func attribute(_: String) -> RuntimeValue? { nil }

  func call(
    _: TemplateInterpreter, _ arguments: RuntimeArguments
  ) throws -> RuntimeValue? {
    _ = try TemplateParameters.named().bind("joiner", arguments)
    defer { isUsed = true }
    return isUsed ? separator : .string("")
  }
}
