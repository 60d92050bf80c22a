/// A field that is written as `null` when it has no value. OpenAI's clients do not tell an absent
/// field from a misspelled one, so every documented field is sent.
@propertyWrapper
package struct Nullable<Value: Encodable & Sendable>: Encodable, Sendable {
  package var wrappedValue: Value?

  package init(wrappedValue: Value?) { self.wrappedValue = wrappedValue }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if let wrappedValue {
      try container.encode(wrappedValue)
    } else {
      try container.encodeNil()
    }
  }
}

extension Nullable: Decodable where Value: Decodable {
  package init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    wrappedValue = container.decodeNil() ? nil : try container.decode(Value.self)
  }
}

extension Nullable: Equatable where Value: Equatable {}
extension Nullable: Hashable where Value: Hashable {}

/// A page of a list.
package struct ListObject<Item: Encodable & Sendable>: Encodable, Sendable {
  package let object = "list"
  package var data: [Item]
  /// First and last id of the page, which OpenAI documents for some lists.
  @Nullable package var firstID: String?
  @Nullable package var lastID: String?
  package var hasMore: Bool

  package init(_ data: [Item], hasMore: Bool, id: (Item) -> String) {
    self.data = data
    self.hasMore = hasMore
    self.firstID = data.first.map(id)
    self.lastID = data.last.map(id)
  }

  private enum CodingKeys: String, CodingKey {
    case object, data
    case firstID = "first_id"
    case lastID = "last_id"
    case hasMore = "has_more"
  }
}

/// The answer to a deletion.
package struct DeletedObject: Encodable, Sendable {
  package var id: String
  package var object: String
  package let deleted = true

  package init(id: String, object: String) {
    self.id = id
    self.object = object
  }
}
