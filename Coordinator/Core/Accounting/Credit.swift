import Foundation

/// Credit in millionths, so that sums are exact and receipts hold integers.
package struct Credit: Hashable, Sendable, Comparable {
  package var micro: Int64

  package init(micro: Int64) { self.micro = micro }

  /// 200 for each GFLOPS-day of a unit's operations: FLOPs x 200 / 86400e9, rounded to the nearest
  /// millionth.
  package init(flops: Double) {
    micro = Int64((flops * 200 / 86_400e9 * 1e6).rounded())
  }

  /// Operations that give so much credit.
  package var flops: Double { Double(micro) / 1e6 * 86_400e9 / 200 }

  /// In credits.
  package var value: Double { Double(micro) / 1e6 }

  package static func < (left: Credit, right: Credit) -> Bool { left.micro < right.micro }
}

/// Credit a day, averaged over the past with a half-life of seven days, as BOINC computes it.
package struct RecentAverage: Hashable, Sendable {
  package static let halfLifeSeconds = 7 * 86_400.0

  /// Credits a day at `time`.
  package var value: Double
  package var time: Timestamp

  /// Starts at nothing, at the time of the account's or worker's creation.
  package init(value: Double = 0, time: Timestamp) {
    self.value = value
    self.time = time
  }

  /// Counts credit granted at `now` for work since `time`: `w = exp(-dt ln2 / half_life)`, `avg =
  /// avg w + (1 - w) work / dt_days`. For a dt too small to divide by, the limit `avg + ln2 work /
  /// 7` is taken.
  package mutating func add(_ credit: Credit, now: Timestamp) {
    let seconds = max(0, now.seconds(since: time))
    let weight = Self.weight(seconds)
    if 1 - weight > 1e-6 {
      value = value * weight + (1 - weight) * credit.value / (seconds / 86_400)
    } else {
      value = value * weight + M_LN2 * credit.value * 86_400 / Self.halfLifeSeconds
    }
    time = max(time, now)
  }

  /// The average at `now` if nothing was granted since.
  package func value(at now: Timestamp) -> Double {
    value * Self.weight(max(0, now.seconds(since: time)))
  }

  private static func weight(_ seconds: Double) -> Double {
    exp(-seconds * M_LN2 / halfLifeSeconds)
  }
}
