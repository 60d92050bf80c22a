/// Things that fall due, the earliest first. What is due later than it was said to be, or not at
/// all any more, shows when it is looked at: nothing is ever taken out in the middle.
package struct DueQueue<Item: Hashable & Comparable & Sendable>: Sendable {
  private struct Entry: Comparable, Sendable {
    let time: Timestamp
    let item: Item

    static func < (left: Entry, right: Entry) -> Bool {
      (left.time, left.item) < (right.time, right.item)
    }
  }
  /// A binary heap.
  private var heap: [Entry] = []

  package init() {}

  package var count: Int { heap.count }
  /// The earliest time that was said of anything.
  package var first: (time: Timestamp, item: Item)? { heap.first.map { ($0.time, $0.item) } }

  mutating func add(_ item: Item, at time: Timestamp) {
    heap.append(Entry(time: time, item: item))
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child] < heap[parent] else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  mutating func removeFirst() {
    guard let last = heap.popLast(), !heap.isEmpty else { return }
    heap[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
        if heap[child] < heap[least] { least = child }
      }
      if least == parent { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
