/// When a batch will be done, if the fleet goes on as it did.
package enum TimeLeft {
  /// Seconds until the rest is done; nil as long as nothing, or too little to tell, is done.
  ///
  /// - Parameters:
  ///   - done: operations of verified results so far.
  ///   - all: operations that the whole batch is estimated at.
  ///   - seconds: since the batch began to run.
  package static func estimate(done: Double, of all: Double, in seconds: Double) -> Double? {
    guard all > 0, done > 0.005 * all, seconds > 0 else { return nil }
    return max(0, (all - done) / done * seconds)
  }
}
