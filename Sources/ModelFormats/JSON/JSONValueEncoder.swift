extension JSONValue {
  /// The document that `value` encodes to.
  ///
  /// Foundation's encoder keeps members in a dictionary of Swift's strings, in which canonically
  /// equivalent keys are one; here they stay apart. Absent optionals are left out.
  ///
  /// - Throws: `EncodingError` for a number that JSON lacks, and what `value` throws.
  package init(encoding value: some Encodable) throws {
    let node = EncodedNode()
    try value.encode(to: NodeEncoder(node: node, codingPath: []))
    self = node.value
  }
}

/// A place in the document that is being written.
private final class EncodedNode {
  private enum Content {
    case value(JSONValue)
    case array([EncodedNode])
    case object(keys: [String], nodes: [EncodedNode])
  }

  private var content = Content.value(.null)

  func set(_ value: JSONValue) { content = .value(value) }

  func becomeArray() {
    if case .array = content { return }
    content = .array([])
  }

  func becomeObject() {
    if case .object = content { return }
    content = .object(keys: [], nodes: [])
  }

  func appendElement() -> EncodedNode {
    let node = EncodedNode()
    guard case .array(var nodes) = content else { return node }
    content = .value(.null)
    nodes.append(node)
    content = .array(nodes)
    return node
  }

  func addMember(_ key: String) -> EncodedNode {
    let node = EncodedNode()
    guard case .object(var keys, var nodes) = content else { return node }
    content = .value(.null)
    keys.append(key)
    nodes.append(node)
    content = .object(keys: keys, nodes: nodes)
    return node
  }

  var elementCount: Int {
    if case .array(let nodes) = content { nodes.count } else { 0 }
  }

  var value: JSONValue {
    switch content {
    case .value(let value): return value
    case .array(let nodes): return .array(nodes.map(\.value))
    case .object(let keys, let nodes):
      var members = JSONMembers()
      for (key, node) in zip(keys, nodes) { members[key] = node.value }
      return .object(members)
    }
  }
}

private struct NodeEncoder: Encoder {
  let node: EncodedNode
  let codingPath: [any CodingKey]
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    node.becomeObject()
    return KeyedEncodingContainer(MemberEncoder<Key>(node: node, codingPath: codingPath))
  }

  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    node.becomeArray()
    return ElementEncoder(node: node, codingPath: codingPath)
  }

  func singleValueContainer() -> any SingleValueEncodingContainer { self }

  private func invalid(_ value: Any) -> EncodingError {
    .invalidValue(
      value, .init(codingPath: codingPath, debugDescription: "JSON has no such number"))
  }

  private func encode(integer value: some BinaryInteger) throws {
    guard let number = Int(exactly: value) else { throw invalid(value) }
    node.set(.int(number))
  }

  private func encode(number value: Double) throws {
    guard value.isFinite else { throw invalid(value) }
    // As Foundation spells it: a whole number has no fraction.
    node.set(Int(exactly: value).map { .int($0) } ?? .double(value))
  }
}

extension NodeEncoder: SingleValueEncodingContainer {
  func encodeNil() throws { node.set(.null) }
  func encode(_ value: Bool) throws { node.set(.bool(value)) }
  func encode(_ value: String) throws { node.set(.string(value)) }
  func encode(_ value: Double) throws { try encode(number: value) }
  func encode(_ value: Float) throws { try encode(number: Double("\(value)") ?? Double(value)) }
  func encode(_ value: Int) throws { try encode(integer: value) }
  func encode(_ value: Int8) throws { try encode(integer: value) }
  func encode(_ value: Int16) throws { try encode(integer: value) }
  func encode(_ value: Int32) throws { try encode(integer: value) }
  func encode(_ value: Int64) throws { try encode(integer: value) }
  func encode(_ value: UInt) throws { try encode(integer: value) }
  func encode(_ value: UInt8) throws { try encode(integer: value) }
  func encode(_ value: UInt16) throws { try encode(integer: value) }
  func encode(_ value: UInt32) throws { try encode(integer: value) }
  func encode(_ value: UInt64) throws { try encode(integer: value) }
  func encode(_ value: some Encodable) throws { try value.encode(to: self) }
}

private struct MemberEncoder<Key: CodingKey>: KeyedEncodingContainerProtocol {
  let node: EncodedNode
  let codingPath: [any CodingKey]

  private func encoder(_ key: any CodingKey) -> NodeEncoder {
    NodeEncoder(node: node.addMember(key.stringValue), codingPath: codingPath + [key])
  }

  func encodeNil(forKey key: Key) throws { try encoder(key).encodeNil() }
  func encode(_ value: some Encodable, forKey key: Key) throws {
    try value.encode(to: encoder(key))
  }
  func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key)
    -> KeyedEncodingContainer<Nested>
  { encoder(key).container(keyedBy: type) }
  func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
    encoder(key).unkeyedContainer()
  }
  func superEncoder() -> any Encoder {
    NodeEncoder(node: node.addMember("super"), codingPath: codingPath)
  }
  func superEncoder(forKey key: Key) -> any Encoder { encoder(key) }
}

private struct ElementEncoder: UnkeyedEncodingContainer {
  let node: EncodedNode
  let codingPath: [any CodingKey]
  var count: Int { node.elementCount }

  private func encoder() -> NodeEncoder {
    NodeEncoder(node: node.appendElement(), codingPath: codingPath)
  }

  func encodeNil() throws { try encoder().encodeNil() }
  func encode(_ value: some Encodable) throws { try value.encode(to: encoder()) }
  func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type)
    -> KeyedEncodingContainer<Nested>
  { encoder().container(keyedBy: type) }
  func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { encoder().unkeyedContainer() }
  func superEncoder() -> any Encoder { encoder() }
}
