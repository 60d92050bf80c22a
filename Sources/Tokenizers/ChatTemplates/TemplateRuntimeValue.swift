import ModelFormats

/// A value that a template puts in: JSON whose members keep their order.
package typealias TemplateValue = JSONValue

/// A value while a template runs: Python's, as far as templates see them. Lists and dictionaries
/// are values, since the sandbox lets no template change them.
enum RuntimeValue {
  /// What Jinja2 calls Undefined; the text is the error that using it gives.
  case undefined(String)
  case none
  case bool(Bool)
  case int(Int)
  /// An integer that `int` cannot hold; made by `RuntimeValue(_: BigInteger)` alone.
  case bigInt(BigInteger)
  case double(Double)
  case string(String)
  case list([RuntimeValue])
  case tuple([RuntimeValue])
  /// A pair that `groupby` gives: a tuple whose parts are also `grouper` and `list`.
  case group([RuntimeValue])
  case range(RuntimeRange)
  case dictionary(RuntimeDictionary)
  /// `keys()`, `values()` or `items()` of a dictionary.
  case view(RuntimeView)
  /// A generator: what was taken from it is gone.
  case generator(RuntimeGenerator)
  case function(RuntimeFunction)
  case object(any RuntimeObject)

  init(_ json: TemplateValue) {
    switch json {
    case .null: self = .none
    case .bool(let value): self = .bool(value)
    case .int(let value): self = .int(value)
    case .bigInt(let value): self = .init(value)
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
    case .bigInt(let value): self = .init(value)
    case .double(let value): self = .double(value)
    case .string(let value): self = .string(value)
    }
  }

  init(_ integer: BigInteger) {
    self = integer.int.map { .int($0) } ?? .bigInt(integer)
  }

  static func generator(_ elements: [RuntimeValue]) -> RuntimeValue {
    .generator(RuntimeGenerator(elements))
  }

  /// Python's name of the type.
  var typeName: String {
    switch self {
    case .undefined: "Undefined"
    case .none: "NoneType"
    case .bool: "bool"
    case .int, .bigInt: "int"
    case .double: "float"
    case .string: "str"
    case .list: "list"
    case .tuple: "tuple"
    case .group: "_GroupTuple"
    case .range: "range"
    case .dictionary: "dict"
    case .view(let view): "dict_\(view.kind.rawValue)"
    case .generator: "generator"
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

  var isNone: Bool {
    if case .none = self { true } else { false }
  }

  var isTrue: Bool {
    switch self {
    case .undefined, .none: false
    case .bool(let value): value
    case .int(let value): value != 0
    case .double(let value): value != 0
    case .string(let value): !value.isEmpty
    case .list(let elements), .tuple(let elements): !elements.isEmpty
    case .range(let range): range.count > 0
    case .dictionary(let dictionary): dictionary.count > 0
    case .view(let view): view.dictionary.count > 0
    case .bigInt, .group, .generator, .function, .object: true
    }
  }

  /// The number of a bool, int or float.
  var number: Double? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): Double(value)
    case .bigInt(let value): value.double
    case .double(let value): value
    default: nil
    }
  }

  /// The integer of a bool or int that 64 bits hold.
  var integer: Int? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): value
    default: nil
    }
  }

  /// The integer of a bool or int.
  var bigInteger: BigInteger? {
    if case .bigInt(let value) = self { value } else { integer.map { BigInteger($0) } }
  }

  /// An integer for an index, those beyond 64 bits at the ends of the range.
  var index: Int? {
    guard case .bigInt(let value) = self else { return integer }
    return value.isNegative ? Int.min / 2 : Int.max / 2
  }

  var text: String? {
    if case .string(let value) = self { value } else { nil }
  }

  /// The elements of a list or tuple.
  var sequence: [RuntimeValue]? {
    switch self {
    case .list(let elements), .tuple(let elements), .group(let elements): elements
    default: nil
    }
  }
}

/// Python's `range`.
struct RuntimeRange {
  let start: Int
  let stop: Int
  let step: Int
  let count: Int

  subscript(index: Int) -> RuntimeValue { .int(start &+ index &* step) }

  var elements: [RuntimeValue] { (0..<count).map { self[$0] } }

  func contains(_ value: Int) -> Bool {
    let (distance, overflow) = value.subtractingReportingOverflow(start)
    return !overflow && distance % step == 0 && (0..<count).contains(distance / step)
  }
}

/// A view of a dictionary.
struct RuntimeView {
  enum Kind: String { case keys, values, items }

  let kind: Kind
  let dictionary: RuntimeDictionary

  var elements: [RuntimeValue] {
    switch kind {
    case .keys: dictionary.keys
    case .values: dictionary.values
    case .items: dictionary.pairs
    }
  }
}

/// Elements that can be taken once.
final class RuntimeGenerator {
  private var rest: ArraySlice<RuntimeValue>

  init(_ elements: [RuntimeValue]) { rest = elements[...] }

  func next() -> RuntimeValue? { rest.popFirst() }

  /// What would come, without taking it.
  var remaining: [RuntimeValue] { Array(rest) }

  /// All that is left.
  func takeAll() -> [RuntimeValue] {
    defer { rest = [] }
    return Array(rest)
  }
}

