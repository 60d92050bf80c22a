/// A page of a list.
package struct ListObject<Item: Encodable & Sendable>: Encodable, Sendable {
  package private(set) var object = "list"
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

extension ListObject: Decodable where Item: Decodable {}

/// The answer to a deletion.
package struct DeletedObject: Codable, Sendable {
  package var id: String
  package var object: String
  package private(set) var deleted = true

  package init(id: String, object: String) {
    self.id = id
    self.object = object
  }
}
