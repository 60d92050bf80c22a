/// When a round is joined: once every shard is there, or once enough are there and the others have
/// had as long again. A late or lost unit costs its share of a round, never the round.
package struct RoundRule: Hashable, Sendable {
  /// The part of a round's shards that it is never joined without.
  package var least = 0.5
  /// Seconds that stragglers get beyond the time that the others took.
  package var graceSeconds = 30

  package init() {}

  /// A shard of a round.
  package enum Shard: Hashable, Sendable {
    case open
    case accepted(Timestamp)
    /// Failed or cancelled.
    case lost
  }

  package enum Verdict: Hashable, Sendable {
    /// Until then at the latest; nil: for as long as it takes.
    case wait(until: Timestamp?)
    /// What was accepted is joined, what is open is given up.
    case join
    /// Every shard was lost.
    case fail
  }

  /// - Parameter resumed: when the job or the coordinator went on after it stood still; stragglers'
  ///   time does not run meanwhile.
  package func verdict(
    _ shards: [Shard], published: Timestamp, resumed: Timestamp? = nil, now: Timestamp
  ) -> Verdict {
    let accepted = shards.compactMap { if case .accepted(let time) = $0 { time } else { nil } }
      .sorted()
    guard shards.contains(.open) else { return accepted.isEmpty ? .fail : .join }
    let needed = max(1, Int((Double(shards.count) * least).rounded(.up)))
    guard accepted.count >= needed else { return .wait(until: nil) }
    let took = max(0, accepted[needed - 1].seconds(since: published))
    let since = max(accepted[needed - 1], resumed ?? accepted[needed - 1])
    let end = since.adding(seconds: Int(took.rounded(.up)) + graceSeconds)
    return end <= now ? .join : .wait(until: end)
  }
}

/// Which round's adapter is the best so far, and whether to go on.
package struct EarlyStop: Hashable, Sendable {
  /// Rounds in a row that may bring nothing; nil: any number.
  package var patience: Int?

  package init(patience: Int?) { self.patience = patience }

  /// The round with the least held-out loss, the earlier of equals; nil where none was measured.
  ///
  /// - Parameter losses: by round; nil where it was not measured.
  package static func best(_ losses: [Double?]) -> Int? {
    losses.indices.filter { losses[$0] != nil }.min {
      (losses[$0] ?? 0, $0) < (losses[$1] ?? 0, $1)
    }
  }

  /// Whether so many rounds after the best one were all measured and are no better. Rounds may be
  /// measured out of order: one that is not yet measured may be better.
  package func ends(_ losses: [Double?]) -> Bool {
    guard let patience, let best = Self.best(losses) else { return false }
    let after = losses[(best + 1)...].prefix { $0 != nil }
    return after.count >= patience
  }
}
