/// Sets by key; a key without values is not there.
package struct SetMap<Key: Hashable & Sendable, Value: Hashable & Sendable>: Hashable, Sendable {
  private var sets: [Key: Set<Value>] = [:]

  package subscript(key: Key) -> Set<Value> { sets[key] ?? [] }
  package var keys: Dictionary<Key, Set<Value>>.Keys { sets.keys }

  /// Whether a key has any value.
  package func contains(_ key: Key) -> Bool { sets[key] != nil }

  mutating func insert(_ value: Value, under key: Key) {
    sets[key, default: []].insert(value)
  }

  mutating func remove(_ value: Value, under key: Key) {
    guard sets[key]?.remove(value) != nil, sets[key]?.isEmpty == true else { return }
    sets[key] = nil
  }
}

/// Values in order, without repetition.
package struct SortedArray<Value: Comparable & Sendable>: Equatable, Sendable,
  RandomAccessCollection
{
  private var values: [Value] = []

  package init() {}

  package var startIndex: Int { values.startIndex }
  package var endIndex: Int { values.endIndex }
  package subscript(position: Int) -> Value { values[position] }

  /// The place of the first value that is not below this one.
  package func place(of value: Value) -> Int {
    var (low, high) = (0, values.count)
    while low < high {
      let middle = (low + high) / 2
      if values[middle] < value { low = middle + 1 } else { high = middle }
    }
    return low
  }

  mutating func insert(_ value: Value) {
    let place = place(of: value)
    if place < values.count, values[place] == value { return }
    values.insert(value, at: place)
  }

  mutating func remove(_ value: Value) {
    let place = place(of: value)
    if place < values.count, values[place] == value { values.remove(at: place) }
  }
}
