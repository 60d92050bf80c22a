/// When a round is joined: once every shard is there, or once enough are there and the others have had
/// as long again. A late or lost unit costs its share of a round, never the round.
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

  package func verdict(_ shards: [Shard], published: Timestamp, now: Timestamp) -> Verdict {
    let accepted = shards.compactMap { if case .accepted(let time) = $0 { time } else { nil } }.sorted()
    guard shards.contains(.open) else { return accepted.isEmpty ? .fail : .join }
    let needed = max(1, Int((Double(shards.count) * least).rounded(.up)))
    guard accepted.count >= needed else { return .wait(until: nil) }
    let took = max(0, accepted[needed - 1].seconds(since: published))
    let end = accepted[needed - 1].adding(seconds: Int(took.rounded(.up)) + graceSeconds)
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
    losses.indices.filter { losses[$0] != nil }.min { (losses[$0] ?? 0, $0) < (losses[$1] ?? 0, $1) }
  }

  /// Whether the rounds measured last are all no better than an earlier one.
  package func ends(_ losses: [Double?]) -> Bool {
    guard let patience, let best = Self.best(losses),
      let last = losses.lastIndex(where: { $0 != nil })
    else { return false }
    return last - best >= patience
  }
}
