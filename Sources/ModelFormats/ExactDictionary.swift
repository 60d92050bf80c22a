/// A dictionary whose keys are text from outside: compared by their bytes, where Swift's `String`
/// takes canonically equivalent ones (é as one code point and as two) for the same.
package struct ExactDictionary<Value> {
  private var members: [ExactString: Value] = [:]

  package init() {}

  /// - Parameter combine: as `Dictionary` has it.
  package init(
    _ pairs: some Sequence<(String, Value)>, uniquingKeysWith combine: (Value, Value) -> Value
  ) {
    members = Dictionary(
      pairs.lazy.map { (ExactString($0), $1) }, uniquingKeysWith: combine)
  }

  package var count: Int { members.count }
  package var isEmpty: Bool { members.isEmpty }
  package var values: some Collection<Value> { members.values }

  /// Sorted by their UTF-8 bytes.
  package var keys: [String] { members.keys.map(\.string).sorted(by: utf8Order) }

  package subscript(key: String) -> Value? {
    get { members[ExactString(key)] }
    set { members[ExactString(key)] = newValue }
  }

  /// The value that was there before.
  @discardableResult
  package mutating func updateValue(_ value: Value, forKey key: String) -> Value? {
    members.updateValue(value, forKey: ExactString(key))
  }

  /// As `Dictionary` has it.
  package func mapValues<Other>(_ transform: (Value) throws -> Other) rethrows
    -> ExactDictionary<Other>
  {
    var result = ExactDictionary<Other>()
    for (key, value) in members { result.members[key] = try transform(value) }
    return result
  }

  /// As `Dictionary` has it.
  package func filter(
    _ isIncluded: ((key: String, value: Value)) throws -> Bool
  ) rethrows -> Self {
    var result = Self()
    result.members = try members.filter { try isIncluded((key: $0.key.string, value: $0.value)) }
    return result
  }
}

extension ExactDictionary: Sequence {
  /// In the order of the keys' UTF-8 bytes.
  package func makeIterator() -> some IteratorProtocol<(key: String, value: Value)> {
    members.map { (key: $0.key.string, value: $0.value) }
      .sorted { utf8Order($0.key, $1.key) }.makeIterator()
  }
}

extension ExactDictionary: ExpressibleByDictionaryLiteral {
  package init(dictionaryLiteral elements: (String, Value)...) {
    for (key, value) in elements { self[key] = value }
  }
}

extension ExactDictionary: Sendable where Value: Sendable {}
extension ExactDictionary: Equatable where Value: Equatable {}
extension ExactDictionary: Hashable where Value: Hashable {}

/// A key as it is spelled.
private struct MemberKey: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }

  init(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}

/// An object; only `JSONValue(encoding:)` keeps keys apart that Swift takes as equal.
extension ExactDictionary: Encodable where Value: Encodable {
  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: MemberKey.self)
    for (key, value) in self { try container.encode(value, forKey: MemberKey(stringValue: key)) }
  }
}

/// An object; of keys that Swift takes as equal, Foundation's decoders keep one.
extension ExactDictionary: Decodable where Value: Decodable {
  package init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: MemberKey.self)
    for key in container.allKeys {
      self[key.stringValue] = try container.decode(Value.self, forKey: key)
    }
  }
}
