/// A point in time, in milliseconds since 1970. The core never asks for the time: every decision is
/// given one.
package struct Timestamp: Comparable, Hashable, Sendable, Codable {
  package var milliseconds: Int64

  package init(milliseconds: Int64) { self.milliseconds = milliseconds }

  package init(seconds: Int) { self.milliseconds = Int64(seconds) * 1000 }

  /// Whole seconds since 1970, rounded down, as OpenAI's objects carry them.
  package var seconds: Int { Int(milliseconds / 1000) }

  /// The time `seconds` later; fractions below a millisecond are dropped.
  package func adding(seconds: Double) -> Timestamp {
    Timestamp(milliseconds: milliseconds + Int64((seconds * 1000).rounded(.towardZero)))
  }

  /// The time `seconds` later; earlier for a negative number.
  package func adding(seconds: Int) -> Timestamp {
    Timestamp(milliseconds: milliseconds + Int64(seconds) * 1000)
  }

  /// Seconds from `earlier` to this time; negative when `earlier` is later.
  package func seconds(since earlier: Timestamp) -> Double {
    Double(milliseconds - earlier.milliseconds) / 1000
  }

  package static func < (left: Timestamp, right: Timestamp) -> Bool {
    left.milliseconds < right.milliseconds
  }
}
