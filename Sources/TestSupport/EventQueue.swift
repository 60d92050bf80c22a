/// The heart of a simulation: events in the order of their times; events of one time in the order
/// of their entry.
package struct EventQueue<Event> {
  private var entries: [(at: Duration, order: Int, event: Event)] = []
  private var entered = 0

  package init() {}

  package var isEmpty: Bool { entries.isEmpty }

  /// When the next event comes.
  package var nextTime: Duration? { entries.last?.at }

  /// Enters an event that comes at `at`, counted from the simulation's start.
  package mutating func add(_ event: Event, at: Duration) {
    // Later events come first, so that the next one is the last element.
    let position = entries.firstIndex { $0.at <= at } ?? entries.count
    entries.insert((at, entered, event), at: position)
    entered += 1
  }

  /// Takes the next event and its time out.
  package mutating func next() -> (at: Duration, event: Event)? {
    guard let last = entries.popLast() else { return nil }
    return (last.at, last.event)
  }

  /// Drops the events for which `isDropped` is true, as a crash of their owner does.
  package mutating func removeAll(where isDropped: (Event) -> Bool) {
    entries.removeAll { isDropped($0.event) }
  }
}
