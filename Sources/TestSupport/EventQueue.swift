/// The heart of a simulation: events in the order of their times; events of one time in the order
/// of their entry.
package struct EventQueue<Event> {
  private struct Entry {
    let at: Duration
    let order: Int
    let event: Event

    func precedes(_ other: Entry) -> Bool { (at, order) < (other.at, other.order) }
  }
  /// A binary heap.
  private var heap: [Entry] = []
  private var entered = 0

  package init() {}

  package var isEmpty: Bool { heap.isEmpty }

  /// When the next event comes.
  package var nextTime: Duration? { heap.first?.at }

  /// Enters an event that comes at `at`, counted from the simulation's start.
  package mutating func add(_ event: Event, at: Duration) {
    heap.append(Entry(at: at, order: entered, event: event))
    entered += 1
    var child = heap.count - 1
    while child > 0, heap[child].precedes(heap[(child - 1) / 2]) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  /// Takes the next event and its time out.
  package mutating func next() -> (at: Duration, event: Event)? {
    guard let first = heap.first, let last = heap.popLast() else { return nil }
    if !heap.isEmpty {
      heap[0] = last
      sink(0)
    }
    return (first.at, first.event)
  }

  /// Drops the events for which `isDropped` is true, as a crash of their owner does.
  package mutating func removeAll(where isDropped: (Event) -> Bool) {
    heap.removeAll { isDropped($0.event) }
    for parent in stride(from: heap.count / 2 - 1, through: 0, by: -1) { sink(parent) }
  }

  private mutating func sink(_ start: Int) {
    var parent = start
    while true {
      var first = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
        if heap[child].precedes(heap[first]) { first = child }
      }
      if first == parent { return }
      heap.swapAt(parent, first)
      parent = first
    }
  }
}
