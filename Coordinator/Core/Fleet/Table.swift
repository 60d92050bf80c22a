/// A row of the working set.
package protocol FleetRow: Hashable, Sendable {
  associatedtype Key: Hashable & Comparable & Sendable

  /// What the row is found by; it never changes.
  var key: Key { get }
  /// Where the fleet keeps rows of this kind.
  static var table: WritableKeyPath<Fleet, Table<Self>> & Sendable { get }
  /// Keeps what is derived from rows up to date: `old` is nil for a new row, `new` for one that is
  /// removed. It depends on the two rows alone, so that undoing a change is a change like another.
  static func reindex(_ index: inout FleetIndex, from old: Self?, to new: Self?)
}

/// Rows of one kind, by key, with the keys of those that changed since the changes were last taken.
package struct Table<Row: FleetRow>: Sendable {
  package private(set) var rows: [Row.Key: Row] = [:]
  private var changed: Set<Row.Key> = []

  package init() {}

  package subscript(key: Row.Key) -> Row? { rows[key] }
  package var count: Int { rows.count }

  /// In the order of keys.
  package var sorted: [Row] { rows.values.sorted { $0.key < $1.key } }

  /// Puts a row in its place, or removes it for nil; gives the row of before.
  ///
  /// - Parameter isChange: whether a store has to be told.
  mutating func put(_ row: Row?, at key: Row.Key, isChange: Bool) -> Row? {
    let old: Row?
    if let row {
      old = rows.updateValue(row, forKey: key)
    } else {
      old = rows.removeValue(forKey: key)
    }
    if isChange { changed.insert(key) }
    return old
  }

  package var hasChanges: Bool { !changed.isEmpty }

  /// Whether a row changed since the changes were last taken.
  package func isChanged(_ key: Row.Key) -> Bool { changed.contains(key) }

  /// What a store has to write, in the order of keys.
  mutating func takeChanges() -> RowChanges<Row> {
    var changes = RowChanges<Row>()
    for key in changed.sorted() {
      if let row = rows[key] { changes.upserts.append(row) } else { changes.deletions.append(key) }
    }
    changed.removeAll(keepingCapacity: true)
    return changes
  }
}

/// Rows of one kind that a store has to write: the last state of each counts.
package struct RowChanges<Row: FleetRow>: Sendable {
  /// New rows, and those that replace the ones with their keys.
  package var upserts: [Row] = []
  package var deletions: [Row.Key] = []

  package init() {}

  package var isEmpty: Bool { upserts.isEmpty && deletions.isEmpty }
}