/// A callable value. A reference, since functions are compared by identity.
final class RuntimeFunction {
  let name: String
  /// The value of which this is a method.
  let receiver: RuntimeValue?
  let call: (TemplateInterpreter, RuntimeArguments) throws -> RuntimeValue

  init(
    _ name: String, of receiver: RuntimeValue? = nil,
    _ call: @escaping (TemplateInterpreter, RuntimeArguments) throws -> RuntimeValue
  ) {
    self.name = name
    self.receiver = receiver
    self.call = call
  }
}

/// A value with attributes of its own: namespaces, loops, cyclers.
protocol RuntimeObject: AnyObject {
  var typeName: String { get }
  /// The values that it holds, except what is dropped when rendering ends.
  var parts: [RuntimeValue] { get }
  /// Nil for an unknown attribute.
  func attribute(_ name: String) throws -> RuntimeValue?
  /// Nil for an object that cannot be called.
  func call(
    _ interpreter: TemplateInterpreter, _ arguments: RuntimeArguments
  ) throws -> RuntimeValue?
}

/// A dictionary that keeps the order in which keys came.
struct RuntimeDictionary {
  private final class Storage {
    var keys: [RuntimeValue] = []
    var values: [RuntimeValue] = []
    /// Kept once a search by hand would be slow.
    var positions: [Key: Int] = [:]

    init() {}

    init(_ other: Storage) {
      keys = other.keys
      values = other.values
      positions = other.positions
    }
  }

  private var storage = Storage()
  private static let searchedCount = 8

  /// What Python's hash and equality make of a key: 1, 1.0 and True are the same.
  private enum Key: Hashable {
    case none
    case number(Double)
    case integer(Int)
    case bigInteger(BigInteger)
    case string(ExactString)
    case tuple([Key])

    init(_ value: BigInteger) {
      self = value.int.map { .integer($0) } ?? .bigInteger(value)
    }
  }

  private static func key(_ value: RuntimeValue) -> Key? {
    switch value {
    case .none: return Key.none
    case .bool(let value): return .integer(value ? 1 : 0)
    case .int(let value): return .integer(value)
    case .bigInt(let value): return .bigInteger(value)
    case .double(let value):
      guard value == value.rounded(), let whole = BigInteger(truncating: value) else {
        return .number(value)
      }
      return Key(whole)
    case .string(let value): return .string(ExactString(value))
    case .tuple(let elements), .group(let elements):
      let keys = elements.compactMap(key)
      return keys.count == elements.count ? .tuple(keys) : nil
    default: return nil
    }
  }

  var keys: [RuntimeValue] { storage.keys }
  var values: [RuntimeValue] { storage.values }
  var count: Int { storage.keys.count }

  /// False for a key that Python cannot hash.
  static func canHold(_ value: RuntimeValue) -> Bool { key(value) != nil }

  func value(_ key: RuntimeValue) -> RuntimeValue? {
    if case .string(let name) = key { return value(named: name) }
    return Self.key(key).flatMap { position($0) }.map { storage.values[$0] }
  }

  func value(named name: String) -> RuntimeValue? {
    guard count <= Self.searchedCount else {
      return storage.positions[.string(ExactString(name))].map { storage.values[$0] }
    }
    for (index, key) in storage.keys.enumerated() {
      if case .string(let text) = key, sameBytes(text, name) { return storage.values[index] }
    }
    return nil
  }

  private func position(_ key: Key) -> Int? {
    count > Self.searchedCount
      ? storage.positions[key] : storage.keys.firstIndex { Self.key($0) == key }
  }

  /// Keys that cannot be hashed are refused before.
  mutating func set(_ key: RuntimeValue, _ value: RuntimeValue) {
    guard let hashed = Self.key(key) else { return }
    if !isKnownUniquelyReferenced(&storage) { storage = Storage(storage) }
    if let position = position(hashed) {
      storage.values[position] = value
      return
    }
    storage.keys.append(key)
    storage.values.append(value)
    if count > Self.searchedCount + 1 {
      storage.positions[hashed] = count - 1
    } else if count == Self.searchedCount + 1 {
      for (position, key) in storage.keys.enumerated() {
        if let hashed = Self.key(key) { storage.positions[hashed] = position }
      }
    }
  }

  var pairs: [RuntimeValue] { zip(keys, values).map { .tuple([$0, $1]) } }
}

/// Values by name.
struct NamedValues {
  private var entries: [(name: String, value: RuntimeValue)] = []
  /// Kept once a search by hand would be slow.
  private var positions: [ExactString: Int] = [:]
  private static let searchedCount = 12

  private func position(_ name: String) -> Int? {
    entries.count <= Self.searchedCount
      ? entries.firstIndex { sameBytes($0.name, name) } : positions[ExactString(name)]
  }

  subscript(name: String) -> RuntimeValue? { position(name).map { entries[$0].value } }

  mutating func set(_ name: String, _ value: RuntimeValue) {
    if let position = position(name) {
      entries[position].value = value
      return
    }
    entries.append((name, value))
    if entries.count > Self.searchedCount + 1 {
      positions[ExactString(name)] = entries.count - 1
    } else if entries.count == Self.searchedCount + 1 {
      for (index, entry) in entries.enumerated() { positions[ExactString(entry.name)] = index }
    }
  }

  mutating func removeAll() {
    entries.removeAll(keepingCapacity: true)
    positions = [:]
  }
}
