import ModelFormats

/// A value that a template puts in: JSON whose members keep their order.
package typealias TemplateValue = JSONValue

/// A value while a template runs: Python's, as far as templates see them. Lists and dictionaries
/// are values, since the sandbox lets no template change them.
indirect enum RuntimeValue {
  /// What Jinja2 calls Undefined; the text is the error that using it gives.
  case undefined(String)
  case none
  case bool(Bool)
  case int(Int)
  case double(Double)
  case string(String)
  case list([RuntimeValue])
  case tuple([RuntimeValue])
  case dictionary(RuntimeDictionary)
  /// A generator, or with `hasLength` a view of a dictionary: to be iterated, not subscripted.
  case iterator([RuntimeValue], hasLength: Bool)
  case function(RuntimeFunction)
  case object(any RuntimeObject)

  init(_ json: TemplateValue) {
    switch json {
    case .null: self = .none
    case .bool(let value): self = .bool(value)
    case .int(let value): self = .int(value)
    case .double(let value): self = .double(value)
    case .string(let value): self = .string(value)
    case .array(let elements): self = .list(elements.map { RuntimeValue($0) })
    case .object(let members):
      var dictionary = RuntimeDictionary()
      for (key, value) in zip(members.keys, members.values) {
        dictionary.set(.string(key), RuntimeValue(value))
      }
      self = .dictionary(dictionary)
    }
  }

  init(_ constant: TemplateConstant) {
    switch constant {
    case .none: self = .none
    case .bool(let value): self = .bool(value)
    case .int(let value): self = .int(value)
    case .double(let value): self = .double(value)
    case .string(let value): self = .string(value)
    }
  }

  /// Python's name of the type.
  var typeName: String {
    switch self {
    case .undefined: "Undefined"
    case .none: "NoneType"
    case .bool: "bool"
    case .int: "int"
    case .double: "float"
    case .string: "str"
    case .list: "list"
    case .tuple: "tuple"
    case .dictionary: "dict"
    case .iterator(_, let hasLength): hasLength ? "dict_items" : "generator"
    case .function: "function"
    case .object(let object): object.typeName
    }
  }

  /// How Jinja2's messages name the type.
  var objectName: String {
    switch self {
    case .none: "None"
    case .object(let object): object.typeName
    default: "\(typeName) object"
    }
  }

  var isUndefined: Bool {
    if case .undefined = self { true } else { false }
  }

  var isTrue: Bool {
    switch self {
    case .undefined, .none: false
    case .bool(let value): value
    case .int(let value): value != 0
    case .double(let value): value != 0
    case .string(let value): !value.isEmpty
    case .list(let elements), .tuple(let elements): !elements.isEmpty
    case .dictionary(let dictionary): dictionary.count > 0
    case .iterator(let elements, let hasLength): !hasLength || !elements.isEmpty
    case .function, .object: true
    }
  }

  /// The number of a bool, int or float.
  var number: Double? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): Double(value)
    case .double(let value): value
    default: nil
    }
  }

  /// The integer of a bool or int.
  var integer: Int? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): value
    default: nil
    }
  }

  var text: String? {
    if case .string(let value) = self { value } else { nil }
  }
}

/// A callable value. A reference, since functions are compared by identity.
final class RuntimeFunction {
  let name: String
  let call: (TemplateInterpreter, RuntimeArguments) throws -> RuntimeValue

  init(
    _ name: String, _ call: @escaping (TemplateInterpreter, RuntimeArguments) throws -> RuntimeValue
  ) {
    self.name = name
    self.call = call
  }
}

/// A value with attributes of its own: namespaces, loops, cyclers.
protocol RuntimeObject: AnyObject {
  var typeName: String { get }
  /// Nil for an unknown attribute.
  func attribute(_ name: String) throws -> RuntimeValue?
  /// Nil for an object that cannot be called.
  func call(
    _ interpreter: TemplateInterpreter, _ arguments: RuntimeArguments
  ) throws -> RuntimeValue?
}

/// The evaluated arguments of a call.
struct RuntimeArguments {
  var positional: [RuntimeValue] = []
  var named: [(name: String, value: RuntimeValue)] = []

  /// The argument at `index` or called `name`; nil when it is not given.
  func value(_ index: Int, _ name: String) -> RuntimeValue? {
    if index < positional.count { return positional[index] }
    return named.first { $0.name == name }?.value
  }

  /// The argument unless it is missing or none.
  func given(_ index: Int, _ name: String) -> RuntimeValue? {
    guard let value = value(index, name) else { return nil }
    if case .none = value { return nil }
    return value
  }
}

/// A dictionary that keeps the order in which keys came.
struct RuntimeDictionary {
  private(set) var keys: [RuntimeValue] = []
  private(set) var values: [RuntimeValue] = []
  private var positions: [Key: Int] = [:]

  /// What Python's hash and equality make of a key: 1, 1.0 and True are the same.
  private enum Key: Hashable {
    case none
    case number(Double)
    case integer(Int)
    case string(ExactString)
    case tuple([Key])
  }

  private static func key(_ value: RuntimeValue) -> Key? {
    switch value {
    case .none: return Key.none
    case .bool(let value): return .integer(value ? 1 : 0)
    case .int(let value): return .integer(value)
    case .double(let value): return Int(exactly: value).map { .integer($0) } ?? .number(value)
    case .string(let value): return .string(ExactString(value))
    case .tuple(let elements):
      let keys = elements.compactMap(key)
      return keys.count == elements.count ? .tuple(keys) : nil
    default: return nil
    }
  }

  var count: Int { keys.count }

  /// False for a key that Python cannot hash.
  static func canHold(_ value: RuntimeValue) -> Bool { key(value) != nil }

  func value(_ key: RuntimeValue) -> RuntimeValue? {
    Self.key(key).flatMap { positions[$0] }.map { values[$0] }
  }

  /// Keys that cannot be hashed are refused before.
  mutating func set(_ key: RuntimeValue, _ value: RuntimeValue) {
    guard let hashed = Self.key(key) else { return }
    if let position = positions[hashed] {
      values[position] = value
    } else {
      positions[hashed] = keys.count
      keys.append(key)
      values.append(value)
    }
  }

  var pairs: [RuntimeValue] { zip(keys, values).map { .tuple([$0, $1]) } }
}
