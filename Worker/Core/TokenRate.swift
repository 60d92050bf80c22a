/// Tokens a second over the last quarter of a minute.
package struct TokenRate: Hashable, Sendable {
  private struct Sample: Hashable {
    var at: Moment
    var total: Int
  }

  private static let window = Duration.seconds(15)
  private static let spacing = Duration.seconds(1)
  private var samples: [Sample] = []
  /// Tokens so far.
  package private(set) var total = 0

  /// Counting begins at `now`.
  package init(at now: Moment) { samples = [Sample(at: now, total: 0)] }

  /// Counts `tokens` more.
  package mutating func add(_ tokens: Int, at now: Moment) {
    total += tokens
    guard let last = samples.last, last.at + Self.spacing <= now else { return }
    samples.append(Sample(at: now, total: total))
    // One sample from before the window stays: the rate is that since then.
    while samples.count > 1, samples[1].at + Self.window <= now { samples.removeFirst() }
  }

  /// Tokens a second now; nil in the first second.
  package func perSecond(at now: Moment) -> Double? {
    let recent = samples.last { $0.at + Self.window <= now } ?? samples.first
    guard let recent else { return nil }
    let seconds = recent.at.duration(to: now).inSeconds
    return seconds >= 1 ? Double(total - recent.total) / seconds : nil
  }
}
