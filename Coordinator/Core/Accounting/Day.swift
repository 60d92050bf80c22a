import Foundation

/// A day of UTC, counted from 1 January 1970, by which history is kept.
package struct Day: Hashable, Comparable, Sendable, Codable {
  package var number: Int

  package init(number: Int) { self.number = number }

  package init(containing time: Timestamp) {
    number = Int((Double(time.milliseconds) / 86_400_000).rounded(.down))
  }

  package static func < (left: Day, right: Day) -> Bool { left.number < right.number }

  /// The day `days` later; earlier for a negative number.
  package func adding(days: Int) -> Day { Day(number: number + days) }

  /// `2026-11-24`.
  package var spelled: String {
    Date(timeIntervalSince1970: Double(number) * 86_400)
      .formatted(.iso8601.year().month().day())
  }
}
