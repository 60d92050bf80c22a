import Synchronization

/// Holds everyone to so many of something at a time.
package final class Turns: Sendable {
  private let limit: Int
  private let taken = Mutex<[String: Int]>([:])

  /// - Parameter limit: turns that one name may have at a time.
  package init(limit: Int) { self.limit = limit }

  /// A turn, until the last reference to it goes; nil for who has as many as they may.
  package func take(_ name: String) -> Turn? {
    let isFree = taken.withLock { taken in
      guard taken[name, default: 0] < limit else { return false }
      taken[name, default: 0] += 1
      return true
    }
    return isFree ? Turn(name, of: self) : nil
  }

  /// Turns that are taken now, of all names.
  package var count: Int { taken.withLock { $0.values.reduce(0, +) } }

  fileprivate func giveBack(_ name: String) {
    taken.withLock { taken in
      let left = taken[name, default: 0] - 1
      taken[name] = left > 0 ? left : nil
    }
  }
}

/// One of the turns that somebody may have, for as long as it exists.
package final class Turn: Sendable {
  private let name: String
  private let turns: Turns

  fileprivate init(_ name: String, of turns: Turns) { (self.name, self.turns) = (name, turns) }

  deinit { turns.giveBack(name) }
}
