/// Shares the fleet between API keys by start-time fair queueing: every key has a virtual time that
/// advances by the work it was given over its weight, and the key that is furthest behind is served
/// next.
///
/// A key that had nothing to do starts again at the present virtual time, so that idling saves
/// nothing up and a batch of ten lines overtakes one of 50,000 at once.
package enum FairShare {
  /// Where a key with virtual time `own` stands when the key served last started at `present`.
  package static func start(own: Double, present: Double) -> Double { max(own, present) }

  /// A key's virtual time after it was given `flops`.
  package static func finish(start: Double, flops: Double, weight: Double) -> Double {
    start + flops / max(weight, 0.01)
  }
}
