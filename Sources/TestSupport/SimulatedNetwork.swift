/// A network that loses and delays, decided by a seed.
package struct SimulatedNetwork: Sendable {
  /// What becomes of one request and its answer.
  package enum Fate: Hashable, Sendable {
    /// The request arrives after `request`, its answer after `answer` more.
    case delivered(request: Duration, answer: Duration)
    /// The request arrives, its answer does not; the sender notices after `noticed`.
    case answerLost(request: Duration, noticed: Duration)
    /// The request does not arrive; the sender notices after `noticed`.
    case requestLost(noticed: Duration)
  }

  /// The probability that a request is lost, and again that its answer is.
  package var loss: Double
  /// The range of one-way delays, in milliseconds.
  package var delayMilliseconds: ClosedRange<Int>
  /// When nothing arrives, counted from the simulation's start.
  package var outages: [Range<Duration>]
  /// How long a sender waits before it gives an answer up.
  package var timeout: Duration
  private var random: SeededRandom

  package init(
    seed: UInt64, loss: Double = 0, delayMilliseconds: ClosedRange<Int> = 1...50,
    outages: [Range<Duration>] = [], timeout: Duration = .seconds(10)
  ) {
    self.loss = loss
    self.delayMilliseconds = delayMilliseconds
    self.outages = outages
    self.timeout = timeout
    self.random = SeededRandom(seed: seed)
  }

  /// Decides over a request that is sent at `at`.
  package mutating func fate(at: Duration) -> Fate {
    let request = delay()
    let answer = delay()
    if isOut(at) || isOut(at + request) { return .requestLost(noticed: timeout) }
    if random.chance(loss) { return .requestLost(noticed: timeout) }
    if random.chance(loss) || isOut(at + request + answer) {
      return .answerLost(request: request, noticed: timeout)
    }
    return .delivered(request: request, answer: answer)
  }

  private func isOut(_ at: Duration) -> Bool { outages.contains { $0.contains(at) } }

  private mutating func delay() -> Duration {
    .milliseconds(Int.random(in: delayMilliseconds, using: &random))
  }
}
