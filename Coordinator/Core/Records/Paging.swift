/// A page of a list, as OpenAI's clients ask for it.
package struct PageRequest: Hashable, Sendable {
  package enum Order: String, Hashable, Sendable {
    case ascending = "asc"
    case descending = "desc"
  }
  /// The last id of the page before; nil for the first page.
  package var after: String?
  /// 1 or more.
  package var limit: Int
  /// By time of creation.
  package var order: Order

  package init(after: String? = nil, limit: Int = 20, order: Order = .descending) {
    self.after = after
    self.limit = limit
    self.order = order
  }
}

/// One page.
package struct Page<Item: Sendable>: Sendable {
  package var items: [Item]
  /// Whether items follow.
  package var hasMore: Bool

  package init(items: [Item], hasMore: Bool) {
    self.items = items
    self.hasMore = hasMore
  }
}
